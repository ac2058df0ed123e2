import { randomBytes } from 'node:crypto'
import { lstat, readdir, unlink } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { isGone, isOfThisBoot, ownedFileName, ownerOf } from './process-name.js'

/**
 * A new file gets its name last, so that it is there whole or not at all. Until then it lies beside its
 * place under a name that says whose it is: what a kill has left is removed by the next run that makes
 * a file in that directory, since it may hold a key, or fill the disk.
 */
const BEGINNING = '.volseal.'
const END = 'tmp'

/** Of another boot: this computer's last one, or that of another one that shares the directory. */
const STALE_MS = 86_400_000

/** Directories that this process has looked through. */
const cleaned = new Set<string>()

/** A path for a temporary file in the directory of the path. */
export async function temporaryBeside(path: string): Promise<string> {
  const directory = resolve(dirname(path))
  if (!cleaned.has(directory)) await removeDead(directory)
  cleaned.add(directory)
  // Where there is no /proc, nobody can say later whether this process is gone.
  const name = await ownedFileName(END).catch(() => `${randomBytes(6).toString('hex')}.${END}`)
  return join(dirname(path), `${BEGINNING}${name}`)
}

/** Whether a path has such a name, of whatever process. */
export function isTemporary(path: string): boolean {
  return basename(path).startsWith(BEGINNING)
}

/** Whether it is what a process that is gone has left. */
export async function isAbandoned(path: string): Promise<boolean> {
  if (!isTemporary(path)) return false
  return await isDead(path, basename(path).slice(BEGINNING.length)).catch(() => false)
}

/** It is a service, not a duty: a directory that cannot be read is left as it is. */
async function removeDead(directory: string): Promise<void> {
  const names = await readdir(directory).catch(() => [])
  for (const path of names.filter(isTemporary).map((name) => join(directory, name))) {
    // It may be somebody else's, or somebody else was sooner.
    if (await isAbandoned(path)) await unlink(path).catch(() => undefined)
  }
}

async function isDead(path: string, ownedName: string): Promise<boolean> {
  const owner = ownerOf(ownedName, END)
  if (owner === undefined) return false
  if (await isOfThisBoot(owner)) return await isGone(owner)
  return (await lstat(path)).mtimeMs < Date.now() - STALE_MS
}
