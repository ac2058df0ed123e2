import { join } from 'node:path'
import { isGone } from '../core/process-name.js'
import { listStore, removeIfThere } from './store-directory.js'

/**
 * Temporary and lock files of processes that did not live to remove them, as paths. They are in
 * nobody's way; but a temporary file may hold a secret, encrypted, that was deleted since.
 */
export async function findLeftovers(directory: string): Promise<string[]> {
  const { temporaries, locks } = await listStore(directory)
  const leftovers: string[] = []
  for (const file of [...temporaries, ...locks]) {
    if (await isGone(file.owner)) leftovers.push(join(directory, file.name))
  }
  return leftovers
}

/** Removes them, and returns the paths. */
export async function removeLeftovers(directory: string): Promise<string[]> {
  const leftovers = await findLeftovers(directory)
  for (const path of leftovers) await removeIfThere(path)
  return leftovers
}
