import { expect } from 'vitest'
import { HASH_METHODS } from '../../src/core/algorithms.js'
import { checkPss, encodePss, maxSaltLength } from '../../src/core/emsa-pss.js'
import { fc, prop } from '../harness/property.js'

const hashes = fc.constantFrom(...HASH_METHODS)
const sizes = fc.integer({ min: 1040, max: 4100 })

prop([hashes, sizes, fc.nat(), fc.uint8Array({ minLength: 64, maxLength: 64 })])(
  'what is encoded is consistent, with the salt that went in',
  (hash, bits, salt, bytes) => {
    const digest = Buffer.from(bytes.subarray(0, hash.length))
    const saltLength = salt % (maxSaltLength(bits, hash) + 1)
    const em = encodePss(digest, hash, bits, saltLength)
    expect(em.length).toBe(Math.ceil((bits - 1) / 8))
    expect(checkPss(em, digest, hash, bits)).toEqual({ consistent: true, saltLength })
  },
)

prop([hashes, sizes, fc.uint8Array({ minLength: 64, maxLength: 64 }), fc.nat(), fc.nat(7)])(
  'no flipped bit is consistent',
  (hash, bits, bytes, place, bit) => {
    const digest = Buffer.from(bytes.subarray(0, hash.length))
    const em = encodePss(digest, hash, bits, maxSaltLength(bits, hash))
    const at = place % em.length
    em[at] = (em[at] ?? 0) ^ (1 << bit)
    expect(checkPss(em, digest, hash, bits).consistent).toBe(false)
  },
)
