import { createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { readDsaSignature } from '../../src/core/dsa-signature.js'
import { fc, prop } from '../harness/property.js'

/** In DER, whichever form it came in; anything else as it is. */
function derSignature(bytes: Buffer): Buffer {
  return readDsaSignature(bytes)?.der ?? bytes
}

describe.each(['secp384r1', 'secp521r1', 'sect571k1'])('signatures on %s', (namedCurve) => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve })
  const publicKey = createPublicKey(privateKey)

  it('in DER are left as they are, and as r and s become DER that openssl takes', () => {
    for (let count = 0; count < 50; count += 1) {
      const message = Buffer.from(String(count))
      const der = sign('sha256', message, privateKey)
      expect(derSignature(der)).toBe(der)
      const bare = sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' })
      expect(verify('sha256', message, publicKey, bare)).toBe(false)
      expect(verify('sha256', message, publicKey, derSignature(bare))).toBe(true)
    }
  })
})

prop([fc.uint8Array({ maxLength: 200 })])('other bytes become DER or stay as they are', (array) => {
  const der = derSignature(Buffer.from(array))
  expect(derSignature(der)).toBe(der)
})

describe('other bytes', () => {
  it('are taken for r and s when anything stands behind the DER', () => {
    const der = Buffer.from('3006020101020101', 'hex')
    expect(derSignature(der)).toBe(der)
    const longer = Buffer.concat([der, Buffer.alloc(2)])
    expect(derSignature(longer).equals(longer)).toBe(false)
  })
})
