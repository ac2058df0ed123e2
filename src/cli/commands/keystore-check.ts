import { VolsealError } from '../../core/errors.js'
import { act, addOptions, jsonOption, type MakeCommand, newCommand } from '../cli.js'
import { SECRET_CODES } from '../exit-codes.js'
import { KEY_STORE_OPTIONS, withStoreChoice } from '../key-manager-options.js'
import { rows } from '../text.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('check', {
      summary: 'open every secret of the local key store and report all damage',
      example: 'volseal keystore check',
      exitCodes: SECRET_CODES,
    }).option('--clean', 'remove what interrupted processes left behind'),
    KEY_STORE_OPTIONS,
  )
    .addOption(jsonOption())
    .action(
      act(cli, 'keystore-check', async (options) => {
        const { checkStore, locateKeyStore } = await import('../../face/key-store.js')
        const report = await withStoreChoice(
          cli,
          options,
          async (store, key) =>
            await checkStore(locateKeyStore({ store, key, env: cli.env }), {
              clean: options.clean === true,
            }),
        )
        const text = rows([
          ['secrets', String(report.secrets)],
          ['damaged', String(report.damaged.length)],
          ...report.damaged.map(({ path, reason }) => ['', `${path}: ${reason}`] as const),
          ['leftovers', String(report.leftovers.length)],
          ['removed', String(report.removed.length)],
          ['rekey', report.unfinishedRekey ? 'unfinished: run keystore rekey again' : 'none open'],
        ])
        return { body: report, text, error: damageError(report.damaged) }
      }),
    )

/** Damage is a result: the report is printed all the same. */
export function damageError(damaged: readonly unknown[]): VolsealError | undefined {
  if (damaged.length === 0) return undefined
  return new VolsealError('keystore-damaged', `damaged files in the key store: ${damaged.length}`, {
    hint: 'restore them from a backup of the key store',
  })
}
