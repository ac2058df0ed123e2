import { constants, createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { expect, it } from 'vitest'
import { HASH_METHODS } from '../../src/core/algorithms.js'
import { recoverSignature } from '../../src/verify/recover.js'

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })

function signed(saltLength: number): Buffer {
  const key = { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }
  return sign('sha256', randomBytes(16), key)
}

/** What a pass over another image knows: its digest by the named hash. */
const named = HASH_METHODS.find(({ name }) => name === 'SHA-256')
const digest = createHash('sha256').update('another image').digest()
const evidence = {
  size: 13,
  digests: new Map([['SHA-256' as const, digest]]),
  fitsImage: () => false,
}

// In one of some 50, another pair of hashes gives a block with a salt as long as can be.
it.each([
  ['a short salt', 32],
  ['the longest salt', 222],
])('a signature with %s shows hash and salt, whatever else fits by chance', (_, saltLength) => {
  const found = Array.from({ length: 600 }, () =>
    recoverSignature(signed(saltLength), publicKey, evidence, named),
  )
  const expected = { encoding: 'pss', signed: 'other', hash: 'sha256', saltLength }
  for (const each of found) expect(each).toMatchObject(expected)
})
