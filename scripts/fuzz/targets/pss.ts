import {
  constants,
  createHash,
  createPublicKey,
  generateKeyPairSync,
  privateEncrypt,
  verify,
} from 'node:crypto'
import { HASH_METHODS, type HashMethod } from '../../../src/core/algorithms.js'
import { checkPss, encodePss, maxSaltLength } from '../../../src/core/emsa-pss.js'
import { checkRsaPss } from '../../../src/core/rsa-pss.js'
import { hold, type Target } from '../target.js'

/**
 * An input is a row of each of two tables (one byte each) and the encoded message; for `emsa-pss`
 * the digest stands between them.
 */
export const PSS_TARGETS: readonly Target[] = [
  { name: 'emsa-pss', seeds: makeEncodings, run: compareWithEncoding },
  { name: 'rsa-pss', seeds: makeMessages, run: compareWithOpenssl },
]

/** EM is as long as the modulus, one byte shorter, and with 1 and 7 unused bits. */
const MODULUS_BITS = [2048, 2049, 2050, 3072]
const MESSAGE = Buffer.from('an image')

type Parsed = { hash: HashMethod; bits: number; rest: Buffer }

function parse(bytes: Buffer): Parsed | undefined {
  const hash = HASH_METHODS[(bytes[0] ?? 0) % HASH_METHODS.length]
  const bits = MODULUS_BITS[(bytes[1] ?? 0) % MODULUS_BITS.length]
  if (hash === undefined || bits === undefined) return undefined
  return { hash, bits, rest: bytes.subarray(2) }
}

/** `make` for every hash, modulus and some lengths of the salt. */
function everyCase(make: (hash: HashMethod, bits: number, salt: number) => Buffer): Buffer[] {
  return HASH_METHODS.flatMap((hash, hashRow) =>
    MODULUS_BITS.flatMap((bits, bitsRow) =>
      [0, hash.length, maxSaltLength(bits, hash)].map((salt) =>
        Buffer.concat([Buffer.of(hashRow, bitsRow), make(hash, bits, salt)]),
      ),
    ),
  )
}

function digestOf(hash: HashMethod): Buffer {
  return createHash(hash.node).update(MESSAGE).digest()
}

function makeEncodings(): Buffer[] {
  return everyCase((hash, bits, salt) => {
    const digest = digestOf(hash)
    return Buffer.concat([digest, encodePss(digest, hash, bits, salt)])
  })
}

/** Consistent is exactly what is an encoding of the digest with the salt that it holds. */
function compareWithEncoding(bytes: Buffer): void {
  const parsed = parse(bytes)
  if (parsed === undefined || parsed.rest.length < parsed.hash.length) return
  const { hash, bits, rest } = parsed
  const [digest, em] = [rest.subarray(0, hash.length), rest.subarray(hash.length)]
  const verdict = checkPss(em, digest, hash, bits)
  const salt = saltOf(em, hash, bits)
  const valid = salt !== undefined && encodeWith(salt, digest, hash, bits).equals(em)
  hold(verdict.consistent === valid, `checkPss says ${valid}`)
  if (!verdict.consistent) return
  hold(verdict.saltLength === salt?.length, `the salt has ${salt?.length ?? 0} bytes`)
  const other = checkPss(em, digest, hash, bits, verdict.saltLength + 1)
  hold(!other.consistent, 'another length of the salt is a fault')
}

/** What stands behind the first byte of DB that is not zero, if anything can (RFC 8017 §9.1.2). */
function saltOf(em: Buffer, hash: HashMethod, bits: number): Buffer | undefined {
  const dbLength = em.length - hash.length - 1
  if (dbLength < 1 || em.length !== Math.ceil((bits - 1) / 8)) return undefined
  const db = xor(em.subarray(0, dbLength), mask(hash, em.subarray(dbLength, -1), dbLength))
  db[0] = (db[0] ?? 0) & usedBits(em.length, bits)
  const one = db.findIndex((byte) => byte !== 0)
  return one === -1 ? undefined : db.subarray(one + 1)
}

/** EMSA-PSS-ENCODE (§9.1.1) with a given salt, written anew for this comparison. */
function encodeWith(salt: Buffer, digest: Buffer, hash: HashMethod, bits: number): Buffer {
  const length = Math.ceil((bits - 1) / 8)
  const h = hashed(hash, Buffer.alloc(8), digest, salt)
  const zeros = Buffer.alloc(length - hash.length - 2 - salt.length)
  const db = Buffer.concat([zeros, Buffer.of(1), salt])
  const masked = xor(db, mask(hash, h, db.length))
  masked[0] = (masked[0] ?? 0) & usedBits(length, bits)
  return Buffer.concat([masked, h, Buffer.of(0xbc)])
}

function usedBits(length: number, bits: number): number {
  return 0xff >> (8 * length - (bits - 1))
}

function xor(one: Buffer, other: Buffer): Buffer {
  return Buffer.from(one.map((byte, index) => byte ^ (other[index] ?? 0)))
}

function mask(hash: HashMethod, seed: Buffer, length: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(length / hash.length) }, (_, counter) =>
    hashed(hash, seed, Buffer.of(0, 0, 0, counter)),
  )
  return Buffer.concat(blocks).subarray(0, length)
}

function hashed(hash: HashMethod, ...parts: readonly Buffer[]): Buffer {
  return createHash(hash.node).update(Buffer.concat(parts)).digest()
}

const makeKey = (bits: number) => generateKeyPairSync('rsa', { modulusLength: bits }).privateKey
const keys = new Map<number, ReturnType<typeof makeKey>>()

function keyOf(bits: number): ReturnType<typeof makeKey> {
  const key = keys.get(bits) ?? makeKey(bits)
  keys.set(bits, key)
  return key
}

/** The keys are made here, too: their time is not that of an input. */
function makeMessages(): Buffer[] {
  MODULUS_BITS.forEach(keyOf)
  return everyCase((hash, bits, salt) => encodePss(digestOf(hash), hash, bits, salt))
}

/** The same as OpenSSL says, of any number below the modulus as a signature. */
function compareWithOpenssl(bytes: Buffer): void {
  const parsed = parse(bytes)
  const signature = parsed === undefined ? undefined : signatureOf(parsed)
  if (parsed === undefined || signature === undefined) return
  const { hash, bits } = parsed
  const key = createPublicKey(keyOf(bits))
  const padding = constants.RSA_PKCS1_PSS_PADDING
  const options = { key, padding, saltLength: constants.RSA_PSS_SALTLEN_AUTO }
  const verdict = checkRsaPss(key, digestOf(hash), hash, signature)
  const theirs = verify(hash.node, MESSAGE, options, signature)
  hold(verdict.consistent === theirs, `OpenSSL agrees, which says ${theirs}`)
}

/** The signature that opens to the encoded message; undefined when none does. */
function signatureOf({ bits, rest }: Parsed): Buffer | undefined {
  const message = Buffer.alloc(Math.ceil(bits / 8))
  rest.copy(message, Math.max(0, message.length - rest.length))
  try {
    return privateEncrypt({ key: keyOf(bits), padding: constants.RSA_NO_PADDING }, message)
  } catch {
    return undefined
  }
}
