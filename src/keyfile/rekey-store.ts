import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fromSystem, VolsealError } from '../core/errors.js'
import { syncDirectory } from '../core/files.js'
import { isGone, pidOf } from '../core/process-name.js'
import { examine } from './check-store.js'
import { type KeyMaterial, readKeySource, type StoreKeySource } from './key-source.js'
import { removeLeftovers } from './leftovers.js'
import { withLock } from './lock.js'
import {
  bridgeContext,
  type LocalStoreOptions,
  matchKek,
  newKek,
  type OpenStore,
  openStore,
  refresh,
} from './open-store.js'
import { encodeSecretFile, rewrapSecret } from './secret-file.js'
import { readSecretFile } from './secret-store.js'
import {
  listStore,
  type OwnedFile,
  secretPath,
  statIfThere,
  withTemporary,
} from './store-directory.js'
import { replaceStoreFile } from './store-file.js'

/**
 * Puts a store under a new key-encryption key (KEK). The steps, each flushed before the next:
 *
 * 1. store.json names the new KEK as the current one, with a bridge: each of the two keys sealed
 *    under the other. From here either key opens everything, and writers use the new one.
 * 2. Wait for the writers that may have read store.json before that: all whose temporary file is
 *    there now (`secret-store.ts`). They end, or are gone.
 * 3. Seal every data key that is under the old KEK under the new one, file by file (rename), until
 *    a listing finds none. The payloads stay as they are. Remove leftover temporary files, so that
 *    nothing is left in the store that the old key opens.
 * 4. store.json without the bridge. Only the new key opens the store.
 *
 * Killed before 1: nothing has happened, but for a leftover temporary file and maybe an unused key
 * file. Killed between 1 and 4: both keys open the store, `keystore check` tells, and any rekey
 * first goes on from 2, which may all be done twice. Killed after 4: done.
 *
 * Beside it: readers that meet an unknown KEK read store.json, and then the file, again. The lock
 * is held throughout, so no rename here brings back a deleted secret or undoes setMetadata; those
 * two wait. Two rekeys exclude each other. Whoever holds the old key only, and had the store open,
 * learns the new one over the bridge; who comes after 4 is told to open it again (`busy`).
 */

/** What a rekey did; JSON-safe. */
export interface RekeyReport {
  readonly secrets: number
  /** Whether an earlier rekey had been interrupted, and was ended first. */
  readonly finishedPending: boolean
}

/** How long a writer that began before the rekey is waited for, in milliseconds. */
const WRITER_PATIENCE_MS = 30_000
const WRITER_PAUSE_MS = 10

/**
 * Puts a store under a new key. A store with damaged secrets is refused, because what is under the
 * old key could not be mended any more. A rekey that was interrupted is ended by the same call,
 * with the old or the new key.
 *
 * @throws {VolsealError} `busy` when the store is in use for long; `keystore-damaged`; `usage` when
 * the new key is the present one
 */
export async function rekeyStore(
  options: LocalStoreOptions,
  newKey: StoreKeySource,
): Promise<RekeyReport> {
  const store = await openStore({ ...options, create: false })
  try {
    return await withLock(store.directory, async () => {
      const secrets = await requireIntact(store)
      const finishedPending = await finishPending(store)
      await changeKey(store, newKey, finishedPending)
      return { secrets, finishedPending }
    })
  } finally {
    store.keyring.close()
  }
}

async function requireIntact(store: OpenStore): Promise<number> {
  const { secrets, damaged } = await examine(store)
  const [first] = damaged
  if (first === undefined) return secrets
  throw new VolsealError(
    'keystore-damaged',
    `${damaged.length} of ${secrets} secrets are damaged, the first is ${first.path}: ${first.reason}`,
    {
      hint: 'restore them from a backup, or move their files away: after a rekey nothing mends them',
    },
  )
}

async function finishPending(store: OpenStore): Promise<boolean> {
  const { bridge } = await refresh(store)
  if (bridge === null) return false
  await finish(store)
  return true
}

async function changeKey(
  store: OpenStore,
  newKey: StoreKeySource,
  finishedPending: boolean,
): Promise<void> {
  const material = await readKeySource(newKey, { directory: store.directory, make: true })
  try {
    const isPresent = await isPresentKey(store, material)
    // The pending rekey was the one that is asked for.
    if (isPresent && finishedPending) return
    if (isPresent) throw new VolsealError('usage', `${material.name} is the store's present one`)
    await buildBridge(store, material)
  } finally {
    material.secret.wipe()
  }
  await finish(store)
}

async function isPresentKey(store: OpenStore, material: KeyMaterial): Promise<boolean> {
  const { current } = await refresh(store)
  const key = await matchKek(material, current)
  key?.wipe()
  return key !== undefined
}

/** Step 1. */
async function buildBridge(store: OpenStore, material: KeyMaterial): Promise<void> {
  const { directory, keyring } = store
  const { current: previous } = await refresh(store)
  const { record: current, key } = await newKek(material)
  keyring.add(current.id, key)
  const [from, to] = [current.id, previous.id]
  const bridge = {
    previous,
    previousKey: keyring.sealKey(from, to, bridgeContext(from, to)),
    currentKey: keyring.sealKey(to, from, bridgeContext(to, from)),
  }
  await replaceStoreFile(directory, { current, bridge })
}

/** Steps 2 to 4. */
async function finish(store: OpenStore): Promise<void> {
  try {
    const { current } = await refresh(store)
    await awaitWriters(store.directory)
    while ((await rewrapAll(store, current.id)) > 0);
    await removeLeftovers(store.directory)
    await replaceStoreFile(store.directory, { current, bridge: null })
  } catch (error) {
    throw unfinished(error, store.directory)
  }
}

function unfinished(error: unknown, directory: string): VolsealError {
  const { code, message } = fromSystem(error, `cannot rekey ${directory}`)
  return new VolsealError(code, `the rekey of ${directory} is not finished: ${message}`, {
    hint: 'run it again to go on; until then the old and the new key both open the store',
    cause: error,
  })
}

async function awaitWriters(directory: string): Promise<void> {
  const { temporaries } = await listStore(directory)
  const deadline = performance.now() + WRITER_PATIENCE_MS
  for (const temporary of temporaries) {
    while (await isWriting(directory, temporary)) {
      if (performance.now() > deadline) throw writerHangs(temporary)
      await sleep(WRITER_PAUSE_MS)
    }
  }
}

async function isWriting(directory: string, { name, owner }: OwnedFile): Promise<boolean> {
  return (await statIfThere(join(directory, name))) !== undefined && !(await isGone(owner))
}

function writerHangs({ name, owner }: OwnedFile): VolsealError {
  return new VolsealError('busy', `process ${pidOf(owner)} does not end its writing of ${name}`)
}

/** Step 3, one round: returns how many files were under another KEK. */
async function rewrapAll(store: OpenStore, kekId: string): Promise<number> {
  let rewrapped = 0
  for (const id of (await listStore(store.directory)).ids) {
    if (await rewrap(store, id, kekId)) rewrapped += 1
  }
  await syncDirectory(store.directory)
  return rewrapped
}

async function rewrap(store: OpenStore, id: string, kekId: string): Promise<boolean> {
  const { directory, keyring } = store
  const path = secretPath(directory, id)
  const file = await readSecretFile(store, id)
  if (file === undefined || file.kekId === kekId) return false
  await withTemporary(directory, async (temporary) => {
    await temporary.write(encodeSecretFile(rewrapSecret(file, keyring, path, kekId)))
    await rename(temporary.path, path)
  })
  return true
}
