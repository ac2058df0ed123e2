import {
  constants,
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  verify,
} from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { HASH_METHODS, hashMethod } from '../../src/core/algorithms.js'
import { checkPss, encodePss, maxSaltLength } from '../../src/core/emsa-pss.js'
import { checkRsaPss, signRsaPss } from '../../src/core/rsa-pss.js'
import { run } from '../harness/run.js'

const message = randomBytes(1000)

function digestOf(node: string): Buffer {
  return createHash(node).update(message).digest()
}

/** Odd sizes too: with 2050 and 2056+1 bits, EM is a byte shorter than, or as long as, the modulus. */
const SIZES = [2048, 2050, 2056, 2058, 3072, 4096]
const KEYS = SIZES.map((bits) => {
  const pem = run('openssl', ['genrsa', String(bits)]).toString()
  return { bits, privateKey: createPrivateKey(pem), publicKey: createPublicKey(pem) }
})

describe.each(KEYS)('RSASSA-PSS with $bits bits', ({ privateKey, publicKey }) => {
  const bits = privateKey.asymmetricKeyDetails?.modulusLength ?? 0

  it.each(HASH_METHODS)('$name: node verifies ours with exactly the longest salt', (hash) => {
    const signature = signRsaPss(privateKey, digestOf(hash.node), hash)
    const exact = {
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength: maxSaltLength(bits, hash),
    }
    expect(verify(hash.node, message, { key: publicKey, ...exact }, signature)).toBe(true)
    const shorter = { ...exact, saltLength: hash.length }
    expect(verify(hash.node, message, { key: publicKey, ...shorter }, signature)).toBe(false)
  })

  it.each(HASH_METHODS)("$name: we verify node's, and name its salt", (hash) => {
    for (const saltLength of [0, 1, hash.length, maxSaltLength(bits, hash)]) {
      const padding = constants.RSA_PKCS1_PSS_PADDING
      const signature = sign(hash.node, message, { key: privateKey, padding, saltLength })
      const verdict = checkRsaPss(publicKey, digestOf(hash.node), hash, signature)
      expect(verdict).toEqual({ consistent: true, saltLength })
    }
  })

  it('refuses every flipped bit of a signature, as node does', () => {
    const hash = hashMethod('SHA-256')
    const digest = digestOf('sha256')
    const signature = signRsaPss(privateKey, digest, hash)
    for (let bit = 0; bit < signature.length * 8; bit += 37) {
      const flipped = Buffer.from(signature)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(checkRsaPss(publicKey, digest, hash, flipped).consistent).toBe(false)
    }
    expect(checkRsaPss(publicKey, digest, hash, signature).consistent).toBe(true)
  })

  it('refuses a signature that is too short, too long, zero or not below the modulus', () => {
    const hash = hashMethod('SHA-256')
    const digest = digestOf('sha256')
    const good = signRsaPss(privateKey, digest, hash)
    const wrong = [
      good.subarray(1),
      Buffer.concat([Buffer.of(0), good]),
      Buffer.concat([good, Buffer.of(0)]),
      Buffer.alloc(good.length),
      Buffer.alloc(good.length, 0xff),
      Buffer.alloc(0),
    ]
    for (const signature of wrong) {
      expect(checkRsaPss(publicKey, digest, hash, signature).consistent).toBe(false)
    }
  })
})

/** Every step of RFC 8017 §9.1.2, broken by hand in an encoding that is right otherwise. */
describe('checkPss', () => {
  const hash = hashMethod('SHA-256')
  const digest = digestOf('sha256')
  const bits = 2048
  const salt = maxSaltLength(bits, hash)
  const good = encodePss(digest, hash, bits, 20)

  function damaged(change: (em: Buffer) => void): Buffer {
    const em = Buffer.from(good)
    change(em)
    return em
  }

  it('accepts what it should', () => {
    expect(checkPss(good, digest, hash, bits)).toEqual({ consistent: true, saltLength: 20 })
    expect(checkPss(good, digest, hash, bits, 20)).toEqual({ consistent: true, saltLength: 20 })
    expect(salt).toBe(222)
  })

  it.each([
    ['too-short', good.subarray(1)],
    ['too-short', Buffer.concat([good, Buffer.of(0)])],
    ['trailer', damaged((em) => em.writeUInt8(0xbd, em.length - 1))],
    ['leftmost-bits', damaged((em) => em.writeUInt8((em[0] ?? 0) | 0x80, 0))],
    ['padding', damaged((em) => em.writeUInt8((em[5] ?? 0) ^ 0x40, 5))],
    ['digest', damaged((em) => em.writeUInt8((em[220] ?? 0) ^ 1, 220))],
  ])('refuses %s', (fault, em) => {
    const verdict = checkPss(em, digest, hash, bits)
    expect(verdict).toMatchObject({ consistent: false, fault })
  })

  it('refuses a changed H, whatever it unmasks to', () => {
    const em = damaged((bytes) => bytes.writeUInt8((bytes[230] ?? 0) ^ 1, 230))
    expect(checkPss(em, digest, hash, bits).consistent).toBe(false)
  })

  it('refuses another salt length than the one demanded, and names it', () => {
    const verdict = checkPss(good, digest, hash, bits, salt)
    expect(verdict).toEqual({ consistent: false, fault: 'salt-length', saltLength: 20 })
  })

  it('refuses another digest', () => {
    const other = createHash('sha256').update('other').digest()
    expect(checkPss(good, other, hash, bits)).toMatchObject({ consistent: false, fault: 'digest' })
  })

  it('refuses an encoding of zeros only, where no 0x01 is found', () => {
    const zero = Buffer.alloc(256)
    zero[255] = 0xbc
    expect(checkPss(zero, digest, hash, bits).consistent).toBe(false)
  })

  it('refuses a modulus too small for the hash', () => {
    const sha512 = hashMethod('SHA-512')
    const em = Buffer.alloc(64, 0xbc)
    expect(checkPss(em, digestOf('sha512'), sha512, 512)).toMatchObject({ fault: 'too-short' })
  })
})

describe('an id-RSASSA-PSS key', () => {
  it('verifies like any other, as it does with cursive', () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa-pss', { modulusLength: 2048 })
    const hash = hashMethod('SHA-256')
    const signature = sign('sha256', message, { key: privateKey, saltLength: 222 })
    expect(checkRsaPss(publicKey, digestOf('sha256'), hash, signature)).toEqual({
      consistent: true,
      saltLength: 222,
    })
  })
})

describe('signing', () => {
  it('refuses keys under 2048 bits', () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 })
    expect(() => signRsaPss(privateKey, digestOf('sha256'), hashMethod('SHA-256'))).toThrow(
      /at least 2048 bits, got 1024/,
    )
  })
})
