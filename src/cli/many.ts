import { VolsealError } from '../core/errors.js'
import type { Cli } from './cli.js'
import { asVolsealError, errorLines, type Outcome, reportOf } from './output.js'

/**
 * Runs work over several items. One item fails or succeeds as if it stood alone; of several, each
 * has a place in `results[]` (with `list`, one alone as well), and the exit code is 40 if some
 * failed, the common one if all failed
 * alike. An interruption ends the work, and the report is of what was done until then.
 */
export async function overMany(
  cli: Cli,
  items: readonly string[],
  { json, list = false }: { readonly json?: true | undefined; readonly list?: boolean },
  work: (item: string) => Promise<Outcome>,
): Promise<Outcome> {
  const [only] = items
  if (!list && items.length === 1 && only !== undefined) return await work(only)
  const results: Result[] = []
  for (const item of items) {
    const result = await attempt(item, work)
    if (isInterruption(result)) return { ...together(results), error: result.error }
    if (json !== true && result.error !== undefined) tell(cli, result.error, item)
    results.push(result)
  }
  return { ...together(results), error: commonError(results) }
}

function together(results: readonly Result[]): Outcome {
  return {
    body: { results: results.map(({ body }) => body) },
    text: results.flatMap(({ text }) => (text === '' ? [] : [text])).join('\n'),
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
    const body = { image: item, ...reportOf(error), ok: false, error: error.toJSON() }
    return { body, text: '', error }
  }
}

function tell({ streams }: Cli, error: VolsealError, item: string): void {
  streams.stderr.write(errorLines(error, item))
}

function isInterruption({ error }: Result): boolean {
  return error?.code === 'interrupted' || error?.code === 'terminated'
}

function commonError(results: readonly Result[]): VolsealError | undefined {
  const codes = results.flatMap(({ error }) => error?.code ?? [])
  const [first] = codes
  if (first === undefined) return undefined
  const alike = codes.length === results.length && codes.every((code) => code === first)
  const message = `${codes.length} of ${results.length} images failed`
  return new VolsealError(alike ? first : 'incomplete', message)
}
