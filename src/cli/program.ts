import { Command } from '@commander-js/extra-typings'
import { VolsealError } from '../core/errors.js'
import type { Cli, MakeCommand } from './cli.js'
import type { CommandShape } from './completion.js'

/**
 * The command tree. A command's module is loaded only when it is chosen: most take longer to load
 * than they run.
 */
interface Entry {
  readonly path: string
  readonly summary: string
  readonly load: () => Promise<{ makeCommand: MakeCommand }>
}

const ENTRIES: readonly Entry[] = [
  {
    path: 'keypair create',
    summary: 'make a signing key',
    load: async () => await import('./commands/keypair-create.js'),
  },
  {
    path: 'cert create',
    summary: 'make a certificate for a signing key',
    load: async () => await import('./commands/cert-create.js'),
  },
  {
    path: 'cert request',
    summary: 'make a certificate request',
    load: async () => await import('./commands/cert-request.js'),
  },
  {
    path: 'cert inspect',
    summary: 'show a certificate',
    load: async () => await import('./commands/cert-inspect.js'),
  },
  {
    path: 'cert check',
    summary: 'does a trusted certificate vouch for one?',
    load: async () => await import('./commands/cert-check.js'),
  },
  {
    path: 'secret put',
    summary: 'keep a certificate, key or passphrase',
    load: async () => await import('./commands/secret-put.js'),
  },
  {
    path: 'secret create',
    summary: 'draw a key at random',
    load: async () => await import('./commands/secret-create.js'),
  },
  {
    path: 'secret get',
    summary: "print a secret's bytes",
    load: async () => await import('./commands/secret-get.js'),
  },
  {
    path: 'secret show',
    summary: 'show what is known of a secret',
    load: async () => await import('./commands/secret-show.js'),
  },
  {
    path: 'secret list',
    summary: 'list secrets',
    load: async () => await import('./commands/secret-list.js'),
  },
  {
    path: 'secret delete',
    summary: 'delete a secret',
    load: async () => await import('./commands/secret-delete.js'),
  },
  {
    path: 'keystore check',
    summary: 'check the local key store',
    load: async () => await import('./commands/keystore-check.js'),
  },
  {
    path: 'keystore backup',
    summary: 'copy the local key store',
    load: async () => await import('./commands/keystore-backup.js'),
  },
  {
    path: 'keystore rekey',
    summary: 'change the key of the local key store',
    load: async () => await import('./commands/keystore-rekey.js'),
  },
  {
    path: 'sign',
    summary: 'sign images',
    load: async () => await import('./commands/sign.js'),
  },
  {
    path: 'verify',
    summary: 'check images against their signatures',
    load: async () => await import('./commands/verify.js'),
  },
  {
    path: 'inspect',
    summary: "tell an image's format and what is unsafe about it",
    load: async () => await import('./commands/inspect.js'),
  },
  {
    path: 'write',
    summary: 'verify an image, then write it into a file, device or volume',
    load: async () => await import('./commands/write.js'),
  },
  {
    path: 'attach',
    summary: 'open an encrypted volume',
    load: async () => await import('./commands/attach.js'),
  },
  {
    path: 'detach',
    summary: 'close it',
    load: async () => await import('./commands/detach.js'),
  },
  {
    path: 'extend',
    summary: 'make it as large as its device',
    load: async () => await import('./commands/extend.js'),
  },
  {
    path: 'status',
    summary: 'show what is open',
    load: async () => await import('./commands/status.js'),
  },
  {
    path: 'gc',
    summary: 'close what was left open',
    load: async () => await import('./commands/gc.js'),
  },
  {
    path: 'luks format',
    summary: 'make a blank device a LUKS volume',
    load: async () => await import('./commands/luks-format.js'),
  },
  {
    path: 'luks inspect',
    summary: "show a LUKS volume's header",
    load: async () => await import('./commands/luks-inspect.js'),
  },
  {
    path: 'luks check',
    summary: 'does a key open a volume? is a header backup whole?',
    load: async () => await import('./commands/luks-check.js'),
  },
  {
    path: 'luks rekey',
    summary: 'give a volume another key',
    load: async () => await import('./commands/luks-rekey.js'),
  },
  {
    path: 'luks tune',
    summary: 'make a volume cheap to open',
    load: async () => await import('./commands/luks-tune.js'),
  },
  {
    path: 'luks backup',
    summary: "keep a volume's header",
    load: async () => await import('./commands/luks-backup.js'),
  },
  {
    path: 'luks restore',
    summary: "put a volume's header back",
    load: async () => await import('./commands/luks-restore.js'),
  },
  {
    path: 'images list',
    summary: 'list images in Glance and the state of their signatures',
    load: async () => await import('./commands/images-list.js'),
  },
  {
    path: 'images resign',
    summary: 'sign images that are in Glance, such as snapshots',
    load: async () => await import('./commands/images-resign.js'),
  },
  {
    path: 'volume-type check',
    summary: 'what an encryption spec really gives, and what to set instead',
    load: async () => await import('./commands/volume-type-check.js'),
  },
  {
    path: 'volume-type show',
    summary: 'show a volume type of a cloud',
    load: async () => await import('./commands/volume-type-show.js'),
  },
  {
    path: 'swift rootkey create',
    summary: "make the secret that Swift's keys are derived from",
    load: async () => await import('./commands/swift-rootkey-create.js'),
  },
  {
    path: 'swift rootkey check',
    summary: 'check that Swift encrypts, down to the disk',
    load: async () => await import('./commands/swift-rootkey-check.js'),
  },
  {
    path: 'policy check',
    summary: 'check a policy, and which rule an image falls under',
    load: async () => await import('./commands/policy-check.js'),
  },
  {
    path: 'completion',
    summary: 'print a completion script',
    load: async () => await import('./commands/completion.js'),
  },
]

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
