import type { Stats } from 'node:fs'
import { open, readdir, realpath, stat, unlink } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, relative } from 'node:path'
import { isUuid } from '../core/check.js'
import { fromSystem, systemCode, VolsealError } from '../core/errors.js'
import { makePrivateDirectories } from '../core/files.js'
import { ownedFileName, ownerOf } from '../core/process-name.js'

/** The directory of a key store: what lies in it, who may look at it, how a file comes to be. */

/** The files of a store, by what they are. */
export interface StoreListing {
  /** The ids of the secret files. */
  readonly ids: readonly string[]
  readonly temporaries: readonly OwnedFile[]
  readonly locks: readonly OwnedFile[]
}

/** A file that belongs to one process, and is of no use once that process is gone. */
export interface OwnedFile {
  readonly name: string
  /** The process, as `ownProcessName` spells it. */
  readonly owner: string
}

/** The ends of owned files' names. */
const TEMPORARY = 'tmp'
export const LOCK = 'lock'

const SECRET_SUFFIX = '.json'

/** The path of store.json. */
export function storeFilePath(directory: string): string {
  return join(directory, 'store.json')
}

/** The path of a secret's file. */
export function secretPath(directory: string, id: string): string {
  return join(directory, `${id}${SECRET_SUFFIX}`)
}

/** What lies in the store now; other files are none of ours. */
export async function listStore(directory: string): Promise<StoreListing> {
  const names = await readdir(directory).catch((error: unknown) => {
    throw fromSystem(error, `cannot read the key store ${directory}`)
  })
  const ids = names
    .filter((name) => name.endsWith(SECRET_SUFFIX))
    .map((name) => name.slice(0, -SECRET_SUFFIX.length))
    .filter(isUuid)
  return { ids: ids.toSorted(), temporaries: owned(names, TEMPORARY), locks: owned(names, LOCK) }
}

function owned(names: readonly string[], end: string): OwnedFile[] {
  return names.flatMap((name) => {
    const owner = ownerOf(name, end)
    return owner === undefined ? [] : [{ name, owner }]
  })
}

/** A file that is there while `withTemporary` runs. */
export interface Temporary {
  readonly path: string
  /** Writes the whole content and flushes it to the disk. */
  write(content: Uint8Array): Promise<void>
}

/** Runs `use` with a new, empty file of mode 0600 in the directory, and removes it afterwards. */
export async function withTemporary(
  directory: string,
  use: (temporary: Temporary) => Promise<void>,
): Promise<void> {
  const path = join(directory, await ownedFileName(TEMPORARY))
  const file = await open(path, 'wx', 0o600)
  try {
    await use({
      path,
      async write(content) {
        await file.writeFile(content)
        await file.sync()
      },
    })
  } finally {
    await file.close()
    await removeIfThere(path)
  }
}

/** Removes a file that somebody else may have removed. */
export async function removeIfThere(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error
  }
}

/** Makes the directory, and the missing ones above it, with mode 0700; flushed to the disk. */
export async function makePrivateDirectory(path: string): Promise<void> {
  try {
    await makePrivateDirectories(path)
  } catch (error) {
    throw fromSystem(error, `cannot make the directory ${path}`)
  }
}

/**
 * Refuses a directory that others can look into, or that belongs to somebody else.
 *
 * @throws {VolsealError} `forbidden`
 */
export function requirePrivateDirectory(path: string, stats: Stats): void {
  const uid = process.getuid?.()
  if (uid !== undefined && stats.uid !== uid) {
    throw new VolsealError(
      'forbidden',
      `${path} belongs to another user: expected user id ${uid}, got ${stats.uid}`,
      { hint: `run volseal as its owner, or: chown -R ${uid} ${path}` },
    )
  }
  requireNoOthers(path, stats, '700')
}

/** Refuses what the group or others have any access to. @throws {VolsealError} `forbidden` */
export function requireNoOthers(path: string, stats: Stats, wanted: string): void {
  const mode = stats.mode & 0o777
  if ((mode & 0o077) === 0) return
  throw new VolsealError(
    'forbidden',
    `${path} is open to other users: expected mode ${wanted}, got ${mode.toString(8)}`,
    { hint: `chmod ${wanted} ${path}` },
  )
}

/** What stat(2) says; undefined when there is nothing. */
export async function statIfThere(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw fromSystem(error, `cannot look at ${path}`)
  }
}

/** Whether the path, which need not exist, is the directory or leads into it. */
export async function isInside(path: string, directory: string): Promise<boolean> {
  const within = relative(await realPlace(directory), await realPlace(path))
  return within !== '..' && !within.startsWith('../') && !isAbsolute(within)
}

/** The path without symbolic links, as far as it exists. */
async function realPlace(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch (error) {
    const above = dirname(path)
    if (systemCode(error) !== 'ENOENT' || above === path)
      throw fromSystem(error, `cannot look at ${path}`)
    return join(await realPlace(above), basename(path))
  }
}
