import { createPublicKey } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { KEY_TYPES, type KeyTypeName } from '../../src/core/algorithms.js'
import { Secret } from '../../src/core/secret.js'
import { openKeyFile } from '../../src/face/keys.js'
import { createKeyPair, openKey, VolsealError } from '../../src/index.js'
import { makeOpensslKey } from '../harness/openssl.js'
import { run, scratchDirectory } from '../harness/run.js'

const directory = scratchDirectory()
const PASSPHRASE = 'correct horse, ünïcode'
const passphraseFile = join(directory, 'passphrase')
writeFileSync(passphraseFile, PASSPHRASE)

const keys = KEY_TYPES.map(({ name }) => makeOpensslKey(directory, name))

/** openssl's ways to write a key; `$` stands for the file that is written. */
const FORMS: readonly (readonly [
  name: string,
  types: RegExp,
  encrypted: boolean,
  args: string[],
])[] = [
  ['PKCS#8', /./, false, ['pkcs8', '-topk8', '-nocrypt']],
  ['PKCS#8 in DER', /./, false, ['pkcs8', '-topk8', '-nocrypt', '-outform', 'DER']],
  ['PKCS#8, AES-256', /./, true, ['pkcs8', '-topk8', '-v2', 'aes-256-cbc', '-passout']],
  ['PKCS#8, scrypt', /./, true, ['pkcs8', '-topk8', '-scrypt', '-passout']],
  ['PKCS#8 in DER, AES-256', /./, true, ['pkcs8', '-topk8', '-outform', 'DER', '-passout']],
  ['PKCS#8, 3DES', /./, true, ['pkcs8', '-topk8', '-v2', 'des3', '-passout']],
  ['PKCS#1', /RSA/, false, ['rsa', '-traditional']],
  ['PKCS#1, AES-128', /RSA/, true, ['rsa', '-traditional', '-aes128', '-passout']],
  ['PKCS#1, 3DES', /RSA/, true, ['rsa', '-traditional', '-des3', '-passout']],
  [
    'PKCS#1, DES',
    /RSA/,
    true,
    ['rsa', '-traditional', '-provider', 'legacy', '-provider', 'default', '-des', '-passout'],
  ],
  ['SEC 1', /ECC/, false, ['ec']],
  ['SEC 1, AES-256', /ECC/, true, ['ec', '-aes256', '-passout']],
  ["OpenSSL's DSA form", /DSA/, false, ['dsa']],
  ["OpenSSL's DSA form in DER", /DSA/, false, ['pkey', '-traditional', '-outform', 'DER']],
  ["OpenSSL's DSA form, AES-256", /DSA/, true, ['dsa', '-aes256', '-passout']],
]

const cases = FORMS.flatMap(([name, types, encrypted, args]) =>
  keys
    .filter(({ type }) => types.test(type))
    .map((key): [string, KeyTypeName, boolean, string[], string] => [
      name,
      key.type,
      encrypted,
      args,
      key.key,
    ]),
)

function publicPem(path: string): string {
  return createPublicKey(readFileSync(path)).export({ type: 'spki', format: 'pem' }).toString()
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work
    return 'accepted'
  } catch (error) {
    return error instanceof VolsealError ? error.code : String(error)
  }
}

describe.each(cases)('%s of %s', (_, __, encrypted, args, path) => {
  const out = join(directory, 'converted')
  const convert = (): Buffer => {
    const protection = encrypted ? [`file:${passphraseFile}`] : []
    run('openssl', [...args, ...protection, '-in', path, '-out', out])
    return readFileSync(out)
  }

  it('is the key that openssl wrote', async () => {
    const passphrase = encrypted ? new Secret(Buffer.from(PASSPHRASE)) : undefined
    const key = await openKey(convert(), passphrase)
    expect(createPublicKey(key).export({ type: 'spki', format: 'pem' })).toBe(publicPem(path))
  })

  it('is refused with a wrong passphrase and without one, if it is encrypted', async () => {
    const content = convert()
    if (!encrypted) {
      expect(await codeOf(openKey(content))).toBe('accepted')
      return
    }
    const wrong = new Secret(Buffer.from('wrong'))
    expect(await codeOf(openKey(content, wrong))).toBe('signature-malformed')
    expect(await codeOf(openKey(content))).toMatch(/^(usage|signature-malformed)$/)
  })
})

describe.each(keys)('PKCS#12 of $type', ({ key, certificate }) => {
  it.each([
    ['as openssl 3 makes it', []],
    ['with legacy encryption', ['-legacy']],
  ])('%s', async (_, options) => {
    const out = join(directory, 'key.p12')
    const source = ['pkcs12', '-export', '-inkey', key, '-in', certificate]
    run('openssl', [...source, ...options, '-passout', `file:${passphraseFile}`, '-out', out])
    const opened = await openKey(readFileSync(out), new Secret(Buffer.from(PASSPHRASE)))
    expect(createPublicKey(opened).export({ type: 'spki', format: 'pem' })).toBe(publicPem(key))
    const wrong = new Secret(Buffer.from('wrong'))
    expect(await codeOf(openKey(readFileSync(out), wrong))).toBe('signature-malformed')
    expect(await codeOf(openKey(readFileSync(out)))).toBe('usage')
  })
})

describe.each(keys)('the certificate in PKCS#12 of $type', ({ key, certificate, type }) => {
  const [stranger = ''] = keys
    .filter((other) => other.type !== type)
    .map((other) => other.certificate)
  const bundle = join(directory, 'bundle.crt')

  /** The certificate that is found in a file that openssl makes of these. */
  async function found(...args: string[]): Promise<Buffer | undefined> {
    const out = join(directory, 'key.p12')
    const source = ['pkcs12', '-export', '-inkey', key, '-passout', `file:${passphraseFile}`]
    run('openssl', [...source, ...args, '-out', out])
    const passphrase = new Secret(Buffer.from(PASSPHRASE))
    return (await openKeyFile(readFileSync(out), passphrase)).certificate
  }

  it("is the key's, whatever others there are", async () => {
    const der = run('openssl', ['x509', '-in', certificate, '-outform', 'DER'])
    expect(await found('-in', certificate)).toEqual(der)
    writeFileSync(bundle, Buffer.concat([readFileSync(stranger), readFileSync(certificate)]))
    expect(await found('-in', bundle)).toEqual(der)
    expect(await found('-in', certificate, '-certfile', stranger, '-legacy')).toEqual(der)
  })

  it('is none where the file has none', async () => {
    expect(await found('-nocerts')).toBeUndefined()
  })
})

describe('what is no key', () => {
  it.each([
    ['nothing', Buffer.alloc(0)],
    ['text', Buffer.from('hello')],
    ['a certificate', readFileSync(keys[0]?.certificate ?? '')],
    ['a public key', readFileSync(keys[0]?.publicKey ?? '')],
    ['a cut key', readFileSync(keys[0]?.key ?? '').subarray(0, 600)],
    ['DER rubbish', Buffer.from('3082010a0282', 'hex')],
    ['a PKCS#12 stub', Buffer.from('30100201033009', 'hex')],
  ])('%s is refused as such', async (_, content) => {
    expect(await codeOf(openKey(content))).toBe('signature-malformed')
  })
})

describe('createKeyPair', () => {
  it.each([
    ['RSA-PSS', undefined, 'RSA Private-Key: (3072 bit'],
    ['RSA-PSS', 2048, '(2048 bit'],
    ['ECC_SECP384R1', undefined, 'secp384r1'],
    ['ECC_SECP521R1', undefined, 'secp521r1'],
    ['ECC_SECT409K1', undefined, 'sect409k1'],
    ['ECC_SECT409R1', undefined, 'sect409r1'],
    ['ECC_SECT571K1', undefined, 'sect571k1'],
    ['ECC_SECT571R1', undefined, 'sect571r1'],
    ['DSA', 2048, '(2048 bit'],
  ] as const)('%s %s is what openssl reads', async (keyType, bits, expected) => {
    const pem = await createKeyPair({ keyType, bits })
    const text = run('openssl', ['pkey', '-noout', '-text'], pem.bytes()).toString()
    expect(text.replace('Private-Key: (', 'RSA Private-Key: (')).toContain(expected)
    expect(pem.bytes().toString()).toMatch(/^-----BEGIN PRIVATE KEY-----/)
  })

  it('encrypts with a passphrase that openssl takes', async () => {
    const passphrase = new Secret(Buffer.from(PASSPHRASE))
    const pem = await createKeyPair({ keyType: 'ECC_SECP384R1' }, passphrase)
    expect(pem.bytes().toString()).toMatch(/^-----BEGIN ENCRYPTED PRIVATE KEY-----/)
    run('openssl', ['pkey', '-passin', `file:${passphraseFile}`, '-noout'], pem.bytes())
  })

  it.each([1024, 2047, 8200, 16384])('refuses %d bits', async (bits) => {
    expect(await codeOf(createKeyPair({ keyType: 'RSA-PSS', bits }))).toBe('usage')
  })
})
