import { VolsealError } from '../core/errors.js'
import type { Cli } from './cli.js'
import { exitCodeOf } from './exit-codes.js'
import { asVolsealError, errorLines, type Outcome, reportOf } from './output.js'

/**
 * Runs work over several items. One item fails or succeeds as if it stood alone; of several, each
 * has a place in `results[]`, and the exit code is 40 if some failed, the common one if all failed
 * alike.
 */
export async function overMany(
  cli: Cli,
  items: readonly string[],
  work: (item: string) => Promise<Outcome>,
): Promise<Outcome> {
  const [only] = items
  if (items.length === 1 && only !== undefined) return await work(only)
  const results: Result[] = []
  for (const item of items) results.push(await attempt(cli, item, work))
  return {
    body: { results: results.map(({ body }) => body) },
    text: results.flatMap(({ text }) => (text === '' ? [] : [text])).join('\n'),
    exitCode: commonCode(results.map(({ code }) => code)),
  }
}

interface Result {
  readonly body: object
  readonly text: string
  readonly code: number
}

async function attempt(
  cli: Cli,
  item: string,
  work: (item: string) => Promise<Outcome>,
): Promise<Result> {
  try {
    const { body, text } = await work(item)
    return { body: { ok: true, ...body }, text, code: 0 }
  } catch (thrown) {
    const error = asVolsealError(thrown)
    if (isInterruption(error)) throw error
    cli.streams.stderr.write(errorLines(error, item))
    const body = { image: item, ...reportOf(error), ok: false, error: error.toJSON() }
    return { body, text: '', code: exitCodeOf(error.code) }
  }
}

function isInterruption({ code }: VolsealError): boolean {
  return code === 'interrupted' || code === 'terminated'
}

function commonCode(codes: readonly number[]): number {
  const [first = 0] = codes
  return codes.every((code) => code === first) ? first : exitCodeOf('incomplete')
}
