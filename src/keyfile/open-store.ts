import { randomUUID } from 'node:crypto'
import { resolve } from 'node:path'
import { VolsealError } from '../core/errors.js'
import { Secret } from '../core/secret.js'
import { contextOf, seal, unseal } from './aead.js'
import { damaged } from './damage.js'
import { deriveKey, newDerivation, plainDerivation } from './key-derivation.js'
import { type KeyMaterial, readKeySource, type StoreKeySource } from './key-source.js'
import { Keyring } from './keyring.js'
import {
  listStore,
  makePrivateDirectory,
  requirePrivateDirectory,
  statIfThere,
  storeFilePath,
} from './store-directory.js'
import { createStoreFile, type KekRecord, readStoreFile, type StoreFile } from './store-file.js'

/** A key store and what opens it. */
export interface LocalStoreOptions {
  /** The store's directory. */
  readonly store: string
  readonly key: StoreKeySource
  /** Whether a store that is not there is made; true when not given. */
  readonly create?: boolean | undefined
}

/** A store whose key is at hand; who opened it closes the keyring. */
export interface OpenStore {
  readonly directory: string
  readonly keyring: Keyring
}

/**
 * Opens the store, and makes it first when it is not there.
 *
 * Two processes may make it at once: the key file and store.json are put in place by link(2), which
 * never replaces a file, and everybody then opens what is there. The key file comes first, so that
 * a store without one has lost it.
 */
export async function openStore(options: LocalStoreOptions): Promise<OpenStore> {
  const directory = resolve(options.store)
  const exists = await storeExists(directory)
  if (!exists && options.create === false) throw noStore(directory)
  if (exists) await requireKind(directory, options.key.kind)
  const material = await readKeySource(options.key, { directory, make: !exists })
  try {
    if (!exists) await createStore(directory, material)
    return await unlock(directory, material)
  } finally {
    material.secret.wipe()
  }
}

/**
 * Whether there is a store in the directory.
 *
 * @throws {VolsealError} `forbidden` when others can look into it, `keystore-damaged` when there
 * are secrets but no store.json
 */
export async function storeExists(directory: string): Promise<boolean> {
  const stats = await statIfThere(directory)
  if (stats === undefined) return false
  if (!stats.isDirectory()) {
    throw new VolsealError('usage', `${directory}: expected a directory, got a file`)
  }
  requirePrivateDirectory(directory, stats)
  // In this order: a secret that is listed was written after store.json.
  const { ids } = await listStore(directory)
  const path = storeFilePath(directory)
  if ((await statIfThere(path)) !== undefined) return true
  if (ids.length === 0) return false
  throw damaged(path, `it is missing, though secrets are there: ${ids.length}`)
}

/** The error for a directory without a store. */
export function noStore(directory: string): VolsealError {
  return new VolsealError('not-found', `there is no key store in ${directory}`)
}

async function createStore(directory: string, material: KeyMaterial): Promise<void> {
  await makePrivateDirectory(directory)
  const { record, key } = await newKek(material)
  key.wipe()
  await createStoreFile(directory, { current: record, bridge: null })
}

/** A new KEK from the material; the caller wipes the key. */
export async function newKek(material: KeyMaterial): Promise<{ record: KekRecord; key: Secret }> {
  const id = randomUUID()
  const kdf = material.kind === 'passphrase' ? newDerivation() : null
  const key = await kekOf(material, kdf)
  const verifier = seal(key.bytes(), Buffer.alloc(0), verifierContext({ id, kdf }))
  return { record: { id, kdf, verifier }, key }
}

async function kekOf(material: KeyMaterial, kdf: KekRecord['kdf']): Promise<Secret> {
  return kdf === null ? material.secret.copy() : await deriveKey(material.secret, kdf)
}

function verifierContext({ id, kdf }: Omit<KekRecord, 'verifier'>): string {
  return contextOf('key verifier', [id, kdf === null ? null : plainDerivation(kdf)])
}

/** The KEK of that record if the material gives it; the caller wipes it. */
export async function matchKek(
  material: KeyMaterial,
  record: KekRecord,
): Promise<Secret | undefined> {
  if (!kindFits(material, record)) return undefined
  const key = await kekOf(material, record.kdf)
  if (unseal(key.bytes(), record.verifier, verifierContext(record)) !== undefined) return key
  key.wipe()
  return undefined
}

function kindFits({ kind }: { readonly kind: StoreKeySource['kind'] }, record: KekRecord): boolean {
  return (kind === 'passphrase') === (record.kdf !== null)
}

/** A file that the store never had is not missed. */
async function requireKind(directory: string, kind: StoreKeySource['kind']): Promise<void> {
  const { current, bridge } = await readStoreFile(directory)
  const records = bridge === null ? [current] : [current, bridge.previous]
  if (records.some((record) => kindFits({ kind }, record))) return
  const [wanted, got] =
    kind === 'passphrase' ? ['a key', 'a passphrase'] : ['a passphrase', 'a key']
  throw new VolsealError(
    'keystore-damaged',
    `the key store ${directory} is opened by ${wanted}, not by ${got}`,
    { hint: kind === 'passphrase' ? '--key-store-key FILE' : '--key-store-passphrase-file FILE' },
  )
}

async function unlock(directory: string, material: KeyMaterial): Promise<OpenStore> {
  const file = await readStoreFile(directory)
  const records = file.bridge === null ? [file.current] : [file.current, file.bridge.previous]
  for (const record of records) {
    const key = await matchKek(material, record)
    if (key === undefined) continue
    const store = { directory, keyring: new Keyring() }
    store.keyring.add(record.id, key)
    await refresh(store)
    return store
  }
  throw new VolsealError(
    'keystore-damaged',
    `${material.name} is not the one of the key store ${directory}`,
    { hint: 'the store itself is undamaged: give the key or passphrase that it was last set to' },
  )
}

/**
 * Reads store.json anew and learns, over the bridge of a rekey, the key that is not yet at hand.
 *
 * @throws {VolsealError} `busy` when the key was changed since the store was opened
 */
export async function refresh(store: OpenStore): Promise<StoreFile> {
  const { directory, keyring } = store
  const file = await readStoreFile(directory)
  const { current, bridge } = file
  if (bridge !== null && keyring.has(current.id)) {
    learn(store, current.id, bridge.previous.id, bridge.previousKey)
  }
  if (bridge !== null && keyring.has(bridge.previous.id)) {
    learn(store, bridge.previous.id, current.id, bridge.currentKey)
  }
  if (keyring.has(current.id)) return file
  throw new VolsealError('busy', `the key of the key store ${directory} was changed meanwhile`, {
    hint: 'open it again, with the new key',
  })
}

function learn(store: OpenStore, fromId: string, toId: string, sealed: Buffer): void {
  const { directory, keyring } = store
  if (keyring.has(toId)) return
  const key = keyring.unseal(fromId, sealed, bridgeContext(fromId, toId))
  if (key === undefined) {
    throw damaged(storeFilePath(directory), `its bridge to the key ${toId} is not authentic`)
  }
  keyring.add(toId, new Secret(key))
}

/** The context of the key `toId` sealed under the key `fromId`. */
export function bridgeContext(fromId: string, toId: string): string {
  return contextOf('rekey bridge', [fromId, toId])
}
