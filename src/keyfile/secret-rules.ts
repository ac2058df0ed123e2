import { isUtf8 } from 'node:buffer'
import { count, isUuid, oneOf, text } from '../core/check.js'
import { VolsealError } from '../core/errors.js'
import { pemBlocks } from '../core/pem.js'
import type {
  NewKey,
  NewSecret,
  SecretInfo,
  SecretMetadata,
  SecretOrigin,
  SecretType,
} from './key-manager.js'

/**
 * What may be kept, and what is filled in. The limits are those of Barbican's API and database
 * where it has one, so that a secret can be copied there; the payload's is wider.
 */

/** Most bytes of a payload. Barbican's default limit is 20,000 bytes, of the base64 at that. */
export const MAX_PAYLOAD_BYTES: number = 64 * 1024

/** Barbican's, all of them. */
export const SECRET_TYPES: readonly SecretType[] = [
  'symmetric',
  'public',
  'private',
  'passphrase',
  'certificate',
  'opaque',
]

/** Those that Barbican gives back for what castellan stores. */
export const CONTENT_TYPES: readonly string[] = ['application/octet-stream', 'text/plain']
/** See `SecretOrigin`. */
export const ORIGINS: readonly SecretOrigin[] = ['generated', 'stored']

/** Columns of Barbican's tables: secrets.name, .algorithm, secret_user_metadata.key, .value. */
const MAX_CHARACTERS = 255
/** Ours: a secret file stays far below the 1 MiB that is read at most. */
const MAX_METADATA_ENTRIES = 64
const BIT_LENGTH = { stored: [1, 32_767], generated: [64, 512] } as const

const METADATA_KEY = /^[a-z0-9_-]+$/
/** A DER certificate begins with the tag of a SEQUENCE (X.690 §8.9). */
const SEQUENCE = 0x30

/** All that is asked of a caller, checked and filled in. */
export type AcceptedSecret = Omit<SecretInfo, 'id' | 'created'>

/** @throws {VolsealError} `usage` for a key that no key manager draws */
export function acceptKey(key: NewKey): AcceptedSecret {
  const bitLength = count(key.bitLength, 'bit length', ...BIT_LENGTH.generated)
  require(bitLength % 8 === 0, `bit length: expected a multiple of 8, got ${bitLength}`)
  return {
    type: 'symmetric',
    name: optionalName(key.name, 'name'),
    algorithm: acceptName(key.algorithm, 'algorithm'),
    bitLength,
    contentType: 'application/octet-stream',
    metadata: acceptMetadata(key.metadata ?? {}),
    origin: 'generated',
  }
}

/** @throws {VolsealError} `usage` for a secret that cannot be kept */
export function acceptSecret(secret: NewSecret): AcceptedSecret {
  const type = oneOf(secret.type, 'secret type', SECRET_TYPES)
  const contentType = secret.contentType ?? defaultContentType(type)
  acceptPayload(type, oneOf(contentType, 'content type', CONTENT_TYPES), secret.payload.bytes())
  return {
    type,
    name: optionalName(secret.name, 'name'),
    algorithm: optionalName(secret.algorithm, 'algorithm'),
    bitLength: bitLengthOf(secret, type),
    contentType,
    metadata: acceptMetadata(secret.metadata ?? {}),
    origin: 'stored',
  }
}

function defaultContentType(type: SecretType): string {
  return type === 'passphrase' ? 'text/plain' : 'application/octet-stream'
}

function bitLengthOf(secret: NewSecret, type: SecretType): number | null {
  const { bitLength, payload } = secret
  if (bitLength !== undefined) return count(bitLength, 'bit length', ...BIT_LENGTH.stored)
  return type === 'symmetric' ? payload.length * 8 : null
}

function acceptPayload(type: SecretType, contentType: string, payload: Buffer): void {
  require(payload.length > 0, 'payload: expected at least one byte, got none')
  count(payload.length, 'length of the payload in bytes', 1, MAX_PAYLOAD_BYTES)
  if (type === 'certificate') requireCertificatePem(payload)
  require(contentType !== 'text/plain' ||
    isUtf8(
      payload,
    ), 'payload: expected UTF-8 because its content type is text/plain, got other bytes', 'store it with the content type application/octet-stream')
}

/** castellan takes certificates as PEM only (barbican_key_manager.py, `load_pem_x509_certificate`). */
function requireCertificatePem(payload: Buffer): void {
  const blocks = pemBlocks(payload.toString('latin1'))
  if (blocks.some(({ label, der }) => label === 'CERTIFICATE' && der[0] === SEQUENCE)) return
  const isDer = payload[0] === SEQUENCE
  const got = isDer ? 'DER' : 'something else'
  require(false, `certificate: expected PEM with a CERTIFICATE block, got ${got}`, isDer
    ? 'convert it with: openssl x509 -inform DER -in CERT.der -out CERT.pem'
    : undefined)
}

/**
 * The metadata with its keys in lower case, as Barbican keeps them, and sorted.
 *
 * @throws {VolsealError} `usage`
 */
export function acceptMetadata(metadata: SecretMetadata): SecretMetadata {
  const entries = Object.entries(metadata).map(([key, value]) => acceptEntry(key, value))
  count(entries.length, 'number of metadata entries', 0, MAX_METADATA_ENTRIES)
  const keys = new Set(entries.map(([key]) => key))
  require(keys.size ===
    entries.length, 'metadata: expected keys that differ in lower case, got one twice')
  return sortedMetadata(entries)
}

function acceptEntry(key: string, value: unknown): [string, string] {
  const lower = key.toLowerCase()
  const fits = METADATA_KEY.test(lower) && lower.length <= MAX_CHARACTERS
  const shown = JSON.stringify(key.slice(0, 80))
  require(fits, `metadata key: expected up to ${MAX_CHARACTERS} letters, digits, _ and -, got ${shown}`)
  return [lower, limited(text(value, `metadata ${lower}`), `metadata ${lower}`, 0)]
}

/** Metadata in the one order in which it is written. */
export function sortedMetadata(entries: readonly [string, string][]): SecretMetadata {
  // fromEntries makes own properties of all keys, `__proto__` included.
  return Object.fromEntries(entries.toSorted(([one], [other]) => (one < other ? -1 : 1)))
}

/** The id itself. @throws {VolsealError} `usage` when it is no canonical version-4 UUID */
export function acceptId(id: string): string {
  const shown = JSON.stringify(id.slice(0, 80))
  require(isUuid(id), `secret id: expected a version-4 UUID in lower case, got ${shown}`)
  return id
}

function optionalName(value: string | undefined, what: string): string | null {
  return value === undefined ? null : acceptName(value, what)
}

function acceptName(value: unknown, what: string): string {
  return limited(text(value, what), what, 1)
}

function limited(value: string, what: string, least: number): string {
  count(Array.from(value).length, `length of the ${what} in characters`, least, MAX_CHARACTERS)
  return value
}

function require(fits: boolean, message: string, hint?: string): asserts fits {
  if (!fits) throw new VolsealError('usage', message, { hint })
}
