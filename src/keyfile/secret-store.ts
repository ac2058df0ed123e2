import { randomUUID } from 'node:crypto'
import { link, rename } from 'node:fs/promises'
import { type ErrorCode, fromSystem, VolsealError } from '../core/errors.js'
import { syncDirectory } from '../core/files.js'
import type { Secret } from '../core/secret.js'
import { type DamagedFile, damaged, damageOf } from './damage.js'
import type { SecretInfo, StoredSecret } from './key-manager.js'
import { type OpenStore, refresh } from './open-store.js'
import {
  decodeSecretFile,
  encodeSecretFile,
  type SecretFile,
  sealSecret,
  unsealSecret,
} from './secret-file.js'
import type { AcceptedSecret } from './secret-rules.js'
import {
  listStore,
  removeIfThere,
  secretPath,
  statIfThere,
  withTemporary,
} from './store-directory.js'
import { readStoredFile } from './stored-file.js'

/**
 * Reading and writing single secrets.
 *
 * Writing: a temporary file, fsync, link(2) or rename(2) to the final name, fsync of the directory.
 * So a file is there whole or not at all, and an id that was returned survives a power cut. A new
 * secret needs no lock, because its name is its own. What replaces or removes a file is only called
 * under the store's lock (`lock.ts`): else a rewrite could bring back a secret that was just
 * deleted, or undo metadata that was just set.
 *
 * Beside a rekey (`rekey-store.ts`) one order counts: the temporary file is made first, then
 * store.json is read for the key to use. The rekey publishes its new key and then waits until all
 * temporary files that it finds are gone. So whoever may have read the old key is waited for, and
 * everybody else uses the new one.
 */

/** How often a secret file is read again because it changed its key under the reader. */
const READ_ATTEMPTS = 3

/** Keeps a new secret and returns its id. */
export async function addSecret(
  store: OpenStore,
  accepted: AcceptedSecret,
  payload: Secret,
): Promise<string> {
  const info = { ...accepted, id: randomUUID(), created: new Date().toISOString() }
  await putSecret(store, info, payload, async (temporary, path) => {
    await link(temporary, path)
    try {
      await syncDirectory(store.directory)
    } catch (error) {
      await removeIfThere(path)
      throw error
    }
  })
  return info.id
}

/** Writes a secret anew, with a new data key. Only for who holds the store's lock. */
export async function replaceSecret(
  store: OpenStore,
  info: SecretInfo,
  payload: Secret,
): Promise<void> {
  await putSecret(store, info, payload, async (temporary, path) => {
    await rename(temporary, path)
    await syncDirectory(store.directory)
  })
}

async function putSecret(
  store: OpenStore,
  info: SecretInfo,
  payload: Secret,
  put: (temporary: string, path: string) => Promise<void>,
): Promise<void> {
  const { directory, keyring } = store
  const path = secretPath(directory, info.id)
  try {
    await withTemporary(directory, async (temporary) => {
      const { current } = await refresh(store)
      const file = sealSecret(info, payload, keyring, current.id)
      await temporary.write(encodeSecretFile(file))
      await put(temporary.path, path)
    })
  } catch (error) {
    throw fromSystem(error, `cannot write ${path}`)
  }
}

/** Removes a secret. Only for who holds the store's lock. */
export async function removeSecret(store: OpenStore, id: string): Promise<void> {
  const path = secretPath(store.directory, id)
  // A damaged secret can be deleted too, but nothing of a store whose key is no longer at hand.
  await refresh(store)
  if ((await statIfThere(path)) === undefined) throw notFound(store, id)
  try {
    await removeIfThere(path)
    await syncDirectory(store.directory)
  } catch (error) {
    throw fromSystem(error, `cannot delete ${path}`)
  }
}

/** The secret with its bytes, which the caller wipes. */
export async function readSecret(store: OpenStore, id: string): Promise<StoredSecret> {
  const secret = await readSecretIfThere(store, id)
  if (secret === undefined) throw notFound(store, id)
  return secret
}

/** What opening every secret of a store has shown. */
export interface SecretSurvey {
  /** How many there are, the damaged ones included. */
  readonly count: number
  /** All that is known of the sound ones, oldest first. */
  readonly secrets: readonly SecretInfo[]
  readonly damaged: readonly DamagedFile[]
}

/** What a damaged file, or one that cannot be read, fails with; all else ends the survey. */
const DAMAGE_CODES: readonly ErrorCode[] = ['keystore-damaged', 'io', 'forbidden']

/** Opens every secret. */
export async function surveySecrets(store: OpenStore): Promise<SecretSurvey> {
  const secrets: SecretInfo[] = []
  const damagedFiles: DamagedFile[] = []
  await refresh(store)
  const { ids } = await listStore(store.directory)
  for (const id of ids) {
    const damage = await damageOf(secretPath(store.directory, id), DAMAGE_CODES, async () => {
      // One that is not there any more was deleted since the listing.
      const info = await describeIfThere(store, id)
      if (info !== undefined) secrets.push(info)
    })
    if (damage !== undefined) damagedFiles.push(damage)
  }
  const sorted = secrets.toSorted((one, other) => compare(one.created, other.created))
  return { count: ids.length, secrets: sorted, damaged: damagedFiles }
}

function compare(one: string, other: string): number {
  if (one === other) return 0
  return one < other ? -1 : 1
}

/**
 * What is known of a secret, once its header has proved authentic; the seal covers header and
 * payload together, so the payload is decrypted for that, and wiped.
 */
async function describeIfThere(store: OpenStore, id: string): Promise<SecretInfo | undefined> {
  const secret = await readSecretIfThere(store, id)
  return secret === undefined ? undefined : withoutPayload(secret)
}

/** Wipes the payload, and returns the rest. */
export function withoutPayload(secret: StoredSecret): SecretInfo {
  const { payload, ...info } = secret
  payload.wipe()
  return info
}

async function readSecretIfThere(store: OpenStore, id: string): Promise<StoredSecret | undefined> {
  const file = await readSecretFile(store, id)
  const path = secretPath(store.directory, id)
  return file === undefined ? undefined : unsealSecret(file, store.keyring, path)
}

/** The file of a secret, once its key is at hand; undefined when it is not there. */
export async function readSecretFile(
  store: OpenStore,
  id: string,
): Promise<SecretFile | undefined> {
  const path = secretPath(store.directory, id)
  for (let attempt = 0; attempt < READ_ATTEMPTS; attempt += 1) {
    const bytes = await readStoredFile(path)
    if (bytes === undefined) return undefined
    const file = decodeSecretFile(bytes, id, path)
    if (store.keyring.has(file.kekId)) return file
    // A rekey has begun or ended since; after learning its key the file may be another one.
    await refresh(store)
  }
  throw damaged(path, 'its key is sealed under a key that is not the one of the store')
}

function notFound(store: OpenStore, id: string): VolsealError {
  return new VolsealError(
    'not-found',
    `there is no secret ${id} in the key store ${store.directory}`,
  )
}
