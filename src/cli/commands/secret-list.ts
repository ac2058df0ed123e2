import { Option } from '@commander-js/extra-typings'
import type {
  DamagedFile,
  KeyManager,
  SecretFilter,
  SecretInfo,
  SecretsDamaged,
} from '../../face/key-store.js'
import { act, addOptions, jsonOption, type MakeCommand, newCommand } from '../cli.js'
import { SECRET_CODES } from '../exit-codes.js'
import { KEY_MANAGER_OPTIONS, withKeyManager } from '../key-manager-options.js'
import { printNote } from '../output.js'
import { table } from '../text.js'

const TYPES = ['certificate', 'symmetric', 'passphrase', 'opaque', 'private', 'public'] as const

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('list', {
      summary: 'list the secrets of the key manager, oldest first',
      example: 'volseal secret list --type certificate',
      exitCodes: SECRET_CODES,
    })
      .addOption(new Option('--type <type>', 'only this type').choices(TYPES))
      .option('--name <name>', 'only this name'),
    KEY_MANAGER_OPTIONS,
  )
    .addOption(jsonOption())
    .action(
      act(cli, 'secret-list', async (options) => {
        const { type, name } = options
        const { secrets, damaged, error } = await withKeyManager(
          cli,
          options,
          async (keyManager) => await listSound(keyManager, { type, name }),
        )
        for (const { path, reason } of damaged) {
          printNote(cli.streams, `${path} is damaged: ${reason}`)
        }
        const lines = secrets.map((info) => [
          info.id,
          info.type,
          info.origin,
          String(info.bitLength ?? '-'),
          info.created.slice(0, 19),
          info.name ?? '-',
        ])
        const heading = ['ID', 'TYPE', 'ORIGIN', 'BITS', 'CREATED', 'NAME']
        const text = lines.length === 0 ? '' : table(heading, lines)
        return { body: { secrets, damaged }, text, error }
      }),
    )

interface Listing {
  readonly secrets: readonly SecretInfo[]
  readonly damaged: readonly DamagedFile[]
  readonly error?: SecretsDamaged
}

/** One damaged file does not hide the other secrets. */
async function listSound(keyManager: KeyManager, filter: SecretFilter): Promise<Listing> {
  try {
    return { secrets: await keyManager.list(filter), damaged: [] }
  } catch (error) {
    const { SecretsDamaged: Damaged } = await import('../../face/key-store.js')
    if (error instanceof Damaged) return { ...error.report, error }
    throw error
  }
}
