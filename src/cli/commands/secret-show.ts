import { act, addOptions, jsonOption, type MakeCommand, newCommand } from '../cli.js'
import { SECRET_CODES } from '../exit-codes.js'
import { KEY_MANAGER_OPTIONS, withKeyManager } from '../key-manager-options.js'
import { printable, rows } from '../text.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('show', {
      summary: 'show what is known of a secret, without its bytes',
      example: 'volseal secret show "$KEY_ID"',
      exitCodes: SECRET_CODES,
    }).argument('<id>', "the secret's id"),
    KEY_MANAGER_OPTIONS,
  )
    .addOption(jsonOption())
    .action(
      act(cli, 'secret-show', async (id, options) => {
        const info = await withKeyManager(
          cli,
          options,
          async (keyManager) => await keyManager.describe(id),
        )
        const text = rows([
          ['id', info.id],
          ['type', info.type],
          ['name', printable(info.name ?? '-')],
          ['algorithm', info.algorithm ?? '-'],
          ['bits', String(info.bitLength ?? '-')],
          ['origin', info.origin],
          ['content type', info.contentType],
          ['created', info.created],
          ...Object.entries(info.metadata).map(
            ([key, value]) => [`metadata ${key}`, printable(value)] as const,
          ),
        ])
        return { body: info, text }
      }),
    )
