import { Command, Option, type OptionValues } from '@commander-js/extra-typings'
import { type ErrorCode, VolsealError } from '../core/errors.js'
import { exitCodeHelp, exitCodeOf } from './exit-codes.js'
import { type Outcome, printNote, printOutcome, type Streams } from './output.js'
import { makeProgress, PROGRESS_STYLES, type Progress, type ProgressStyle } from './progress.js'

/** One run of the command line: what commands may use of the world. */
export interface Cli {
  readonly streams: Streams
  readonly env: Readonly<Record<string, string | undefined>>
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal
  /** Set by the command that ran. */
  exitCode: number
  /** Set while a thread is at work that cannot be stopped, and for which Node's exit would wait. */
  unstoppable?: boolean
}

/** What every command module makes. */
export type MakeCommand = (cli: Cli) => Command<unknown[], Record<string, unknown>>

export interface CommandText {
  readonly summary: string
  /** Works when pasted into a directory with the files that it names. */
  readonly example: string
  readonly exitCodes: readonly ErrorCode[]
}

/** A command with its help, and without commander's own exits. */
export function newCommand(name: string, text: CommandText): Command {
  return new Command(name)
    .description(text.summary)
    .addHelpText('after', `\nExample:\n  ${text.example}\n\n${exitCodeHelp(text.exitCodes)}`)
    .configureHelp({ showGlobalOptions: false })
    .exitOverride()
    .configureOutput({ writeErr: () => undefined })
    .allowExcessArguments(false)
}

export function jsonOption(): Option<'--json'> {
  return new Option('--json', 'print one JSON object')
}

export function progressOption(): Option<
  '--progress <style>',
  undefined,
  'auto',
  undefined,
  false,
  ProgressStyle
> {
  return new Option('--progress <style>', 'a bar on terminals, JSON lines on stderr, or nothing')
    .choices(PROGRESS_STYLES)
    .default('auto')
}

/** Options that several commands share, and what they give together. */
export interface OptionGroup<Choice> {
  readonly options: readonly Option[]
  /** Never there: it only carries the type, which commander cannot add up from a list. */
  readonly choice?: Choice
}

/** Adds the options of up to four groups. */
export function addOptions<
  Args extends unknown[],
  Own extends OptionValues,
  A,
  B = unknown,
  C = unknown,
  D = unknown,
>(
  command: Command<Args, Own>,
  ...groups: [OptionGroup<A>, OptionGroup<B>?, OptionGroup<C>?, OptionGroup<D>?]
): Command<Args, Own & A & B & C & D> {
  for (const option of groups.flatMap((group) => group?.options ?? [])) command.addOption(option)
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the groups' types, said by hand
  return command as unknown as Command<Args, Own & A & B & C & D>
}

/** The action of a command: runs the work and prints its outcome. */
export function act<Args extends unknown[]>(
  cli: Cli,
  schema: string,
  work: (...args: Args) => Promise<Outcome>,
): (...args: Args) => Promise<void> {
  return async (...args) => {
    refuseTwoReaders(args)
    const outcome = await work(...args)
    const asJson = args.some(
      (arg) => typeof arg === 'object' && arg !== null && 'json' in arg && arg.json === true,
    )
    printOutcome(cli.streams, schema, outcome, asJson)
    cli.exitCode = outcome.error === undefined ? 0 : exitCodeOf(outcome.error.code)
  }
}

/** Standard input can be read once: the second reader would find it empty. */
function refuseTwoReaders(args: readonly unknown[]): void {
  const named = args.flatMap((arg) => (isOptions(arg) ? readers(arg) : arg))
  if (named.filter((name) => name === '-').length < 2) return
  throw new VolsealError('usage', 'standard input (-) is named twice, and can be read only once', {
    hint: 'put one of the two into a file',
  })
}

function isOptions(arg: unknown): arg is object {
  return typeof arg === 'object' && arg !== null && Object.getPrototypeOf(arg) === Object.prototype
}

/** Values of options; `--out -` is standard output. */
function readers(options: object): unknown[] {
  return Object.entries(options).flatMap(([name, value]) => (name === 'out' ? [] : value))
}

/** Runs work that reports progress, and takes the bar away whatever happens. */
export async function withProgress<T>(
  cli: Cli,
  style: ProgressStyle,
  work: (progress: Progress) => Promise<T>,
): Promise<T> {
  const progress = makeProgress(cli.streams, style)
  try {
    return await work(progress)
  } finally {
    progress.end()
  }
}

export function note(cli: Cli, text: string): void {
  printNote(cli.streams, text)
}

/** Adds a repeatable option's value. */
export function collect(value: string, earlier: readonly string[] | undefined): string[] {
  return [...(earlier ?? []), value]
}

/** An option as a whole number. @throws {VolsealError} `usage` */
export function wholeNumber(name: string): (value: string) => number {
  return (value) => {
    if (/^\d{1,9}$/.test(value)) return Number(value)
    throw new VolsealError(
      'usage',
      `${name}: expected a whole number, got ${JSON.stringify(value)}`,
    )
  }
}

/** Days, as 30 or 30d. @throws {VolsealError} `usage` */
export function wholeDays(name: string): (value: string) => number {
  const days = wholeNumber(name)
  return (value) => days(value.replace(/(?<=\d)d$/, ''))
}
