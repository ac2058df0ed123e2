import { VolsealError } from '../core/errors.js'
import { printable } from './text.js'

/**
 * The rules of this command line, and the only place that prints:
 *
 * - Results go to stdout, once, at the end; everything else goes to stderr.
 * - With --json there is exactly one JSON object on stdout, on success and on failure.
 * - Errors are `volseal: error: …`, followed by `volseal: hint: …` when there is something to do.
 * - Progress is drawn only where somebody looks: on a terminal, or when asked for.
 * - Nothing is asked but the passphrase of a key, and that on a terminal only. Any other missing answer
 *   is a usage error that names the option.
 */

/** What a command hands over to be printed. */
export interface Outcome {
  /** The library's own result; becomes the JSON object. */
  readonly body: object
  /** The same for people: whole lines, without the last newline. */
  readonly text: string
  /** What it falls short of: a result all the same, but `ok` is false and the exit code its own. */
  readonly error?: VolsealError | undefined
  /** Bytes instead of text, as they are: a secret's payload. */
  readonly raw?: Buffer
}

/** Where a run of the command line writes to. */
export interface Streams {
  readonly stdout: NodeJS.WriteStream
  readonly stderr: NodeJS.WriteStream
}

export function printOutcome(
  { stdout, stderr }: Streams,
  schema: string,
  { body, text, raw, error }: Outcome,
  asJson: boolean,
): void {
  if (asJson) {
    const failure = error === undefined ? {} : { error: error.toJSON() }
    stdout.write(jsonLine(schema, error === undefined, { ...body, ...failure }))
    return
  }
  if (raw !== undefined) stdout.write(raw)
  else if (text !== '') stdout.write(`${harmless(text)}\n`)
  if (error !== undefined) stderr.write(errorLines(error))
}

export function printError(
  { stdout, stderr }: Streams,
  schema: string,
  error: VolsealError,
  asJson: boolean,
): void {
  if (asJson) {
    stdout.write(jsonLine(schema, false, { ...reportOf(error), error: error.toJSON() }))
    return
  }
  stderr.write(errorLines(error))
}

/** What an error carries besides itself: the report of a refused image. */
export function reportOf(error: VolsealError): object {
  return 'report' in error && typeof error.report === 'object' ? { ...error.report } : {}
}

/** `volseal: error: …` and its hint; `item` is named when the message does not. */
export function errorLines(error: VolsealError, item?: string): string {
  const hint = error.hint === undefined ? '' : `volseal: hint: ${error.hint}\n`
  const about = item === undefined || error.message.includes(item) ? '' : `${item}: `
  // A defect's has lines; in others a line break is somebody else's, who could say anything behind it.
  const message = error.code === 'internal' ? error.message : printable(error.message)
  return harmless(`volseal: error: ${about}${message}\n${hint}`)
}

/** Names come from anybody; the lines are ours. */
function harmless(text: string): string {
  return text.split('\n').map(printable).join('\n')
}

/** Talk that is neither result nor error. */
export function printNote({ stderr }: Streams, text: string): void {
  stderr.write(harmless(`volseal: note: ${text}\n`))
}

/** What a program of the user's says on standard error, as it comes. */
export function printTalk({ stderr }: Streams, text: string): void {
  stderr.write(harmless(text))
}

function jsonLine(schema: string, ok: boolean, body: object): string {
  return `${JSON.stringify({ schema: `volseal/${schema}/1`, ok, ...body, ...(ok ? {} : { ok }) })}\n`
}

/** An error of ours, or a defect that asks for a report. */
export function asVolsealError(error: unknown): VolsealError {
  if (error instanceof VolsealError && !isUnexplained(error)) return error
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return new VolsealError('internal', `this is a defect of volseal: ${text}`, {
    hint: 'please report it, with the command line and this text',
    cause: error,
  })
}

/** What no system error explains (`fromSystem`) is a defect as well. */
function isUnexplained({ code, hint }: VolsealError): boolean {
  return code === 'internal' && hint === undefined
}
