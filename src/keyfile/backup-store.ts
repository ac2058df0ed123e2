import { mkdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { fromSystem, VolsealError } from '../core/errors.js'
import { syncDirectory, writeNewFile } from '../core/files.js'
import { ownedFileName } from '../core/process-name.js'
import { examine, type StoreContent } from './check-store.js'
import type { DamagedFile } from './damage.js'
import { type LocalStoreOptions, type OpenStore, openStore, refresh } from './open-store.js'
import { isInside, listStore, secretPath, statIfThere, storeFilePath } from './store-directory.js'
import { readStoreFileBytes } from './store-file.js'
import { readStoredFile } from './stored-file.js'

/** A backup that was made; JSON-safe. */
export interface BackupReport extends StoreContent {
  readonly directory: string
}

/** How often the copying starts again because a rekey changed store.json under it. */
const ATTEMPTS = 5

/**
 * Copies a store, encrypted as it is, into a new directory, and then opens every secret of the
 * copy. Files that are damaged in the store are copied too, and reported. Without its key, which
 * has to be kept apart, a backup is worth nothing: it is the key that the store has now.
 *
 * Writers need not stop: each file is read through one open(2) and so is whole, and the keys fit
 * as long as store.json is the same before and after; ids of keys never come again.
 *
 * @throws {VolsealError} `usage` when the directory exists, or lies in the store
 */
export async function backupStore(
  options: LocalStoreOptions,
  directory: string,
): Promise<BackupReport> {
  const target = resolve(directory)
  const store = await openStore({ ...options, create: false })
  try {
    await requireFree(target, store.directory)
    return await makeBackup(store, target)
  } finally {
    store.keyring.close()
  }
}

async function requireFree(target: string, directory: string): Promise<void> {
  if ((await statIfThere(target)) !== undefined) {
    throw new VolsealError('usage', `${target} exists already, and is left as it is`, {
      hint: 'name a directory that does not exist yet',
    })
  }
  if (await isInside(target, directory)) {
    throw new VolsealError('usage', `the backup ${target} would lie in the key store itself`)
  }
}

async function makeBackup(store: OpenStore, target: string): Promise<BackupReport> {
  const place = dirname(target)
  const temporary = join(place, `.${basename(target)}.${await ownedFileName('tmp')}`)
  try {
    await copyStore(store, temporary)
    const { secrets, damaged } = await openCopies({ ...store, directory: temporary })
    await rename(temporary, target)
    await syncDirectory(place)
    return { directory: target, secrets, damaged: damaged.map((file) => movedTo(target, file)) }
  } catch (error) {
    await rm(temporary, { recursive: true, force: true })
    throw fromSystem(error, `cannot make the backup ${target}`)
  }
}

function movedTo(directory: string, { path, reason }: DamagedFile): DamagedFile {
  return { path: join(directory, basename(path)), reason }
}

async function copyStore(store: OpenStore, to: string): Promise<void> {
  const from = store.directory
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    // Learns the new key while a rekey's bridge is there.
    await refresh(store)
    await rm(to, { recursive: true, force: true })
    await mkdir(to, { mode: 0o700 })
    const before = await readStoreFileBytes(from)
    await copySecrets(from, to)
    const after = await readStoreFileBytes(from)
    if (!after.equals(before)) continue
    await writeNewFile(storeFilePath(to), before, { mode: 0o600 })
    return
  }
  throw new VolsealError('busy', `the key of the key store ${from} is being changed`, {
    hint: 'try again when the rekey has ended',
  })
}

async function copySecrets(from: string, to: string): Promise<void> {
  for (const id of (await listStore(from)).ids) {
    const content = await readStoredFile(secretPath(from, id))
    // Undefined: it was deleted since the listing.
    if (content !== undefined) await writeNewFile(secretPath(to, id), content, { mode: 0o600 })
  }
}

async function openCopies(copy: OpenStore): Promise<StoreContent> {
  await refresh(copy)
  return await examine(copy)
}
