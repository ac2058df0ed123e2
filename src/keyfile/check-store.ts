import { resolve } from 'node:path'
import { type DamagedFile, damageOf } from './damage.js'
import { findLeftovers, removeLeftovers } from './leftovers.js'
import {
  type LocalStoreOptions,
  noStore,
  type OpenStore,
  openStore,
  refresh,
  storeExists,
} from './open-store.js'
import { surveySecrets } from './secret-store.js'
import { listStore, storeFilePath } from './store-directory.js'
import { readStoreFile } from './store-file.js'

/** The state of a store's content. */
export interface StoreContent {
  /** How many secrets there are, the damaged ones included. */
  readonly secrets: number
  readonly damaged: readonly DamagedFile[]
}

/** The state of a store; JSON-safe. */
export interface StoreReport extends StoreContent {
  /** Temporary and lock files of processes that did not live to remove them. */
  readonly leftovers: readonly string[]
  /** The leftovers that were removed, when that was asked for. */
  readonly removed: readonly string[]
  /** Whether a rekey has begun and not ended: old and new key both open the store. */
  readonly unfinishedRekey: boolean
}

/** What else `checkStore` does. */
export interface CheckOptions {
  /** Remove the leftovers. */
  readonly clean?: boolean | undefined
}

/**
 * Opens every secret of a store and reports all damage; removes leftovers when asked to, and else
 * changes nothing. With a damaged store.json the secrets are only counted.
 *
 * @throws {VolsealError} `not-found` when there is no store; `keystore-damaged` when the key is not
 * the one of the store, or its file is missing
 */
export async function checkStore(
  options: LocalStoreOptions,
  { clean = false }: CheckOptions = {},
): Promise<StoreReport> {
  const directory = resolve(options.store)
  const broken = await storeFileDamage(directory)
  const state = broken === undefined ? await checkSecrets(options) : await count(directory, broken)
  const removed = clean ? await removeLeftovers(directory) : []
  return { ...state, leftovers: await findLeftovers(directory), removed }
}

type CheckedContent = Omit<StoreReport, 'leftovers' | 'removed'>

async function storeFileDamage(directory: string): Promise<DamagedFile | undefined> {
  const path = storeFilePath(directory)
  return await damageOf(path, ['keystore-damaged'], async () => {
    if (!(await storeExists(directory))) throw noStore(directory)
    await readStoreFile(directory)
  })
}

async function count(directory: string, broken: DamagedFile): Promise<CheckedContent> {
  const { ids } = await listStore(directory)
  return { secrets: ids.length, damaged: [broken], unfinishedRekey: false }
}

async function checkSecrets(options: LocalStoreOptions): Promise<CheckedContent> {
  const store = await openStore({ ...options, create: false })
  try {
    const { bridge } = await refresh(store)
    return { ...(await examine(store)), unfinishedRekey: bridge !== null }
  } finally {
    store.keyring.close()
  }
}

/** Opens every secret. */
export async function examine(store: OpenStore): Promise<StoreContent> {
  const { count: secrets, damaged } = await surveySecrets(store)
  return { secrets, damaged }
}
