import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { fromSystem, systemCode } from '../core/errors.js'
import { readAt } from '../core/files.js'
import { damaged } from './damage.js'

/** More than the largest secret file has (a payload of 64 KiB and all metadata that there can be). */
const MAX_FILE_BYTES = 1024 * 1024

/**
 * The content of a file of the store; undefined when it is not there. It is read through one
 * open(2), so it is one state of the file, whatever is renamed over it meanwhile.
 *
 * @throws {VolsealError} `keystore-damaged` when it is no regular file, or too large to be ours
 */
export async function readStoredFile(path: string): Promise<Buffer | undefined> {
  const file = await openIfThere(path)
  if (file === undefined) return undefined
  try {
    return await readAt(file.fd, 0, await sizeOf(file, path))
  } catch (error) {
    throw fromSystem(error, `cannot read ${path}`)
  } finally {
    await file.close()
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    // A FIFO in the place of a file must not stop us; it is found out below.
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw fromSystem(error, `cannot read ${path}`)
  }
}

async function sizeOf(file: FileHandle, path: string): Promise<number> {
  const stats = await file.stat()
  if (!stats.isFile()) throw damaged(path, 'it is no regular file')
  if (stats.size <= MAX_FILE_BYTES) return stats.size
  throw damaged(path, `expected at most ${MAX_FILE_BYTES} bytes, got ${stats.size}`)
}
