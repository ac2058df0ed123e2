import { randomInt } from 'node:crypto'
import { open, readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fromSystem, systemCode, throwIfAborted, VolsealError } from './errors.js'
import { isGone, ownedFileName, ownerOf, pidOf } from './process-name.js'

/**
 * A lock with a name, among all processes that use the same directory.
 *
 * Everybody makes a lock file of their own, whose name says which process it belongs to, and then
 * looks for those of others; whoever sees another one takes theirs away and tries again later. Of
 * two at once, each made its file before it looked, so at least one sees the other: never do two
 * hold the lock. A lock file with a fixed name would have to be removed when its process is gone,
 * and with it, now and then, the one that somebody else had just put in its place; the name of a
 * file of ours never comes twice, so removing a dead one is always right.
 */
export interface NamedLock {
  readonly directory: string
  /** The end of the lock files' names. */
  readonly name: string
  /** What it protects, for errors. */
  readonly what: string
  /** How long it is waited for. */
  readonly patienceMs: number
  readonly signal?: AbortSignal | undefined
}

const PAUSE_MS = { least: 2, most: 25 }

/**
 * Runs `work` while holding the lock.
 *
 * @throws {VolsealError} `busy` with the process that holds it, and the signal's reason
 */
export async function withNamedLock<T>(lock: NamedLock, work: () => Promise<T>): Promise<T> {
  const own = await acquire(lock)
  try {
    return await work()
  } finally {
    // The work is done, or has its own error.
    await remove(lock, own).catch(() => undefined)
  }
}

async function acquire(lock: NamedLock): Promise<string> {
  const own = await ownedFileName(lock.name)
  const deadline = performance.now() + lock.patienceMs
  for (;;) {
    throwIfAborted(lock.signal)
    const rival = await tryOnce(lock, own)
    if (rival === undefined) return own
    if (performance.now() > deadline) throw busy(lock, rival)
    await sleep(randomInt(PAUSE_MS.least, PAUSE_MS.most))
  }
}

/** Makes the lock file and keeps it, unless there is another one, whose name is returned. */
async function tryOnce(lock: NamedLock, own: string): Promise<string | undefined> {
  try {
    // To wait without a file of one's own does not keep others from theirs.
    const before = await otherFile(lock, own)
    if (before !== undefined) return before
    await (await open(join(lock.directory, own), 'wx', 0o600)).close()
    const rival = await otherFile(lock, own)
    if (rival !== undefined) await remove(lock, own)
    return rival
  } catch (error) {
    await remove(lock, own).catch(() => undefined)
    throw fromSystem(error, `cannot lock ${lock.what}`)
  }
}

/** Somebody else's lock file; those of processes that are gone are removed. */
async function otherFile(lock: NamedLock, own: string): Promise<string | undefined> {
  for (const file of await readdir(lock.directory)) {
    const owner = ownerOf(file, lock.name)
    if (owner === undefined || file === own) continue
    if (!(await isGone(owner))) return file
    await remove(lock, file)
  }
  return undefined
}

async function remove({ directory }: NamedLock, file: string): Promise<void> {
  try {
    await unlink(join(directory, file))
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error
  }
}

function busy({ name, what, directory }: NamedLock, file: string): VolsealError {
  const pid = pidOf(ownerOf(file, name) ?? '')
  return new VolsealError('busy', `${what} is in use by process ${pid}`, {
    hint: `try again; if that process does not run, in no container either, remove ${join(directory, file)}`,
  })
}
