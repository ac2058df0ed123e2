import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readCastellanPem } from '../../src/core/castellan-pem.js'
import { decodePythonBase64 } from '../../src/core/python-base64.js'
import { askPython, hasCursive } from '../harness/cursive.js'
import { makeOpensslKey } from '../harness/openssl.js'
import { run, scratchDirectory } from '../harness/run.js'

function ourBase64(text: string): string | null {
  const decoded = decodePythonBase64(text)
  return decoded.ok ? decoded.bytes.toString('hex') : null
}

describe('decodePythonBase64', () => {
  it.each([
    ['AA==AA==', '00'],
    ['AAA=AAAA', '0000'],
    ['AAAA====', '000000'],
    ['AA=\nA=', '0000'],
    ['====AAAA', '000000'],
    ['A=A=A=A', '0000'],
    ["b'AAAA'", null],
    ['AAE', null],
    ['A', null],
    ['AA=', null],
    ['AAA', null],
    ['AAAAA===', null],
    ['AAAA=AAA', null],
    ['\u00e9AAAA', null],
    ['', ''],
    ['~!~', ''],
  ])('%j is %j', (text, expected) => {
    expect(ourBase64(text)).toBe(expected)
  })
})

const INSERTED: readonly string[] = [
  '\n',
  '\r',
  '\r\n',
  ' ',
  '\t',
  '\v',
  '\u00a0',
  '=',
  '==',
  '~',
  'A',
  'X509 ',
  '-----',
  '-----END X-----',
  '-----BEGIN CERTIFICATE-----\n',
  '-----BEGIN X-----\n-----END X-----',
]

describe.skipIf(!hasCursive)("the services' own decoders (Debian package python3-cursive)", () => {
  it('decode every text as we do', () => {
    const character = fc.constantFrom(...Array.from("ABz09+/=== \n'-_\0~\u00e9"))
    const texts = fc.sample(fc.string({ unit: character, maxLength: 14 }), 5000)
    const answers = askPython('base64', texts)
    expect(texts.map(ourBase64)).toEqual(answers)
    const decoded = answers.filter((answer) => answer !== null)
    expect(decoded.length).toBeGreaterThan(500)
    expect(decoded.length).toBeLessThan(4500)
  })

  it('find the certificate in PEM that was edited as we do', () => {
    const directory = scratchDirectory()
    const pem = readFileSync(makeOpensslKey(directory, 'ECC_SECP384R1').certificate, 'latin1')
    const key = readFileSync(join(directory, 'ECC_SECP384R1.key'), 'latin1')
    const der = run('openssl', ['x509', '-outform', 'DER'], pem).toString('hex')
    const inserted = fc.constantFrom(...INSERTED, key, pem)
    const edit = fc.record({ at: fc.nat(pem.length), take: fc.constantFrom(0, 0, 1, 5), inserted })
    const edits = fc.sample(fc.array(edit, { maxLength: 2 }), 3000)
    const texts = edits.map((list) =>
      list.reduce(
        (text, { at, take, inserted: put }) => text.slice(0, at) + put + text.slice(at + take),
        pem,
      ),
    )
    const ours = texts.map((text) => {
      const read = readCastellanPem(Buffer.from(text, 'latin1'))
      return read.ok && read.der.toString('hex') === der
    })
    const theirs = askPython('certificate', texts).map((answer) => answer === der)
    const differing = texts.filter((_, index) => ours[index] !== theirs[index])
    expect(differing).toEqual([])
    expect(theirs.filter(Boolean).length).toBeGreaterThan(300)
    expect(theirs.filter((accepted) => !accepted).length).toBeGreaterThan(300)
  })
})
