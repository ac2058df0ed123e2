import { randomBytes } from 'node:crypto'
import { type FileHandle, open, statfs, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { pathOfFd } from './command.js'
import { fromSystem, VolsealError } from './errors.js'
import { writeAt } from './files.js'

/** A tmpfs on every Linux (shm_overview(7)); POSIX semaphores and shared memory live there. */
const MEMORY = '/dev/shm'
/** statfs(2) */
const TMPFS_MAGIC = 0x01021994

/**
 * Runs `use` with a path at which a program that we start can read the bytes as a regular file. They
 * are in memory only and have no name that outlives us: whenever we are killed, they are gone, and
 * the program finds no file instead of waiting at a pipe's end or reading half of them.
 *
 * @throws {VolsealError} `unavailable` when there is no file system in memory
 */
export async function withMemoryFile<T>(
  bytes: Uint8Array,
  use: (path: string) => Promise<T>,
): Promise<T> {
  await requireMemory()
  const file = await namelessFile()
  try {
    await writeAt(file, bytes, 0)
    return await use(pathOfFd(file.fd))
  } finally {
    await file.close()
  }
}

async function requireMemory(): Promise<void> {
  const found = await statfs(MEMORY).catch(() => undefined)
  if (found?.type === TMPFS_MAGIC) return
  throw new VolsealError('unavailable', `${MEMORY} is no file system in memory (tmpfs)`, {
    hint: `mount -t tmpfs -o mode=1777 tmpfs ${MEMORY}`,
  })
}

/** Loses its name before it has any content. */
async function namelessFile(): Promise<FileHandle> {
  const path = join(MEMORY, `volseal-${randomBytes(9).toString('hex')}`)
  try {
    const file = await open(path, 'wx', 0o600)
    await unlink(path)
    return file
  } catch (error) {
    throw fromSystem(error, `cannot make a file in ${MEMORY}`)
  }
}
