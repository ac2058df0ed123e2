import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { KEY_TYPES } from '../algorithms.js'
import { curveOf, describeKey, keyMisfit } from '../certificate.js'
import { VolsealError } from '../errors.js'

/**
 * Signatures on certificates and requests, made and checked by node:crypto: WebCrypto, which
 * `@peculiar/x509` would use, has neither DSA nor the SECT curves.
 */
export interface SigningAlgorithm {
  /** The object identifier of the signature algorithm; the library takes it as a name. */
  readonly name: string
  /** `null` is ASN.1 NULL, which RSA wants (RFC 4055 §5); without the field there is none. */
  readonly parameters?: null
  /** The hash in node:crypto. */
  readonly digest: string
}

/**
 * RSA is PKCS#1 v1.5: nova's chain check knows nothing else (cursive certificate_utils,
 * `verify_certificate_signature`). Each hash is of the strength of its key.
 */
const RSA: SigningAlgorithm = {
  name: '1.2.840.113549.1.1.11',
  parameters: null,
  digest: 'sha256',
}
const DSA: SigningAlgorithm = { name: '2.16.840.1.101.3.4.3.2', digest: 'sha256' }
const ECDSA_SHA384: SigningAlgorithm = { name: '1.2.840.10045.4.3.3', digest: 'sha384' }
const ECDSA_SHA512: SigningAlgorithm = { name: '1.2.840.10045.4.3.4', digest: 'sha512' }

const BY_KEY: Readonly<Record<string, SigningAlgorithm>> = {
  rsa: RSA,
  dsa: DSA,
  secp384r1: ECDSA_SHA384,
  sect409k1: ECDSA_SHA384,
  sect409r1: ECDSA_SHA384,
  secp521r1: ECDSA_SHA512,
  sect571k1: ECDSA_SHA512,
  sect571r1: ECDSA_SHA512,
}

/**
 * What a key signs certificates and requests with.
 *
 * @throws {VolsealError} `signature-malformed` for a key that no certificate here should have
 */
export function requireSigningAlgorithm(key: KeyObject): SigningAlgorithm {
  const algorithm =
    BY_KEY[key.asymmetricKeyType === 'ec' ? curveOf(key) : (key.asymmetricKeyType ?? '')]
  const fits = KEY_TYPES.some((type) => keyMisfit(key, type) === undefined)
  if (algorithm !== undefined && fits) return algorithm
  throw new VolsealError(
    'signature-malformed',
    `this key is not fit for a certificate: it is ${describeKey(key)}`,
    { hint: 'RSA and DSA keys need 2048 bits or more, EC keys a curve of an image key type' },
  )
}

/** Hashes of the signature algorithms that are read (RFC 4055 §5, RFC 5758 §3). */
const DIGESTS: Readonly<Record<string, string>> = {
  '1.2.840.113549.1.1.14': 'sha224',
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.2.840.10045.4.3.1': 'sha224',
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
  '2.16.840.1.101.3.4.3.1': 'sha224',
  '2.16.840.1.101.3.4.3.2': 'sha256',
  '2.16.840.1.101.3.4.3.3': 'sha384',
  '2.16.840.1.101.3.4.3.4': 'sha512',
}

/** A readable name of a signature algorithm that WebCrypto does not have; else the identifier itself. */
export function signatureName(identifier: string): string {
  const digest = DIGESTS[identifier]
  const family = FAMILIES.find(([prefix]) => identifier.startsWith(prefix))?.[1]
  if (digest === undefined || family === undefined) return identifier
  return `${family} ${digest.replace('sha', 'SHA-')}`
}

const FAMILIES: readonly (readonly [prefix: string, name: string])[] = [
  ['1.2.840.113549.1.1.', 'RSASSA-PKCS1-v1_5'],
  ['1.2.840.10045.4.3.', 'ECDSA'],
  ['2.16.840.1.101.3.4.3.', 'DSA'],
]

export interface SignedBytes {
  /** Object identifier of the signature algorithm. */
  readonly algorithm: string
  readonly content: Uint8Array
  readonly signature: Uint8Array
}

/** Whether the key has signed the bytes; false for algorithms that are not known. */
export function isSignedBy(
  { algorithm, content, signature }: SignedBytes,
  key: KeyObject,
): boolean {
  const digest = DIGESTS[algorithm]
  return digest !== undefined && verify(digest, content, key, signature)
}

/**
 * What the library's generators ask of WebCrypto, for one key of node:crypto, which they never see.
 */
export function nodeSigner(key: KeyObject, { digest }: SigningAlgorithm): Crypto {
  const subtle = {
    exportKey: async () => await Promise.resolve(spkiOf(key)),
    sign: async (_algorithm: unknown, _key: unknown, content: ArrayBuffer) =>
      await Promise.resolve(sign(digest, Buffer.from(content), key)),
  }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the rest is never asked for
  return { subtle } as unknown as Crypto
}

/** Stands where the generators want a CryptoKey: the key itself is in `nodeSigner`. */
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- they only hand it on
export const HELD_KEY: CryptoKey = {} as unknown as CryptoKey

/** The DER of a key's SubjectPublicKeyInfo. */
export function spkiOf(key: KeyObject): Uint8Array<ArrayBuffer> {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key
  return new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }))
}
