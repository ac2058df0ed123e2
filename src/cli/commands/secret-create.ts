import {
  act,
  addOptions,
  collect,
  jsonOption,
  type MakeCommand,
  newCommand,
  wholeNumber,
} from '../cli.js'
import { SECRET_CODES } from '../exit-codes.js'
import { keyValues } from '../inputs.js'
import { KEY_MANAGER_OPTIONS, withKeyManager } from '../key-manager-options.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('create', {
      summary: 'have the key manager draw a symmetric key at random',
      example: 'volseal secret create --bits 256 --name "volume 1"',
      exitCodes: SECRET_CODES,
    })
      .option('--bits <n>', 'length of the key (default 256)', wholeNumber('--bits'))
      .option('--algorithm <name>', 'what it is for', 'aes')
      .option('--name <name>', 'a name for it')
      .option('--metadata <key=value>', 'user metadata; repeatable', collect),
    KEY_MANAGER_OPTIONS,
  )
    .addOption(jsonOption())
    .action(
      act(cli, 'secret-create', async (options) => {
        const { bits = 256, algorithm, name, metadata } = options
        const id = await withKeyManager(
          cli,
          options,
          async (keyManager) =>
            await keyManager.createKey({
              algorithm,
              bitLength: bits,
              name,
              metadata: keyValues(metadata ?? [], '--metadata'),
            }),
          { create: true },
        )
        return { body: { id, algorithm, bitLength: bits, name: name ?? null }, text: id }
      }),
    )
