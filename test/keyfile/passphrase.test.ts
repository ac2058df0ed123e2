import { randomBytes } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromHexBytes } from '../../src/core/bytes.js'
import { Secret } from '../../src/core/secret.js'
import { looksRandom, passphraseOf, type SecretType } from '../../src/keyfile/index.js'

const bytes = fc.uint8Array({ maxLength: 600 }).map((values) => Buffer.from(values))
const HEX_TYPES: readonly SecretType[] = ['symmetric', 'public', 'private', 'certificate', 'opaque']

describe('passphraseOf', () => {
  it('gives lower-case hex for every type but passphrase', () => {
    const given = fc.property(bytes, fc.constantFrom(...HEX_TYPES), (content, type) => {
      const passphrase = passphraseOf({ type, payload: new Secret(content) }).bytes()
      expect(passphrase.toString('latin1')).toBe(content.toString('hex'))
      expect(fromHexBytes(passphrase)).toEqual(content)
    })
    fc.assert(given)
  })

  it('gives a passphrase as it is, or as hex when asked to', () => {
    const given = fc.property(bytes, (content) => {
      const secret = { type: 'passphrase', payload: new Secret(content) } as const
      expect(passphraseOf(secret).bytes()).toEqual(content)
      const hex = passphraseOf(secret, { encoding: 'hex' }).bytes()
      expect(hex.toString('latin1')).toBe(content.toString('hex'))
    })
    fc.assert(given)
  })

  it('gives bytes of their own', () => {
    const payload = new Secret(Buffer.from('words'))
    passphraseOf({ type: 'passphrase', payload }).wipe()
    expect(payload.bytes().toString()).toBe('words')
  })

  it('keeps leading zeros, unlike OpenStack before Newton (bug 1633518)', () => {
    const payload = new Secret(Buffer.from([0x00, 0x04, 0xf0]))
    expect(passphraseOf({ type: 'symmetric', payload }).bytes().toString()).toBe('0004f0')
  })
})

describe('looksRandom', () => {
  it.each([24, 32, 48, 64, 128, 200, 256, 1024])('is true of %i random bytes', (length) => {
    const judged = Array.from({ length: 300 }, () => looksRandom(randomBytes(length)))
    expect(judged).not.toContain(false)
  })

  it('is true of 16 random bytes, but for fewer than one in a thousand', () => {
    const judged = Array.from({ length: 20_000 }, () => looksRandom(randomBytes(16)))
    expect(judged.filter((random) => !random).length).toBeLessThan(20)
  })

  it('is false below 128 bits', () => {
    expect(takenForRandom(fc.uint8Array({ maxLength: 15 }))).toBeNull()
  })

  it('is false of text in any script', () => {
    const text = fc.string({ unit: 'grapheme-composite', minLength: 16, maxLength: 200 })
    expect(
      takenForRandom(text.map((found) => Buffer.from(found.replaceAll(/\p{Cc}/gu, ' ')))),
    ).toBeNull()
  })

  it('is false of the hex and base64 of any key', () => {
    const key = fc.uint8Array({ minLength: 16, maxLength: 64 }).map((found) => Buffer.from(found))
    expect(takenForRandom(key.map((found) => Buffer.from(found.toString('hex'))))).toBeNull()
    expect(
      takenForRandom(key.map((found) => Buffer.from(`${found.toString('base64')}\n`))),
    ).toBeNull()
  })

  it('is false of a short word that is repeated', () => {
    const word = fc.uint8Array({ minLength: 1, maxLength: 7 })
    const repeated = fc
      .tuple(word, fc.integer({ min: 3, max: 40 }))
      .map(([found, times]) => Buffer.concat(Array.from({ length: times }, () => found)))
    expect(takenForRandom(repeated)).toBeNull()
  })

  it.each([
    ['zeros', Buffer.alloc(32)],
    ['ones', Buffer.alloc(32, 0xff)],
    ['a count', Buffer.from(Array.from({ length: 32 }, (_, index) => index))],
    ['a count in steps', Buffer.from(Array.from({ length: 32 }, (_, index) => index * 11))],
    ['a phrase in Latin-1', Buffer.from('über den Wolken muß die Freiheit', 'latin1')],
    ['a phrase with a line end', Buffer.from('the quick brown fox jumps\r\n')],
  ])('is false of %s', (_, content) => {
    expect(looksRandom(content)).toBe(false)
  })
})

/** An example that is taken for random, or null. */
function takenForRandom(contents: fc.Arbitrary<Uint8Array>): [Uint8Array] | null {
  return fc.check(fc.property(contents, (content) => !looksRandom(content))).counterexample
}
