import { Command } from '@commander-js/extra-typings'
import { VolsealError } from '../core/errors.js'
import type { Cli } from './cli.js'
import type { CommandShape } from './completion.js'
import { ENTRIES, type Entry } from './entries.js'

/** The words of the command that a command line begins with, or undefined. */
export function chosenPath(args: readonly string[]): string | undefined {
  return ENTRIES.find(({ path }) => path.split(' ').every((word, index) => word === args[index]))
    ?.path
}

/**
 * Runs a command line (without `node` and the script).
 *
 * @throws {VolsealError} and commander's own errors
 */
export async function runProgram(cli: Cli, args: readonly string[]): Promise<void> {
  const path = chosenPath(args)
  const entry = ENTRIES.find((candidate) => candidate.path === path)
  if (entry === undefined) {
    const group = helpGroup(args)
    if (group === undefined) throw refuseUnknown(cli, args)
    cli.streams.stdout.write(overview(group))
    return
  }
  const words = entry.path.split(' ')
  const { makeCommand } = await entry.load()
  const command = named(makeCommand(cli), entry.path)
  await command.parseAsync(args.slice(words.length), { from: 'user' })
}

/** `Usage: volseal cert create …` although the command is parsed on its own. */
function named<T extends Command<unknown[], Record<string, unknown>>>(command: T, path: string): T {
  command.name(`volseal ${path}`)
  return command
}

const HELP: ReadonlySet<string> = new Set(['--help', '-h', 'help'])

/** `volseal --help` shows all commands (an empty group), `volseal secret --help` those below it. */
function helpGroup(args: readonly string[]): string | undefined {
  const [first = '', ...others] = args
  if (HELP.has(first)) return others.join(' ')
  const end = args.findIndex((word) => HELP.has(word))
  const group = args.slice(0, Math.max(end, 0)).join(' ')
  return group !== '' && below(group).length > 0 ? group : undefined
}

function below(group: string): readonly Entry[] {
  return ENTRIES.filter(({ path }) => path.startsWith(`${group} `))
}

/** Everything is shown to those who gave no command; who mistyped one would have to scroll up. */
function refuseUnknown({ streams }: Cli, args: readonly string[]): VolsealError {
  if (args.length === 0) streams.stderr.write(overview(''))
  return unknownCommand(args)
}

const SEE_HELP = { hint: 'volseal --help shows all commands' }

function unknownCommand(args: readonly string[]): VolsealError {
  const [first] = args
  if (first === undefined) return new VolsealError('usage', 'expected a command, got none')
  const known = args.findIndex((_, index) => below(args.slice(0, index + 1).join(' ')).length === 0)
  const group = args.slice(0, known === -1 ? args.length : known).join(' ')
  if (group === '') return new VolsealError('usage', `there is no command ${first}`, SEE_HELP)
  const words = below(group).map(({ path }) => path.slice(group.length + 1))
  const got = known === -1 ? 'nothing' : args[known]
  return new VolsealError('usage', `${group}: expected one of ${words.join(', ')}, got ${got}`)
}

function overview(group: string): string {
  const shown = group === '' ? ENTRIES : ENTRIES.filter(({ path }) => path.startsWith(group))
  const width = Math.max(...shown.map(({ path }) => path.length))
  const lines = shown.map(({ path, summary }) => `  ${path.padEnd(width)}  ${summary}`)
  if (group !== '') {
    return `${lines.join('\n')}\n\nvolseal COMMAND --help shows options, an example and exit codes.\n`
  }
  return `Usage: volseal COMMAND [OPTIONS]

Sign and verify OpenStack images; seal them into LUKS volumes.

${lines.join('\n')}

volseal COMMAND --help shows options, an example and exit codes. Sign and check an image:
  volseal keypair create --type RSA-PSS --out key.pem
  volseal cert create --key key.pem --subject "CN=image signing" --out cert.pem
  volseal sign image.raw --key key.pem --cert cert.pem
  volseal verify image.raw --cert cert.pem
`
}

/** What completion needs to know of all commands. */
export async function describeCommands(cli: Cli): Promise<CommandShape[]> {
  return await Promise.all(
    ENTRIES.map(async ({ path, summary, load }) => {
      const { makeCommand } = await load()
      const command = makeCommand(cli)
      return {
        path,
        summary,
        options: command.options.map((option) => ({
          name: option.long ?? '',
          summary: option.description,
          choices: option.argChoices ?? [],
        })),
        words: command.registeredArguments[0]?.argChoices ?? [],
      }
    }),
  )
}
