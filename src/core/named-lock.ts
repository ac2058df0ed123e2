import { randomBytes, randomInt } from 'node:crypto'
import { mkdir, open, readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fromSystem, systemCode, throwIfAborted, VolsealError } from './errors.js'
import { isGone, ownProcessName, PROCESS_NAME, pidOf } from './process-name.js'

/**
 * A lock with a name, among all processes of this host that use the same directory, which need not
 * be there. Everybody makes a file of their own, whose name says which process it belongs to, and
 * then looks for those of others; whoever sees one takes theirs away and tries again later. A lock
 * whose process is gone counts for nothing, so a kill leaves none behind.
 */
export interface NamedLock {
  readonly directory: string
  readonly name: string
  /** How long it is waited for. */
  readonly patienceMs: number
  readonly signal?: AbortSignal | undefined
}

const PAUSE_MS = { least: 5, most: 50 }

/**
 * Runs `work` while holding the lock.
 *
 * @throws {VolsealError} `busy` with the process that holds it
 */
export async function withNamedLock<T>(lock: NamedLock, work: () => Promise<T>): Promise<T> {
  const path = await acquire(lock)
  try {
    return await work()
  } finally {
    await unlink(path).catch(() => undefined)
  }
}

async function acquire(lock: NamedLock): Promise<string> {
  const { directory, name, patienceMs, signal } = lock
  const deadline = performance.now() + patienceMs
  const own = `${name}.${await ownProcessName()}.${randomBytes(6).toString('hex')}`
  const path = join(directory, own)
  for (;;) {
    throwIfAborted(signal)
    const rival = await tryOnce(lock, path, own)
    if (rival === undefined) return path
    if (performance.now() > deadline) {
      throw new VolsealError('busy', `${name} is being worked on by process ${pidOf(rival)}`)
    }
    await sleep(randomInt(PAUSE_MS.least, PAUSE_MS.most))
  }
}

/** Makes the lock's file and keeps it, unless somebody else has one; that one's process. */
async function tryOnce(lock: NamedLock, path: string, own: string): Promise<string | undefined> {
  try {
    await mkdir(lock.directory, { mode: 0o700 }).catch(ifThere)
    await (await open(path, 'wx', 0o600)).close()
    const rival = await otherHolder(lock, own)
    if (rival !== undefined) await unlink(path)
    return rival
  } catch (error) {
    await unlink(path).catch(() => undefined)
    throw fromSystem(error, `cannot lock ${lock.name} in ${lock.directory}`)
  }
}

function ifThere(error: unknown): void {
  if (systemCode(error) !== 'EEXIST') throw error
}

async function otherHolder(
  { directory, name }: NamedLock,
  own: string,
): Promise<string | undefined> {
  for (const file of await readdir(directory)) {
    if (file === own || !file.startsWith(`${name}.`)) continue
    const owner = OWNER.exec(file.slice(name.length))?.[1]
    if (owner === undefined) continue
    if (!(await isGone(owner))) return owner
    await unlink(join(directory, file)).catch(() => undefined)
  }
  return undefined
}

const OWNER = new RegExp(`^\\.(${PROCESS_NAME})\\.[0-9a-f]{12}$`)
