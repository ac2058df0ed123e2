import { VolsealError } from '../core/errors.js'
import type { Cli } from './cli.js'
import { asVolsealError, errorLines, type Outcome, reportOf } from './output.js'

/**
 * Runs work over several items. One item fails or succeeds as if it stood alone; of several, each
 * has a place in `results[]`, and the exit code is 40 if some failed, the common one if all failed
 * alike.
 */
export async function overMany(
  cli: Cli,
  items: readonly string[],
  { json }: { readonly json?: true | undefined },
  work: (item: string) => Promise<Outcome>,
): Promise<Outcome> {
  const [only] = items
  if (items.length === 1 && only !== undefined) return await work(only)
  const results: Result[] = []
  for (const item of items) {
    const result = await attempt(item, work)
    if (json !== true && result.error !== undefined) tell(cli, result.error, item)
    results.push(result)
  }
  return {
    body: { results: results.map(({ body }) => body) },
    text: results.flatMap(({ text }) => (text === '' ? [] : [text])).join('\n'),
    error: commonError(results),
  }
}

interface Result {
  readonly body: object
  readonly text: string
  readonly error: VolsealError | undefined
}

async function attempt(item: string, work: (item: string) => Promise<Outcome>): Promise<Result> {
  try {
    const { body, text, error } = await work(item)
    const failure = error === undefined ? {} : { ok: false, error: error.toJSON() }
    return { body: { ok: true, ...body, ...failure }, text, error }
  } catch (thrown) {
    const error = asVolsealError(thrown)
    if (isInterruption(error)) throw error
    const body = { image: item, ...reportOf(error), ok: false, error: error.toJSON() }
    return { body, text: '', error }
  }
}

function tell({ streams }: Cli, error: VolsealError, item: string): void {
  streams.stderr.write(errorLines(error, item))
}

function isInterruption({ code }: VolsealError): boolean {
  return code === 'interrupted' || code === 'terminated'
}

function commonError(results: readonly Result[]): VolsealError | undefined {
  const codes = results.flatMap(({ error }) => error?.code ?? [])
  const [first] = codes
  if (first === undefined) return undefined
  const alike = codes.length === results.length && codes.every((code) => code === first)
  const message = `${codes.length} of ${results.length} images failed`
  return new VolsealError(alike ? first : 'incomplete', message)
}
