import { type FileHandle, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fromSystem, systemCode, throwIfAborted } from '../core/errors.js'

/** What a storage node's devices hold of an object. */
export interface DeviceSearch {
  /** Files that are looked through: those that changed since the object was written. */
  readonly files: number
  /** Files of objects that are as long as it. */
  readonly candidates: readonly string[]
  /** Files that hold it in clear. */
  readonly clear: readonly string[]
}

export interface Wanted {
  readonly bytes: Buffer
  /** Milliseconds since 1970, by the clock of the devices' computer. */
  readonly since: number
}

const CHUNK = 1024 * 1024
/** Clocks of file systems are coarse. */
const MARGIN_MS = 2000

/**
 * Looks for bytes in all files below a directory that changed since then. AES-CTR keeps the length, so
 * that the object's own file is known by it.
 *
 * @throws {VolsealError} `not-found`, `forbidden`, `io`
 */
export async function searchDevices(
  directory: string,
  { bytes, since }: Wanted,
  signal?: AbortSignal,
): Promise<DeviceSearch> {
  const candidates: string[] = []
  const clear: string[] = []
  let files = 0
  for await (const path of filesBelow(directory)) {
    throwIfAborted(signal)
    const found = await searchFile(path, { bytes, since })
    if (found === undefined) continue
    files += 1
    if (found.size === bytes.length && path.endsWith('.data')) candidates.push(path)
    if (found.holds) clear.push(path)
  }
  return { files, candidates, clear }
}

async function* filesBelow(directory: string): AsyncGenerator<string> {
  const entries = await readdir(directory, { withFileTypes: true }).catch((error: unknown) => {
    throw fromSystem(error, `cannot read ${directory}`)
  })
  for (const entry of entries) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) yield* filesBelow(path)
    else if (entry.isFile()) yield path
  }
}

/** Undefined for a file that is older, or gone by now. */
async function searchFile(
  path: string,
  { bytes, since }: Wanted,
): Promise<{ size: number; holds: boolean } | undefined> {
  let file: FileHandle | undefined
  try {
    file = await open(path)
    const { size, mtimeMs } = await file.stat()
    if (mtimeMs < since - MARGIN_MS) return undefined
    return { size, holds: await holds(file, size, bytes) }
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw fromSystem(error, `cannot read ${path}`)
  } finally {
    await file?.close()
  }
}

/** Pieces overlap, so that nothing is missed between two. */
async function holds(file: FileHandle, size: number, bytes: Buffer): Promise<boolean> {
  const buffer = Buffer.alloc(CHUNK + bytes.length)
  for (let at = 0; at < size; at += CHUNK) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, at)
    if (buffer.subarray(0, bytesRead).includes(bytes)) return true
  }
  return false
}
