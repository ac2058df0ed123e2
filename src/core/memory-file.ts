import { constants } from 'node:fs'
import { type FileHandle, open, statfs } from 'node:fs/promises'
import { pathOfFd } from './command.js'
import { fromSystem, VolsealError } from './errors.js'
import { writeAt } from './files.js'

const PLACES = ['/dev/shm', '/run']
/** statfs(2), TMPFS_MAGIC. */
const TMPFS = 0x01021994
/** open(2); Node does not name it. A file without a name, of which a kill leaves nothing. */
export const O_TMPFILE: number = 0o20000000 | constants.O_DIRECTORY

/**
 * Opens a file that is in memory, has no name and ends when it is closed or we do. Programs that we
 * start open it by `pathOfFd`.
 *
 * @throws {VolsealError} `unavailable` without a tmpfs that can be written to
 */
export async function openMemoryFile(): Promise<FileHandle> {
  for (const place of PLACES) {
    const kind = await statfs(place).catch(() => undefined)
    if (kind?.type !== TMPFS) continue
    const file = await open(place, O_TMPFILE | constants.O_RDWR, 0o600).catch(() => undefined)
    if (file !== undefined) return file
  }
  throw new VolsealError(
    'unavailable',
    `no file can be made in memory: expected a tmpfs that can be written to on ${PLACES.join(' or ')}`,
    { hint: 'mount one: mount -t tmpfs tmpfs /dev/shm' },
  )
}

/**
 * Runs `use` with a name by which a program that we start can read the bytes as a regular file. If
 * we are killed the program finds no file, where at a FIFO it would wait for ever or read too little.
 *
 * @throws {VolsealError} `unavailable`, `io`, and all that `use` throws
 */
export async function withMemoryFile<T>(
  bytes: Uint8Array,
  use: (path: string) => Promise<T>,
): Promise<T> {
  const file = await openMemoryFile()
  try {
    await writeAt(file, bytes, 0).catch((error: unknown) => {
      throw fromSystem(error, 'cannot write a file in memory')
    })
    return await use(pathOfFd(file.fd))
  } finally {
    await file.close()
  }
}
