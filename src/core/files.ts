import { constants, read, type Stats } from 'node:fs'
import {
  access,
  type FileHandle,
  link,
  mkdir,
  open,
  rename,
  rmdir,
  stat,
  unlink,
} from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { fromSystem, systemCode, VolsealError } from './errors.js'
import { kindOf } from './file-kind.js'
import { temporaryBeside } from './temporary-name.js'

export interface NewFileOptions {
  /** Permission bits; 0o644 when not given. */
  mode?: number
  /** Replace a file that is there. */
  force?: boolean
}

export interface NewFile extends NewFileOptions {
  readonly path: string
  readonly content: Uint8Array | string
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
  await writeNewFiles([{ path, content, ...options }])
}

/** Writes several files that belong together: none is put in place before all are on disk. */
export async function writeNewFiles(files: readonly NewFile[]): Promise<void> {
  const staged: { file: NewFile; temporary: string }[] = []
  try {
    for (const file of files) await requireFileOrNothing(file.path)
    for (const file of files) {
      const temporary = await temporaryBeside(file.path)
      staged.push({ file, temporary })
      await writeDurably(temporary, file)
    }
    for (const { file, temporary } of staged) await putInPlace(file, temporary)
  } finally {
    await Promise.all(staged.map(async ({ temporary }) => await removeIfThere(temporary)))
  }
}

/** A rename would put a file in the place of /dev/null as well, or of the link /dev/stdout. */
async function requireFileOrNothing(path: string): Promise<void> {
  const stats = await statOf(path).catch((error: unknown) => {
    throw fromSystem(error, `cannot write ${path}`)
  })
  if (stats === undefined || stats.isFile()) return
  const kind = kindOf(stats)
  throw new VolsealError('usage', `${path}: expected the name of a file to make, got ${kind}`)
}

async function putInPlace(file: NewFile, temporary: string): Promise<void> {
  try {
    if (file.force === true) await rename(temporary, file.path)
    else await link(temporary, file.path)
    await syncDirectory(dirname(file.path))
  } catch (error) {
    if (systemCode(error) === 'EEXIST') throw exists(file.path, error)
    throw fromSystem(error, `cannot write ${file.path}`)
  }
}

async function removeIfThere(path: string): Promise<void> {
  await unlink(path).catch(() => undefined)
}

/** Writes and flushes a file that must not exist yet. */
async function writeDurably(temporary: string, file: NewFile): Promise<void> {
  const mode = file.mode ?? 0o644
  try {
    const handle = await open(temporary, 'wx', mode)
    try {
      await handle.writeFile(file.content)
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch (error) {
    if (systemCode(error) === 'ENOENT') throw noDirectory(file.path, error)
    throw fromSystem(error, `cannot write ${file.path}`)
  }
}

/**
 * Whether a file can be made there, found out before long work.
 *
 * @throws {VolsealError} `usage`, `not-found`, `forbidden`
 */
export async function requirePlaceFor(path: string): Promise<void> {
  const directory = dirname(path)
  try {
    const stats = await stat(directory)
    if (!stats.isDirectory()) throw noneButOther(directory, stats)
    await access(directory, constants.W_OK | constants.X_OK)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') throw noDirectory(path, error)
    throw fromSystem(error, `cannot make ${path}`)
  }
}

function noneButOther(path: string, stats: Stats): VolsealError {
  return new VolsealError('usage', `${path}: expected a directory, got ${kindOf(stats)}`)
}

/** The same for a directory that is there, or can be made: what is above it must be there. */
export async function requirePlaceForDirectory(path: string): Promise<void> {
  const isThere = (await statOf(path)) !== undefined
  await requirePlaceFor(isThere ? join(path, 'file') : path)
}

/** Runs work in a directory, which is made for it if need be, and not left behind empty. */
export async function withDirectory<T>(path: string, work: () => Promise<T>): Promise<T> {
  const isMade = await makeDirectory(path)
  try {
    if (isMade) await syncDirectory(dirname(resolve(path)))
    return await work()
  } catch (error) {
    if (isMade) await rmdir(path).catch(() => undefined)
    throw error
  }
}

async function makeDirectory(path: string): Promise<boolean> {
  try {
    await mkdir(path)
    return true
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false
    throw fromSystem(error, `cannot make the directory ${path}`)
  }
}

function noDirectory(path: string, cause: unknown): VolsealError {
  const directory = dirname(path)
  return new VolsealError('not-found', `cannot make ${path}: there is no directory ${directory}`, {
    cause,
  })
}

/**
 * Makes a directory, and the missing ones above it, for nobody else (0700); flushed to the disk. One
 * level at a time: Node's own `recursive` goes on for ever where the kernel says ENOENT of what can
 * never be made, as below /proc.
 */
export async function makePrivateDirectories(path: string): Promise<void> {
  const directory = resolve(path)
  if (await isDirectory(directory)) return
  await makePrivateDirectories(dirname(directory))
  try {
    await mkdir(directory, { mode: 0o700 })
  } catch (error) {
    // Somebody else made it just now, or it is something else.
    if (systemCode(error) === 'EEXIST' && (await isDirectory(directory))) return
    throw error
  }
  await syncDirectory(dirname(directory))
}

async function isDirectory(path: string): Promise<boolean> {
  return (await statOf(path))?.isDirectory() ?? false
}

/** What is there, behind links; undefined for nothing. */
async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
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

const readFd = promisify(read)

/**
 * Reads `length` bytes of an open file at `offset`; fewer only where the file ends. They come in
 * memory of their own, unless a `buffer` for them is given.
 */
export async function readAt(
  fd: number,
  offset: number,
  length: number,
  buffer: Buffer = Buffer.alloc(length),
): Promise<Buffer> {
  let filled = 0
  while (filled < length) {
    const { bytesRead } = await readFd(fd, buffer, filled, length - filled, offset + filled)
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
