import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { HashMethod } from './algorithms.js'

/**
 * EMSA-PSS (RFC 8017 §9.1) with MGF1 of the message's own hash and trailer 0xBC, on a digest that
 * is computed already. Node's Sign and Verify take only the message; the digest itself is wanted
 * as evidence, and one pass over a large image has to do for both.
 */

const TRAILER = 0xbc
const PREFIX = Buffer.alloc(8)

/**
 * Most salt that fits, in bytes: `ceil(emBits / 8) - hLen - 2`. It is what OpenSSL up to 3.0 and
 * python-cryptography's `PSS.MAX_LENGTH` sign with, and the only length that `cursive` with
 * cryptography <= 41 accepts. Negative when not even an empty salt fits.
 */
export function maxSaltLength(modulusBits: number, hash: HashMethod): number {
  return Math.ceil((modulusBits - 1) / 8) - hash.length - 2
}

/**
 * The encoded message EM of `ceil((modulusBits - 1) / 8)` bytes (§9.1.1), with a random salt.
 * The caller has seen to it that the salt fits.
 */
export function encodePss(
  digest: Buffer,
  hash: HashMethod,
  modulusBits: number,
  saltLength: number,
): Buffer {
  const emBits = modulusBits - 1
  const emLength = Math.ceil(emBits / 8)
  const salt = randomBytes(saltLength)
  const h = hashOf(hash, PREFIX, digest, salt)
  // DB = PS || 0x01 || salt, PS being zeros.
  const db = Buffer.alloc(emLength - hash.length - 1)
  db[db.length - saltLength - 1] = 1
  salt.copy(db, db.length - saltLength)
  xorInto(db, mgf1(hash, h, db.length))
  clearLeftmostBits(db, 8 * emLength - emBits)
  return Buffer.concat([db, h, Buffer.of(TRAILER)])
}

/** Why an encoded message is no PSS encoding of the digest: the step of §9.1.2 that fails. */
export type PssFault =
  | 'too-short'
  | 'trailer'
  | 'leftmost-bits'
  | 'padding'
  | 'salt-length'
  | 'digest'

export type PssVerdict =
  /** Consistent; `saltLength` in bytes was found in the message itself. */
  | { readonly consistent: true; readonly saltLength: number }
  /** Inconsistent; `saltLength` where the padding could be read all the same. */
  | { readonly consistent: false; readonly fault: PssFault; readonly saltLength?: number }

/**
 * Checks an encoded message against a digest (§9.1.2). The salt length is recovered from the
 * padding instead of being demanded, so that the caller can say which one was used; `expected`
 * makes any other one a fault.
 */
export function checkPss(
  em: Buffer,
  digest: Buffer,
  hash: HashMethod,
  modulusBits: number,
  expected?: number,
): PssVerdict {
  const read = readPss(em, modulusBits, { hash, mgf: hash })
  if ('fault' in read) return fault(read.fault)
  const saltLength = read.salt.length
  if (expected !== undefined && saltLength !== expected) {
    return { consistent: false, fault: 'salt-length', saltLength }
  }
  return isPssOf(read, digest, hash)
    ? { consistent: true, saltLength }
    : { consistent: false, fault: 'digest', saltLength }
}

/** What an encoded message holds: the salt, and H, the hash of digest and salt. */
export interface PssContent {
  readonly salt: Buffer
  readonly h: Buffer
}

/** What of a hash an encoding needs: its name in node:crypto, and its length in bytes. */
export interface HashFacts {
  readonly node: string
  readonly length: number
}

/** The hashes of an encoding: of the message, and of MGF1, which cursive wants to be the same. */
export interface PssHashes {
  readonly hash: HashFacts
  readonly mgf: HashFacts
}

/** Takes an encoded message apart (§9.1.2 steps 3 to 11) without asking what it was made of. */
export function readPss(
  em: Buffer,
  modulusBits: number,
  { hash, mgf }: PssHashes,
): PssContent | { readonly fault: PssFault } {
  const emBits = modulusBits - 1
  const emLength = Math.ceil(emBits / 8)
  if (em.length !== emLength || emLength < hash.length + 2) return { fault: 'too-short' }
  if (em[emLength - 1] !== TRAILER) return { fault: 'trailer' }
  const db = Buffer.from(em.subarray(0, emLength - hash.length - 1))
  const h = em.subarray(db.length, db.length + hash.length)
  const unused = 8 * emLength - emBits
  if (((db[0] ?? 0) & leftmostMask(unused)) !== 0) return { fault: 'leftmost-bits' }
  xorInto(db, mgf1(mgf, h, db.length))
  clearLeftmostBits(db, unused)
  const one = db.findIndex((byte) => byte !== 0)
  if (one === -1 || db[one] !== 1) return { fault: 'padding' }
  return { salt: db.subarray(one + 1), h }
}

/** Whether it was made of this digest (§9.1.2 steps 12 to 14). */
export function isPssOf({ salt, h }: PssContent, digest: Buffer, hash: HashFacts): boolean {
  return timingSafeEqual(h, hashOf(hash, PREFIX, digest, salt))
}

function fault(name: PssFault): PssVerdict {
  return { consistent: false, fault: name }
}

/** MGF1 (RFC 8017 §B.2.1). */
function mgf1(hash: HashFacts, seed: Buffer, length: number): Buffer {
  const blocks: Buffer[] = []
  for (let counter = 0; counter * hash.length < length; counter += 1) {
    const c = Buffer.alloc(4)
    c.writeUInt32BE(counter)
    blocks.push(hashOf(hash, seed, c))
  }
  return Buffer.concat(blocks).subarray(0, length)
}

function hashOf(hash: HashFacts, ...parts: readonly Buffer[]): Buffer {
  const state = createHash(hash.node)
  for (const part of parts) state.update(part)
  return state.digest()
}

function xorInto(target: Buffer, mask: Buffer): void {
  for (const [index, byte] of mask.entries()) target[index] = (target[index] ?? 0) ^ byte
}

function clearLeftmostBits(db: Buffer, bits: number): void {
  db[0] = (db[0] ?? 0) & ~leftmostMask(bits) & 0xff
}

/** A byte whose `bits` (0 to 7) leftmost bits are set. */
function leftmostMask(bits: number): number {
  return (0xff00 >> bits) & 0xff
}
