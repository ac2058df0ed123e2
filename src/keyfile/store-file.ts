import { createHash } from 'node:crypto'
import { link, rename } from 'node:fs/promises'
import { count, isUuid, json, oneOf, record, text } from '../core/check.js'
import { fromSystem, systemCode, VolsealError } from '../core/errors.js'
import { syncDirectory } from '../core/files.js'
import { base64Field, damaged, nullable, parseStored } from './damage.js'
import { type Derivation, parseDerivation, plainDerivation } from './key-derivation.js'
import { storeFilePath, withTemporary } from './store-directory.js'
import { readStoredFile } from './stored-file.js'

/**
 * `store.json`: which key-encryption key (KEK) the store is under and how to tell that one has it;
 * never the key itself. It is taken only byte for byte as volseal writes it, with a checksum over
 * the rest: so damage is told apart from a wrong key, which only fails at the verifier.
 */
export interface StoreFile {
  readonly current: KekRecord
  readonly bridge: Bridge | null
}

/** A key-encryption key, without itself. */
export interface KekRecord {
  readonly id: string
  /** How it comes from a passphrase; null when it was drawn at random. */
  readonly kdf: Derivation | null
  /** Nothing, sealed under the key: unsealing it proves that one has the key. */
  readonly verifier: Buffer
}

/** Stands in the file while a rekey is under way: whoever has one of the two keys has both. */
interface Bridge {
  /** The KEK that is being replaced. */
  readonly previous: KekRecord
  /** The previous key, sealed under the current one. */
  readonly previousKey: Buffer
  /** The current key, sealed under the previous one. */
  readonly currentKey: Buffer
}

const FORMAT = 'volseal-key-store'
const VERSION = 1

/** @throws {VolsealError} `keystore-damaged` when it is missing or damaged */
export async function readStoreFile(directory: string): Promise<StoreFile> {
  const path = storeFilePath(directory)
  return decodeStoreFile(await readStoreFileBytes(directory), path)
}

/** @throws {VolsealError} `keystore-damaged` when it is missing */
export async function readStoreFileBytes(directory: string): Promise<Buffer> {
  const path = storeFilePath(directory)
  const bytes = await readStoredFile(path)
  if (bytes === undefined) throw damaged(path, 'it is missing')
  return bytes
}

/** Writes the file of a new store, unless somebody else was first: then theirs stays. */
export async function createStoreFile(directory: string, file: StoreFile): Promise<void> {
  await putStoreFile(directory, file, async (from, to) => {
    await link(from, to).catch((error: unknown) => {
      if (systemCode(error) !== 'EEXIST') throw error
    })
  })
}

/** Replaces the file, in one step. Only for who holds the store's lock. */
export async function replaceStoreFile(directory: string, file: StoreFile): Promise<void> {
  await putStoreFile(directory, file, rename)
}

async function putStoreFile(
  directory: string,
  file: StoreFile,
  put: (from: string, to: string) => Promise<void>,
): Promise<void> {
  const path = storeFilePath(directory)
  try {
    await withTemporary(directory, async (temporary) => {
      await temporary.write(encodeStoreFile(file))
      await put(temporary.path, path)
      await syncDirectory(directory)
    })
  } catch (error) {
    throw fromSystem(error, `cannot write ${path}`)
  }
}

/** The file's bytes. */
export function encodeStoreFile(file: StoreFile): Buffer {
  const { current, bridge } = file
  const body = {
    format: FORMAT,
    version: VERSION,
    kek: plainRecord(current),
    bridge: bridge === null ? null : plainBridge(bridge),
  }
  return Buffer.from(`${JSON.stringify({ ...body, checksum: checksum(body) }, null, 2)}\n`)
}

function plainBridge(bridge: Bridge): Record<string, unknown> {
  return {
    previous: plainRecord(bridge.previous),
    previousKey: bridge.previousKey.toString('base64'),
    currentKey: bridge.currentKey.toString('base64'),
  }
}

function plainRecord(kek: KekRecord): Record<string, unknown> {
  return {
    id: kek.id,
    kdf: kek.kdf === null ? null : plainDerivation(kek.kdf),
    verifier: kek.verifier.toString('base64'),
  }
}

function checksum(body: Record<string, unknown>): string {
  return createHash('sha256').update(JSON.stringify(body)).digest('hex')
}

/** @throws {VolsealError} `keystore-damaged` */
export function decodeStoreFile(bytes: Buffer, path: string): StoreFile {
  const file = parseStored(path, () => parseStoreFile(bytes))
  if (encodeStoreFile(file).equals(bytes)) return file
  throw damaged(path, 'it is not spelled as volseal writes it')
}

function parseStoreFile(bytes: Buffer): StoreFile {
  const { checksum: found, ...body } = record(json(bytes.toString(), 'content'), 'content')
  if (found !== checksum(body)) {
    throw new VolsealError('usage', 'its checksum is not that of its content')
  }
  oneOf(body['format'], 'format', [FORMAT])
  count(body['version'], 'version', VERSION, VERSION)
  return {
    current: parseRecord(record(body['kek'], 'kek')),
    bridge: nullable(body['bridge'], 'bridge', parseBridge),
  }
}

function parseBridge(fields: Record<string, unknown>): Bridge {
  return {
    previous: parseRecord(record(fields['previous'], 'previous')),
    previousKey: base64Field(fields['previousKey'], 'previousKey'),
    currentKey: base64Field(fields['currentKey'], 'currentKey'),
  }
}

function parseRecord(fields: Record<string, unknown>): KekRecord {
  const id = text(fields['id'], 'kek id')
  if (!isUuid(id)) throw new VolsealError('usage', 'kek id: expected a version-4 UUID')
  return {
    id,
    kdf: nullable(fields['kdf'], 'kdf', parseDerivation),
    verifier: base64Field(fields['verifier'], 'verifier'),
  }
}
