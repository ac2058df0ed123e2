import { randomBytes } from 'node:crypto'
import { type FileHandle, link, open, rename, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fromSystem, systemCode, VolsealError } from './errors.js'

export interface NewFileOptions {
  /** Permission bits; 0o644 when not given. */
  mode?: number
  /** Replace a file that is there. */
  force?: boolean
}

/**
 * Writes a file so that it is there whole or not at all: a temporary file beside it, fsync, link
 * (which never replaces anything) or rename, fsync of the directory.
 *
 * @throws {VolsealError} `usage` when the file exists and `force` is not set; `io` and the like.
 */
export async function writeNewFile(
  path: string,
  content: Uint8Array | string,
  options: NewFileOptions = {},
): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`)
  try {
    await writeDurably(temporary, content, options.mode ?? 0o644)
    if (options.force === true) {
      await rename(temporary, path)
    } else {
      await link(temporary, path)
      await unlink(temporary)
    }
    await syncDirectory(dirname(path))
  } catch (error) {
    await unlink(temporary).catch(() => undefined)
    if (systemCode(error) === 'EEXIST') throw exists(path, error)
    throw fromSystem(error, `cannot write ${path}`)
  }
}

/** Writes and flushes a file that must not exist yet. */
async function writeDurably(
  path: string,
  content: Uint8Array | string,
  mode: number,
): Promise<void> {
  const file = await open(path, 'wx', mode)
  try {
    await file.chmod(mode)
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Makes the directory's entries (links, renames, removals) survive a power cut. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

function exists(path: string, cause: unknown): VolsealError {
  return new VolsealError('usage', `${path} exists already, and is left as it is`, {
    hint: 'choose another name, or replace it with --force',
    cause,
  })
}

/** Reads exactly `length` bytes at `offset`, fewer only where the file ends. */
export async function readAt(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length)
  let filled = 0
  while (filled < length) {
    const { bytesRead } = await file.read(buffer, filled, length - filled, offset + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return buffer.subarray(0, filled)
}

/** Writes all of `bytes` at `offset`. */
export async function writeAt(file: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  let written = 0
  while (written < bytes.length) {
    const part = await file.write(bytes, written, bytes.length - written, offset + written)
    written += part.bytesWritten
  }
}
