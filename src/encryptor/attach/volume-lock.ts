import { fromSystem } from '../../core/errors.js'
import { makePrivateDirectories } from '../../core/files.js'
import { withNamedLock } from '../../core/named-lock.js'

/** Where volseal's processes on this host see each other. Gone with the boot, as mappings are. */
const DIRECTORY = '/run/volseal'
/** Longer than the slowest key derivation that is accepted. */
const PATIENCE_MS = 300_000

/**
 * Runs `work` alone among attaches, detaches and gc of the mapping with that name: who finds a mapping
 * without its link, or without its table, would take it for one that a kill has left.
 */
export async function withVolumeLock<T>(
  mapping: string,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  await makePrivateDirectories(DIRECTORY).catch((error: unknown) => {
    throw fromSystem(error, `cannot make ${DIRECTORY}`)
  })
  const what = `the mapping ${mapping}`
  const lock = { directory: DIRECTORY, name: mapping, what, patienceMs: PATIENCE_MS, signal }
  return await withNamedLock(lock, work)
}
