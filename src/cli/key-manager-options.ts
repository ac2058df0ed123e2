import { Option } from '@commander-js/extra-typings'
import { VolsealError } from '../core/errors.js'
import type {
  KeyManager,
  LocalKeyManager,
  SecretSource,
  StoreKeySource,
} from '../face/key-store.js'
import type { Cli, OptionGroup } from './cli.js'
import { withPassphrase } from './inputs.js'

/** The options that name the local key store, alike in every command. */
export interface StoreChoice {
  readonly keyStore?: string | undefined
  readonly keyStoreKey?: string | undefined
  readonly keyStorePassphraseFile?: string | undefined
}

/** The options that name the key manager. */
export interface KeyManagerChoice extends StoreChoice {
  readonly keyManager: 'local'
}

export const KEY_STORE_OPTIONS: OptionGroup<StoreChoice> = {
  options: [
    new Option('--key-store <dir>', 'the local key store (or VOLSEAL_KEY_STORE)'),
    new Option('--key-store-key <file>', 'file with its key (or VOLSEAL_KEY_STORE_KEY)'),
    new Option('--key-store-passphrase-file <file>', 'its passphrase instead; - is stdin'),
  ],
}

export const KEY_MANAGER_OPTIONS: OptionGroup<KeyManagerChoice> = {
  options: [
    new Option('--key-manager <kind>', 'where keys and certificates are kept')
      .choices(['local'])
      .default('local'),
    ...KEY_STORE_OPTIONS.options,
  ],
}

/** Runs `use` with the key manager that is named; `create` makes a local store that is not there. */
export async function withKeyManager<T>(
  cli: Cli,
  choice: KeyManagerChoice,
  use: (keyManager: KeyManager) => Promise<T>,
  { create = false }: { create?: boolean } = {},
): Promise<T> {
  const manager = await openKeyManager(cli, choice, create)
  try {
    return await use(manager)
  } finally {
    manager.close()
  }
}

/**
 * Runs `use` with a key manager that is opened when the first secret is asked for: what needs none
 * does not fail for want of one.
 */
export async function withLazyKeyManager<T>(
  cli: Cli,
  choice: KeyManagerChoice,
  use: (secrets: SecretSource) => Promise<T>,
): Promise<T> {
  let opening: Promise<LocalKeyManager> | undefined
  const get: SecretSource['get'] = async (id) => {
    opening ??= openKeyManager(cli, choice, false)
    const manager = await opening
    return await manager.get(id)
  }
  try {
    return await use({ get })
  } finally {
    const manager = await opening?.catch(() => undefined)
    manager?.close()
  }
}

async function openKeyManager(
  cli: Cli,
  choice: KeyManagerChoice,
  create: boolean,
): Promise<LocalKeyManager> {
  const { openKeyStore } = await import('../face/key-store.js')
  return await withStoreChoice(
    cli,
    choice,
    async (store, key) => await openKeyStore({ store, key, env: cli.env, create }),
  )
}

/** The store and its key as options and environment name them; undefined is the default place. */
export async function withStoreChoice<T>(
  cli: Cli,
  choice: StoreChoice,
  use: (store: string | undefined, key: StoreKeySource | undefined) => Promise<T>,
): Promise<T> {
  const store = choice.keyStore ?? cli.env['VOLSEAL_KEY_STORE']
  if (choice.keyStoreKey !== undefined && choice.keyStorePassphraseFile !== undefined) {
    throw new VolsealError(
      'usage',
      '--key-store-key and --key-store-passphrase-file exclude each other',
    )
  }
  return await withPassphrase(cli, choice.keyStorePassphraseFile, async (passphrase) => {
    if (passphrase !== undefined) return await use(store, { kind: 'passphrase', passphrase })
    const path = choice.keyStoreKey ?? cli.env['VOLSEAL_KEY_STORE_KEY']
    return await use(store, path === undefined ? undefined : { kind: 'file', path })
  })
}
