import { withNamedLock } from '../core/named-lock.js'
import { LOCK } from './store-directory.js'

/** How long the lock is waited for, in milliseconds: less than a long rekey, more than all else. */
const PATIENCE_MS = 30_000

/**
 * Runs `work` while holding the store's advisory lock, for what replaces or removes files:
 * setMetadata, delete, rekey. Never for a new secret or for reading.
 *
 * @param patienceMs how long to wait for it, in milliseconds
 * @throws {VolsealError} `busy`, with the process that holds it
 */
export async function withLock<T>(
  directory: string,
  work: () => Promise<T>,
  patienceMs: number = PATIENCE_MS,
): Promise<T> {
  const what = `the key store ${directory}`
  return await withNamedLock({ directory, name: LOCK, what, patienceMs }, work)
}
