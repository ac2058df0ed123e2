import type { KeyManager } from '../keyfile/index.js'

/**
 * A key that a rekey makes says in the key manager what it is for: a run that was killed finds it
 * again there, from any host, and tries whether it opens the volume.
 */

const PURPOSE = 'volume-key'

/** Draws a new key for a volume and returns its id. */
export async function createNewKey(
  keyManager: KeyManager,
  uuid: string,
  replaces: string,
): Promise<string> {
  return await keyManager.createKey({
    algorithm: 'aes',
    bitLength: 256,
    name: nameOf(uuid),
    metadata: { 'volseal-purpose': PURPOSE, 'volume-uuid': uuid, replaces },
  })
}

/** Ids of the keys that were made in that one's place, oldest first. */
export async function namedNewKeys(
  keyManager: KeyManager,
  uuid: string,
  replaces: string,
): Promise<string[]> {
  const named = await keyManager.list({ type: 'symmetric', name: nameOf(uuid) })
  return named
    .filter(({ metadata }) => metadata['volseal-purpose'] === PURPOSE)
    .filter(({ metadata }) => metadata['replaces'] === replaces)
    .map(({ id }) => id)
}

function nameOf(uuid: string): string {
  return `key of volume ${uuid}`
}
