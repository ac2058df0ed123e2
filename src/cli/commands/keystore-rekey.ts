import { resolve } from 'node:path'
import { VolsealError } from '../../core/errors.js'
import type { StoreKeySource } from '../../face/key-store.js'
import {
  act,
  addOptions,
  type Cli,
  jsonOption,
  type MakeCommand,
  newCommand,
  note,
} from '../cli.js'
import { SECRET_CODES } from '../exit-codes.js'
import { withPassphrase } from '../inputs.js'
import { KEY_STORE_OPTIONS, withStoreChoice } from '../key-manager-options.js'
import { counted } from '../text.js'

export const makeCommand: MakeCommand = (cli) =>
  addOptions(
    newCommand('rekey', {
      summary: 'put the local key store under a new key or passphrase',
      example: 'volseal keystore rekey --new-key new-store.key',
      exitCodes: [...SECRET_CODES, 'busy'],
    })
      .option('--new-key <file>', 'file with the new key, made when it is not there')
      .option('--new-passphrase-file <file>', 'a new passphrase instead; - is stdin'),
    KEY_STORE_OPTIONS,
  )
    .addOption(jsonOption())
    .action(
      act(cli, 'keystore-rekey', async (options) => {
        const { locateKeyStore, rekeyStore } = await import('../../face/key-store.js')
        const report = await withStoreChoice(
          cli,
          options,
          async (store, key) =>
            await withNewKey(
              cli,
              options,
              async (newKey) =>
                await rekeyStore(locateKeyStore({ store, key, env: cli.env }), newKey),
            ),
        )
        note(cli, `from now on give ${naming(options)}`)
        const opensWith = options.newKey ?? 'the new passphrase'
        const verb = report.secrets === 1 ? 'opens' : 'open'
        const text = `${counted(report.secrets, 'secret')} now ${verb} with ${opensWith}`
        return { body: report, text }
      }),
    )

function naming({ newKey, newPassphraseFile }: NewKeyChoice): string {
  if (newKey === undefined) return `--key-store-passphrase-file ${newPassphraseFile ?? ''}`
  return `--key-store-key ${newKey}, or set VOLSEAL_KEY_STORE_KEY=${resolve(newKey)}`
}

interface NewKeyChoice {
  readonly newKey?: string | undefined
  readonly newPassphraseFile?: string | undefined
}

async function withNewKey<T>(
  cli: Cli,
  { newKey, newPassphraseFile }: NewKeyChoice,
  use: (source: StoreKeySource) => Promise<T>,
): Promise<T> {
  if ((newKey === undefined) === (newPassphraseFile === undefined)) {
    throw new VolsealError('usage', 'expected one of --new-key and --new-passphrase-file')
  }
  return await withPassphrase(cli, newPassphraseFile, async (passphrase) =>
    passphrase === undefined
      ? await use({ kind: 'file', path: newKey ?? '' })
      : await use({ kind: 'passphrase', passphrase }),
  )
}
