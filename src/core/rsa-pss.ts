import {
  constants,
  createPublicKey,
  type KeyObject,
  privateEncrypt,
  publicDecrypt,
} from 'node:crypto'
import { type HashMethod, RSA_MIN_BITS } from './algorithms.js'
import { checkPss, encodePss, maxSaltLength, type PssVerdict } from './emsa-pss.js'
import { VolsealError } from './errors.js'

/** RSASSA-PSS (RFC 8017 §8.1) on a digest: our EMSA-PSS over node:crypto's raw RSA operation. */

const RAW = { padding: constants.RSA_NO_PADDING } as const

/** Bits of an RSA key's modulus. */
export function modulusBits(key: KeyObject): number {
  return key.asymmetricKeyDetails?.modulusLength ?? 0
}

/**
 * Signs a digest with the longest salt that fits (see `maxSaltLength` for why).
 *
 * @returns the signature, as long as the modulus
 * @throws {VolsealError} `signature-malformed` when the key is too small
 */
export function signRsaPss(key: KeyObject, digest: Buffer, hash: HashMethod): Buffer {
  const bits = modulusBits(key)
  if (bits < RSA_MIN_BITS) {
    throw new VolsealError(
      'signature-malformed',
      `the RSA key is too small: expected at least ${RSA_MIN_BITS} bits, got ${bits}`,
    )
  }
  const em = encodePss(digest, hash, bits, maxSaltLength(bits, hash))
  return privateEncrypt({ key, ...RAW }, padTo(modulusBytes(bits), em))
}

/**
 * Checks a signature over a digest. A signature that is no number below the modulus, or not as long
 * as the modulus, is `too-short`.
 */
export function checkRsaPss(
  key: KeyObject,
  digest: Buffer,
  hash: HashMethod,
  signature: Buffer,
): PssVerdict {
  const padded = openSignature(key, signature)
  const em = padded === undefined ? undefined : pssPart(padded, modulusBits(key))
  if (padded === undefined) return { consistent: false, fault: 'too-short' }
  if (em === undefined) return { consistent: false, fault: 'leftmost-bits' }
  return checkPss(em, digest, hash, modulusBits(key))
}

/**
 * The encoded message of PSS in an opened signature: when modulusBits - 1 is a multiple of 8 it is
 * one byte shorter than the modulus (§8.1.2 2c). Undefined when what is before it is not zero.
 */
export function pssPart(padded: Buffer, bits: number): Buffer | undefined {
  const excess = padded.length - Math.ceil((bits - 1) / 8)
  return padded.subarray(0, excess).every((byte) => byte === 0)
    ? padded.subarray(excess)
    : undefined
}

/**
 * The number that a signature is, to the power of e, as long as the modulus; undefined for one that
 * has another length or is no number below the modulus.
 */
export function openSignature(key: KeyObject, signature: Buffer): Buffer | undefined {
  if (signature.length !== modulusBytes(modulusBits(key))) return undefined
  try {
    return publicDecrypt({ key: rawKey(key), ...RAW }, signature)
  } catch {
    // OpenSSL refuses numbers that are not below the modulus; anything else is a wrong key type,
    // which the caller has excluded.
    return undefined
  }
}

/**
 * The same key as a plain rsaEncryption key: OpenSSL does no raw operation with an id-RSASSA-PSS
 * one. Both kinds hold the same RSAPublicKey; `cursive` takes either.
 */
function rawKey(key: KeyObject): KeyObject {
  if (key.asymmetricKeyType !== 'rsa-pss') return key
  const spki = key.export({ type: 'spki', format: 'der' })
  return createPublicKey({ key: bitStringOfSpki(spki), format: 'der', type: 'pkcs1' })
}

/**
 * The content of the BIT STRING that ends a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7). The input is
 * OpenSSL's own encoding of a key that it has parsed.
 */
function bitStringOfSpki(spki: Buffer): Buffer {
  const outer = contentOf(spki)
  const algorithm = contentOf(outer)
  const bitString = outer.subarray(algorithm.byteOffset - outer.byteOffset + algorithm.length)
  return contentOf(bitString).subarray(1)
}

/** The content of the DER element that `der` begins with (X.690 §8.1). */
function contentOf(der: Buffer): Buffer {
  const first = der[1] ?? 0
  if (first < 0x80) return der.subarray(2, 2 + first)
  const lengthBytes = first & 0x7f
  return der.subarray(2 + lengthBytes, 2 + lengthBytes + der.readUIntBE(2, lengthBytes))
}

function modulusBytes(bits: number): number {
  return Math.ceil(bits / 8)
}

function padTo(length: number, bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.alloc(length - bytes.length), bytes])
}
