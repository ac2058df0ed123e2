import { randomBytes } from 'node:crypto'
import { consume, Secret } from '../core/secret.js'
import { SecretsDamaged } from './damage.js'
import type {
  FetchedSecret,
  KeyManager,
  NewKey,
  NewSecret,
  SecretFilter,
  SecretInfo,
  SecretMetadata,
  StoredSecret,
} from './key-manager.js'
import { withLock } from './lock.js'
import { type LocalStoreOptions, type OpenStore, openStore } from './open-store.js'
import { acceptId, acceptKey, acceptMetadata, acceptSecret } from './secret-rules.js'
import {
  addSecret,
  readSecret,
  removeSecret,
  replaceSecret,
  surveySecrets,
  withoutPayload,
} from './secret-store.js'

/** A key manager in a directory of this machine; `close` wipes its key. */
export interface LocalKeyManager extends KeyManager {
  /** @throws {SecretsDamaged} when some are damaged, with those that are not */
  list(filter?: SecretFilter): Promise<SecretInfo[]>
  /** Wipes the key-encryption key; what is still under way fails. */
  close(): void
}

/**
 * Opens the key manager in a directory, and makes it when it is not there.
 *
 * Each secret is a file of its own, encrypted under a data key that is in turn encrypted under the
 * store's key-encryption key. Any number of processes of this machine may use the store at once;
 * over NFS, from several machines, they must not.
 *
 * @throws {VolsealError} `keystore-damaged` when store.json is damaged, the key is not the one of
 * the store, or the key file is missing (three messages); `forbidden` when the directory or the key
 * file is open to other users; `not-found` when there is no store and `create` is false
 *
 * @example
 * ```ts
 * const manager = await openLocalKeyManager({
 *   store: '/var/lib/volseal/keys',
 *   key: { kind: 'file', path: '/etc/volseal/key-store.key' },
 * })
 * const id = await manager.createKey({ algorithm: 'aes', bitLength: 256 })
 * manager.close()
 * ```
 */
export async function openLocalKeyManager(options: LocalStoreOptions): Promise<LocalKeyManager> {
  return new StoreKeyManager(await openStore(options))
}

class StoreKeyManager implements LocalKeyManager {
  readonly #store: OpenStore

  constructor(store: OpenStore) {
    this.#store = store
  }

  async createKey(key: NewKey): Promise<string> {
    const accepted = acceptKey(key)
    const payload = new Secret(randomBytes(key.bitLength / 8))
    return await consume(payload, async () => await addSecret(this.#store, accepted, payload))
  }

  async store(secret: NewSecret): Promise<string> {
    const accepted = acceptSecret(secret)
    // The caller may wipe its own before this is done.
    const payload = secret.payload.copy()
    return await consume(payload, async () => await addSecret(this.#store, accepted, payload))
  }

  async get(id: string): Promise<StoredSecret> {
    return await readSecret(this.#store, acceptId(id))
  }

  async fetch(id: string): Promise<FetchedSecret> {
    return await this.get(id)
  }

  async describe(id: string): Promise<SecretInfo> {
    return withoutPayload(await this.get(id))
  }

  async list(filter: SecretFilter = {}): Promise<SecretInfo[]> {
    const { secrets, damaged } = await surveySecrets(this.#store)
    const found = secrets.filter(
      ({ type, name }) =>
        (filter.type === undefined || filter.type === type) &&
        (filter.name === undefined || filter.name === name),
    )
    // Nobody can say of a damaged one whether it was asked for.
    if (damaged.length > 0) throw new SecretsDamaged(found, damaged)
    return found
  }

  async delete(id: string): Promise<void> {
    const accepted = acceptId(id)
    await withLock(this.#store.directory, async () => await removeSecret(this.#store, accepted))
  }

  /** Nothing registers here. */
  async users(id: string): Promise<readonly string[]> {
    acceptId(id)
    return await Promise.resolve([])
  }

  async setMetadata(id: string, metadata: SecretMetadata): Promise<void> {
    const accepted = acceptMetadata(metadata)
    acceptId(id)
    await withLock(this.#store.directory, async () => {
      const { payload, ...info } = await readSecret(this.#store, id)
      await consume(payload, async () => {
        await replaceSecret(this.#store, { ...info, metadata: accepted }, payload)
      })
    })
  }

  close(): void {
    this.#store.keyring.close()
  }
}
