import { randomInt } from 'node:crypto'
import { open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fromSystem, VolsealError } from '../core/errors.js'
import { isGone, pidOf } from '../core/process-name.js'
import { listStore, type OwnedFile, ownedFileName, removeIfThere } from './store-directory.js'

/**
 * The store's advisory lock, for what replaces or removes files: setMetadata, delete, rekey. Never
 * for a new secret or for reading.
 *
 * Everybody makes a lock file of their own, whose name says which process it belongs to, and then
 * looks for those of others; whoever sees another one takes theirs away and tries again later. Of
 * two at once, each made its file before it looked, so at least one sees the other: never do two
 * hold the lock. A lock file with a fixed name would have to be removed when its process is gone,
 * and with it, now and then, the one that somebody else had just put in its place; the name of a
 * file of ours never comes twice, so removing a dead one is always right.
 */

/** How long the lock is waited for, in milliseconds: less than a long rekey, more than all else. */
const PATIENCE_MS = 30_000
const PAUSE_MS = { least: 1, most: 20 }

/**
 * Runs `work` while holding the lock.
 *
 * @param patienceMs how long to wait for it, in milliseconds
 * @throws {VolsealError} `busy`, with the process that holds it
 */
export async function withLock<T>(
  directory: string,
  work: () => Promise<T>,
  patienceMs: number = PATIENCE_MS,
): Promise<T> {
  const path = await acquire(directory, patienceMs)
  try {
    return await work()
  } finally {
    await removeIfThere(path)
  }
}

async function acquire(directory: string, patienceMs: number): Promise<string> {
  const name = await ownedFileName('lock')
  const path = join(directory, name)
  const deadline = performance.now() + patienceMs
  for (;;) {
    const rival = (await otherLock(directory, name)) ?? (await tryOnce(directory, name))
    if (rival === undefined) return path
    if (performance.now() > deadline) throw busy(directory, rival)
    await sleep(randomInt(PAUSE_MS.least, PAUSE_MS.most))
  }
}

/** Makes the lock file; keeps it, unless there is another one, which is returned. */
async function tryOnce(directory: string, name: string): Promise<OwnedFile | undefined> {
  const path = join(directory, name)
  try {
    await (await open(path, 'wx', 0o600)).close()
  } catch (error) {
    throw fromSystem(error, `cannot lock the key store ${directory}`)
  }
  let rival: OwnedFile | undefined
  try {
    rival = await otherLock(directory, name)
  } catch (error) {
    await removeIfThere(path)
    throw error
  }
  if (rival !== undefined) await unlink(path)
  return rival
}

/** Somebody else's lock; those of processes that are gone are removed. */
async function otherLock(directory: string, own: string): Promise<OwnedFile | undefined> {
  const { locks } = await listStore(directory)
  for (const lock of locks) {
    if (lock.name === own) continue
    if (!(await isGone(lock.owner))) return lock
    await removeIfThere(join(directory, lock.name))
  }
  return undefined
}

function busy(directory: string, lock: OwnedFile): VolsealError {
  const pid = pidOf(lock.owner)
  return new VolsealError('busy', `the key store ${directory} is in use by process ${pid}`, {
    hint: `try again; if that process does not run, in no container either, remove ${lock.name}`,
  })
}
