import { act, addOptions, jsonOption, type MakeCommand, newCommand, note } from '../cli.js'
import { SECRET_CODES } from '../exit-codes.js'
import { KEY_STORE_OPTIONS, withStoreChoice } from '../key-manager-options.js'
import { counted } from '../text.js'
import { damageError } from './keystore-check.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('backup', {
      summary: 'copy the local key store, encrypted as it is, and open every copy',
      example: 'volseal keystore backup keys-backup',
      exitCodes: SECRET_CODES,
    }).argument('<dir>', 'new directory for the copy'),
    KEY_STORE_OPTIONS,
  )
    .addOption(jsonOption())
    .action(
      act(cli, 'keystore-backup', async (directory, options) => {
        const { backupStore, locateKeyStore } = await import('../../face/key-store.js')
        const report = await withStoreChoice(
          cli,
          options,
          async (store, key) =>
            await backupStore(locateKeyStore({ store, key, env: cli.env }), directory),
        )
        note(cli, "without the store's key the copy opens nothing: keep that too, somewhere else")
        const damaged = report.damaged.map(({ path, reason }) => `\ndamaged: ${path}: ${reason}`)
        return {
          body: report,
          text: `copied ${counted(report.secrets, 'secret')} to ${report.directory}${damaged.join('')}`,
          error: damageError(report.damaged),
        }
      }),
    )
