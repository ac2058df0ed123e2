import { randomBytes } from 'node:crypto'
import { count, isUuid, json, oneOf, record, text } from '../core/check.js'
import { VolsealError } from '../core/errors.js'
import { Secret } from '../core/secret.js'
import { contextOf, KEY_BYTES, seal, unseal } from './aead.js'
import { base64Field, damaged, parseStored } from './damage.js'
import type { SecretInfo, SecretMetadata, StoredSecret } from './key-manager.js'
import type { Keyring } from './keyring.js'
import { CONTENT_TYPES, ORIGINS, SECRET_TYPES, sortedMetadata } from './secret-rules.js'

/**
 * A secret file, `<id>.json`: the header in clear, and the payload under a data key of its own,
 * which is sealed under the store's key-encryption key (KEK). The payload's seal holds the whole
 * header, the data key's holds the id and the KEK's id; so nothing can be changed, exchanged with
 * another file or mixed. What a seal cannot tell is an older state of the whole file.
 *
 * Like store.json it is taken only byte for byte as it is written here: every changed bit is either
 * found by that, or lies in base64 that one of the two seals covers.
 */
export interface SecretFile {
  readonly info: SecretInfo
  /** The KEK that the data key is sealed under. */
  readonly kekId: string
  readonly wrappedKey: Buffer
  readonly payload: Buffer
}

const FORMAT = 'volseal-secret'
const VERSION = 1
const CREATED = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

/** Seals a secret, under a new data key, for the KEK of that id. */
export function sealSecret(
  info: SecretInfo,
  payload: Secret,
  keyring: Keyring,
  kekId: string,
): SecretFile {
  const dataKey = randomBytes(KEY_BYTES)
  try {
    return {
      info,
      kekId,
      wrappedKey: keyring.seal(kekId, dataKey, wrapContext(info.id, kekId)),
      payload: seal(dataKey, payload.bytes(), headerContext(info)),
    }
  } finally {
    dataKey.fill(0)
  }
}

/** @throws {VolsealError} `keystore-damaged` when a seal is broken */
export function unsealSecret(file: SecretFile, keyring: Keyring, path: string): StoredSecret {
  return withDataKey(file, keyring, path, (dataKey) => {
    const payload = unseal(dataKey, file.payload, headerContext(file.info))
    if (payload === undefined) throw damaged(path, 'its header or payload is not authentic')
    return { ...file.info, payload: new Secret(payload) }
  })
}

/** The same secret with its data key sealed under another KEK. */
export function rewrapSecret(
  file: SecretFile,
  keyring: Keyring,
  path: string,
  kekId: string,
): SecretFile {
  return withDataKey(file, keyring, path, (dataKey) => {
    const wrappedKey = keyring.seal(kekId, dataKey, wrapContext(file.info.id, kekId))
    return { ...file, kekId, wrappedKey }
  })
}

function withDataKey<T>(
  file: SecretFile,
  keyring: Keyring,
  path: string,
  use: (dataKey: Buffer) => T,
): T {
  const context = wrapContext(file.info.id, file.kekId)
  const dataKey = keyring.unseal(file.kekId, file.wrappedKey, context)
  if (dataKey === undefined || dataKey.length !== KEY_BYTES) {
    throw damaged(path, 'its wrapped key is not authentic')
  }
  try {
    return use(dataKey)
  } finally {
    dataKey.fill(0)
  }
}

function wrapContext(id: string, kekId: string): string {
  return contextOf('wrapped key', [id, kekId])
}

/** All of the header, in one unambiguous text. */
export function headerContext(info: SecretInfo): string {
  const { id, type, name, algorithm, bitLength, created, contentType, metadata, origin } = info
  const entries = Object.entries(sortedMetadata(Object.entries(metadata)))
  const facts = [id, type, name, algorithm, bitLength, created, contentType, entries, origin]
  return contextOf('secret', [VERSION, ...facts])
}

/** The file's bytes. */
export function encodeSecretFile(file: SecretFile): Buffer {
  const { info, kekId } = file
  const plain = {
    format: FORMAT,
    version: VERSION,
    id: info.id,
    type: info.type,
    name: info.name,
    algorithm: info.algorithm,
    bitLength: info.bitLength,
    created: info.created,
    contentType: info.contentType,
    metadata: sortedMetadata(Object.entries(info.metadata)),
    origin: info.origin,
    kekId,
    wrappedKey: file.wrappedKey.toString('base64'),
    payload: file.payload.toString('base64'),
  }
  return Buffer.from(`${JSON.stringify(plain, null, 2)}\n`)
}

/** @throws {VolsealError} `keystore-damaged` */
export function decodeSecretFile(bytes: Buffer, id: string, path: string): SecretFile {
  const file = parseStored(path, () => parseSecretFile(bytes))
  if (!encodeSecretFile(file).equals(bytes)) {
    throw damaged(path, 'it is not spelled as volseal writes it')
  }
  if (file.info.id !== id) throw damaged(path, `it holds the secret ${file.info.id}`)
  return file
}

function parseSecretFile(bytes: Buffer): SecretFile {
  const fields = record(json(bytes.toString(), 'content'), 'content')
  oneOf(fields['format'], 'format', [FORMAT])
  count(fields['version'], 'version', VERSION, VERSION)
  return {
    info: parseInfo(fields),
    kekId: uuid(fields['kekId'], 'kekId'),
    wrappedKey: base64Field(fields['wrappedKey'], 'wrappedKey'),
    payload: base64Field(fields['payload'], 'payload'),
  }
}

function parseInfo(fields: Record<string, unknown>): SecretInfo {
  return {
    id: uuid(fields['id'], 'id'),
    type: oneOf(fields['type'], 'type', SECRET_TYPES),
    name: orNull(fields['name'], (value) => text(value, 'name')),
    algorithm: orNull(fields['algorithm'], (value) => text(value, 'algorithm')),
    bitLength: orNull(fields['bitLength'], (value) => count(value, 'bitLength', 1, 2 ** 31)),
    created: time(fields['created']),
    contentType: oneOf(fields['contentType'], 'contentType', CONTENT_TYPES),
    metadata: parseMetadata(fields['metadata']),
    origin: oneOf(fields['origin'], 'origin', ORIGINS),
  }
}

function parseMetadata(value: unknown): SecretMetadata {
  const entries = Object.entries(record(value, 'metadata'))
  return sortedMetadata(entries.map(([key, found]) => [key, text(found, `metadata ${key}`)]))
}

function orNull<T>(value: unknown, parse: (value: unknown) => T): T | null {
  return value === null ? null : parse(value)
}

function uuid(value: unknown, name: string): string {
  const id = text(value, name)
  if (isUuid(id)) return id
  throw new VolsealError('usage', `${name}: expected a version-4 UUID`)
}

function time(value: unknown): string {
  const created = text(value, 'created')
  if (CREATED.test(created)) return created
  throw new VolsealError('usage', 'created: expected a time in ISO 8601, UTC')
}
