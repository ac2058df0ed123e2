import { Option } from '@commander-js/extra-typings'
import { VolsealError } from '../core/errors.js'
import type { OpenCloud } from '../face/cloud.js'
import type { KeyManager, OpenKeyManager, SecretSource, StoreKeySource } from '../face/key-store.js'
import { type Cli, note, type OptionGroup } from './cli.js'
import { withPassphrase } from './inputs.js'

/** The options that name the local key store, alike in every command. */
export interface StoreChoice {
  readonly keyStore?: string | undefined
  readonly keyStoreKey?: string | undefined
  readonly keyStorePassphraseFile?: string | undefined
}

/** The option that names a cloud. */
export interface CloudChoice {
  readonly osCloud?: string | undefined
}

/** The options that name the key manager. */
export interface KeyManagerChoice extends StoreChoice, CloudChoice {
  readonly keyManager?: KeyManagerKind | undefined
}

const KINDS = ['local', 'barbican'] as const
type KeyManagerKind = (typeof KINDS)[number]

export const KEY_STORE_OPTIONS: OptionGroup<StoreChoice> = {
  options: [
    new Option('--key-store <dir>', 'the local key store (or VOLSEAL_KEY_STORE)'),
    new Option('--key-store-key <file>', 'file with its key (or VOLSEAL_KEY_STORE_KEY)'),
    new Option('--key-store-passphrase-file <file>', 'its passphrase instead; - is stdin'),
  ],
}

export const CLOUD_OPTIONS: OptionGroup<CloudChoice> = {
  options: [new Option('--os-cloud <name>', 'a cloud of clouds.yaml (or OS_CLOUD)')],
}

export const KEY_MANAGER_OPTIONS: OptionGroup<KeyManagerChoice> = {
  options: [
    new Option(
      '--key-manager <kind>',
      'where keys and certificates are kept (default: barbican when a cloud is named, else local)',
    ).choices(KINDS),
    ...CLOUD_OPTIONS.options,
    ...KEY_STORE_OPTIONS.options,
  ],
}

/**
 * Runs `use` with the key manager that is named, and its cloud if it is Barbican; `create` makes a local
 * store that is not there.
 */
export async function withKeyManager<T>(
  cli: Cli,
  choice: KeyManagerChoice,
  use: (keyManager: KeyManager, cloud: OpenCloud | undefined) => Promise<T>,
  { create = false }: { create?: boolean } = {},
): Promise<T> {
  let opened: OpenCloud | undefined
  const manager = await openKeyManager(cli, choice, create, async () => {
    opened = await openNamedCloud(cli, choice)
    return opened
  })
  try {
    return await use(manager, opened)
  } finally {
    await manager.close()
  }
}

/** Opens the cloud that is named, once, when it is first asked for. */
export type LazyCloud = () => Promise<OpenCloud>

/**
 * Runs `use` with a key manager that is opened when the first secret is asked for, and a cloud that is
 * opened when it is: what needs none does not fail for want of one.
 */
export async function withLazyKeyManager<T>(
  cli: Cli,
  choice: KeyManagerChoice,
  use: (
    secrets: SecretSource,
    cloud: LazyCloud,
    keyManager: () => Promise<KeyManager>,
  ) => Promise<T>,
): Promise<T> {
  let openingCloud: Promise<OpenCloud> | undefined
  let opening: Promise<OpenKeyManager> | undefined
  const cloud: LazyCloud = async () => {
    openingCloud ??= openNamedCloud(cli, choice)
    return await openingCloud
  }
  const open = async (): Promise<OpenKeyManager> => {
    opening ??= openKeyManager(cli, choice, false, cloud)
    return await opening
  }
  const secrets: SecretSource = {
    fetch: async (id) => await (await open()).fetch(id),
    describe: async (id) => await (await open()).describe(id),
  }
  try {
    return await use(secrets, cloud, open)
  } finally {
    for (const opened of [opening, openingCloud]) {
      const what = await opened?.catch(() => undefined)
      await what?.close()
    }
  }
}

async function openKeyManager(
  cli: Cli,
  choice: KeyManagerChoice,
  create: boolean,
  cloud: LazyCloud,
): Promise<OpenKeyManager> {
  if (kindOf(cli, choice) === 'barbican') return (await cloud()).keyManager
  const { openKeyStore } = await import('../face/key-store.js')
  return await withStoreChoice(
    cli,
    choice,
    async (store, key) => await openKeyStore({ store, key, env: cli.env, create }),
  )
}

/** What is asked for by name is not overruled by a variable that other clients need. */
function kindOf(cli: Cli, choice: KeyManagerChoice): KeyManagerKind {
  const { keyManager, osCloud, keyStore, keyStoreKey, keyStorePassphraseFile } = choice
  const isStoreNamed = [keyStore, keyStoreKey, keyStorePassphraseFile].some(Boolean)
  if (isStoreNamed && (keyManager ?? (osCloud === undefined ? 'local' : 'barbican')) !== 'local') {
    throw new VolsealError('usage', 'Barbican and the options of a key store exclude each other', {
      hint: 'say --key-manager local for the key store',
    })
  }
  if (keyManager !== undefined) return keyManager
  if (isStoreNamed) return 'local'
  return namesCloud(cli, osCloud) ? 'barbican' : 'local'
}

function namesCloud({ env }: Cli, osCloud: string | undefined): boolean {
  return [osCloud, env['OS_CLOUD'], env['OS_AUTH_URL']].some(Boolean)
}

/** The cloud that options or variables name; the caller closes it. @throws {VolsealError} */
export async function openNamedCloud(cli: Cli, { osCloud }: CloudChoice): Promise<OpenCloud> {
  if (!namesCloud(cli, osCloud)) {
    throw new VolsealError('usage', 'no cloud is named', {
      hint: 'name one of clouds.yaml with --os-cloud NAME or OS_CLOUD, or set OS_AUTH_URL and its like',
    })
  }
  const { openCloud } = await import('../face/cloud.js')
  const { env, signal } = cli
  return await openCloud({
    cloud: osCloud,
    env,
    signal,
    warn: (text) => note(cli, `warning: ${text}`),
  })
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
