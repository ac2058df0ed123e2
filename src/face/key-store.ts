import {
  defaultStorePaths,
  type KeyManager,
  type LocalKeyManager,
  type LocalStoreOptions,
  openLocalKeyManager,
  type PathEnvironment,
  type StoreKeySource,
} from '../keyfile/index.js'

/** The key store as the caller names it; what is not named lies where XDG says. */
export interface KeyStoreOptions {
  /** Directory of the store. */
  readonly store?: string | undefined
  /** Where its key-encryption key comes from. */
  readonly key?: StoreKeySource | undefined
  /** For the default places. */
  readonly env: PathEnvironment
  /** Whether a store that is not there is made; false when not given. */
  readonly create?: boolean | undefined
}

/** Where a key store lies and what opens it. @throws {VolsealError} `usage` */
export function locateKeyStore(options: KeyStoreOptions): LocalStoreOptions {
  const { store, key, env } = options
  if (store !== undefined && key !== undefined) return { store, key }
  const places = defaultStorePaths(env)
  return { store: store ?? places.store, key: key ?? { kind: 'file', path: places.keyFile } }
}

/** Opens the local key manager; the caller closes it, which wipes its key. */
export async function openKeyStore(options: KeyStoreOptions): Promise<LocalKeyManager> {
  const { create = false } = options
  return await openLocalKeyManager({ ...locateKeyStore(options), create })
}

/** A key manager that is open; the caller closes it. */
export interface OpenKeyManager extends KeyManager {
  close(): Promise<void> | void
}

export {
  backupStore,
  checkStore,
  type DamagedFile,
  type KeyManager,
  type LocalKeyManager,
  rekeyStore,
  type SecretFilter,
  type SecretInfo,
  type SecretSource,
  SecretsDamaged,
  type SecretType,
  type StoreKeySource,
} from '../keyfile/index.js'
