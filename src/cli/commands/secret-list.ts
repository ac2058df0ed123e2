import { Option } from '@commander-js/extra-typings'
import { act, addOptions, jsonOption, type MakeCommand, newCommand } from '../cli.js'
import { KEY_MANAGER_OPTIONS, withKeyManager } from '../key-manager-options.js'
import { table } from '../text.js'

const TYPES = ['certificate', 'symmetric', 'passphrase', 'opaque', 'private', 'public'] as const

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('list', {
      summary: 'list the secrets of the key manager, oldest first',
      example: 'volseal secret list --type certificate',
      exitCodes: ['usage', 'forbidden', 'not-found', 'keystore-damaged', 'io'],
    })
      .addOption(new Option('--type <type>', 'only this type').choices(TYPES))
      .option('--name <name>', 'only this name'),
    KEY_MANAGER_OPTIONS,
  )
    .addOption(jsonOption())
    .action(
      act(cli, 'secret-list', async (options) => {
        const { type, name } = options
        const secrets = await withKeyManager(
          cli,
          options,
          async (keyManager) => await keyManager.list({ type, name }),
        )
        const lines = secrets.map((info) => [
          info.id,
          info.type,
          info.origin,
          String(info.bitLength ?? '-'),
          info.created.slice(0, 19),
          info.name ?? '-',
        ])
        const heading = ['ID', 'TYPE', 'ORIGIN', 'BITS', 'CREATED', 'NAME']
        return { body: { secrets }, text: lines.length === 0 ? '' : table(heading, lines) }
      }),
    )
