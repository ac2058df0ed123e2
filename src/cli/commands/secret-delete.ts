import { act, addOptions, jsonOption, type MakeCommand, newCommand } from '../cli.js'
import { SECRET_CODES } from '../exit-codes.js'
import { KEY_MANAGER_OPTIONS, withKeyManager } from '../key-manager-options.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('delete', {
      summary: 'delete a secret for good; what only it opens is lost',
      example: 'volseal secret delete "$KEY_ID"',
      exitCodes: SECRET_CODES,
    }).argument('<id>', "the secret's id"),
    KEY_MANAGER_OPTIONS,
  )
    .addOption(jsonOption())
    .action(
      act(cli, 'secret-delete', async (id, options) => {
        await withKeyManager(cli, options, async (keyManager) => {
          await keyManager.delete(id)
        })
        return { body: { id }, text: `deleted ${id}` }
      }),
    )
