import { describe, expect, it } from 'vitest'
import { holdsUncompared, isWithin, nameKey } from '../../src/trust/names.js'

/** A name of one organisation, whose text is held in that string type. */
function organisation(tag: number, text: Buffer): Buffer {
  const type = Buffer.from('060355040a', 'hex')
  const attribute = der(0x30, Buffer.concat([type, der(tag, text)]))
  return der(0x30, der(0x31, attribute))
}

function der(tag: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.of(tag, content.length), content])
}

const text = 'Evil'
const utf32 = Buffer.concat([...Buffer.from(text)].map((code) => Buffer.of(0, 0, 0, code)))
const plain = nameKey(organisation(0x0c, Buffer.from(text)))

describe('a name', () => {
  it.each([
    ['PrintableString', 0x13, Buffer.from('EVIL ')],
    ['BMPString', 0x1e, Buffer.from(text, 'utf16le').swap16()],
    ['UniversalString', 0x1c, utf32],
  ])('is the same as %s', (_type, tag, content) => {
    const name = nameKey(organisation(tag, content))
    expect(isWithin(name, plain)).toBe(true)
    expect(holdsUncompared(name)).toBe(false)
  })

  it.each([
    ['BMPString', 0x1e, Buffer.from('abc')],
    ['UniversalString', 0x1c, Buffer.from('abcde')],
    ['UniversalString', 0x1c, Buffer.from('00110000', 'hex')],
  ])('is none with half a character, or none at all, of a %s', (_type, tag, content) => {
    expect(() => nameKey(organisation(tag, content))).toThrow('character')
  })

  it('says when a value cannot be compared as text', () => {
    expect(holdsUncompared(nameKey(organisation(0x1b, Buffer.from(text))))).toBe(true)
  })
})
