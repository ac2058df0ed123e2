import { describe, expect, it } from 'vitest'
import { fromBase64, fromHex, fromHexBytes } from '../../src/core/bytes.js'
import { pemBlocks, toPem } from '../../src/core/pem.js'
import { Secret } from '../../src/core/secret.js'
import { fc, prop } from '../harness/property.js'

prop([fc.uint8Array()])('base64 and hex read back what they wrote', (bytes) => {
  const buffer = Buffer.from(bytes)
  expect(fromBase64(buffer.toString('base64'))).toEqual(buffer)
  expect(fromHex(buffer.toString('hex'))).toEqual(buffer)
  expect(fromHexBytes(Buffer.from(buffer.toString('hex')))).toEqual(buffer)
  expect(new Secret(buffer).hex().bytes().toString()).toBe(buffer.toString('hex'))
})

prop([fc.string()])('whatever is taken is the one canonical spelling', (text) => {
  const base64 = fromBase64(text)
  if (base64 !== undefined) expect(base64.toString('base64')).toBe(text)
  const hex = fromHex(text)
  if (hex !== undefined) expect(hex.toString('hex')).toBe(text)
})

prop([fc.base64String()])('of base64, exactly the canonical strings are taken', (text) => {
  const canonical = Buffer.from(text, 'base64').toString('base64') === text
  expect(fromBase64(text) !== undefined).toBe(canonical)
})

prop([fc.uint8Array(), fc.constantFrom('CERTIFICATE', 'PRIVATE KEY')])(
  'PEM reads back what it wrote, whatever stands around it',
  (bytes, label) => {
    const text = `Some: text\n${toPem(label, bytes)}trailing`
    const [block] = pemBlocks(text)
    expect(block?.label).toBe(label)
    expect(block?.der).toEqual(Buffer.from(bytes))
  },
)

describe('what Buffer.from would take and we do not', () => {
  it.each(['AAA', 'AAA\n', ' AAAA', 'AA=A', 'AAAA====', 'A-_A', 'AAB=', 'AQ=='.slice(0, 3)])(
    'base64 %j',
    (text) => {
      expect(fromBase64(text)).toBeUndefined()
    },
  )
  it.each(['0', '0g', 'AB', '0x00', ' 00', '00\n'])('hex %j', (text) => {
    expect(fromHex(text)).toBeUndefined()
    expect(fromHexBytes(Buffer.from(text))).toBeUndefined()
  })
})

describe('Secret', () => {
  it('does not print, however it is asked', async () => {
    const { inspect } = await import('node:util')
    const secret = new Secret(Buffer.from('hunter2'))
    const shown = [
      String(secret),
      JSON.stringify({ secret }),
      inspect(secret, { showHidden: true, depth: 9 }),
    ]
    for (const text of shown) expect(text).not.toMatch(/hunter2|68756e|104, ?117/)
  })

  it('is zero after wiping', () => {
    const bytes = Buffer.from('hunter2')
    new Secret(bytes).wipe()
    expect(bytes.every((byte) => byte === 0)).toBe(true)
  })
})
