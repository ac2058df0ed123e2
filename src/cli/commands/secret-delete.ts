import { VolsealError } from '../../core/errors.js'
import type { KeyManager } from '../../face/key-store.js'
import { act, addOptions, jsonOption, type MakeCommand, newCommand } from '../cli.js'
import { SECRET_CODES } from '../exit-codes.js'
import { KEY_MANAGER_OPTIONS, withKeyManager } from '../key-manager-options.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('delete', {
      summary: 'delete a secret for good; what only it opens is lost',
      example: 'volseal secret delete "$KEY_ID"',
      exitCodes: [...SECRET_CODES, 'busy'],
    })
      .argument('<id>', "the secret's id")
      .option('--force', 'also when something is registered in Barbican as needing it'),
    KEY_MANAGER_OPTIONS,
  )
    .addOption(jsonOption())
    .action(
      act(cli, 'secret-delete', async (id, options) => {
        await withKeyManager(cli, options, async (keyManager) => {
          if (options.force !== true) await requireUnused(keyManager, id)
          await keyManager.delete(id)
        })
        return { body: { id }, text: `deleted ${id}` }
      }),
    )

async function requireUnused(keyManager: KeyManager, id: string): Promise<void> {
  const users = await keyManager.users(id)
  if (users.length === 0) return
  throw new VolsealError(
    'busy',
    `the secret ${id} was not deleted: needed by ${users.join(', ')}`,
    {
      hint: 'to delete it all the same: --force',
    },
  )
}
