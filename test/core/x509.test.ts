import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { KEY_TYPES } from '../../src/core/algorithms.js'
import { readCertificate } from '../../src/core/certificate.js'
import {
  type CertificateOptions,
  createCertificate,
  createRequest,
  inspectCertificate,
  VolsealError,
} from '../../src/index.js'
import { makeOpensslKey } from '../harness/openssl.js'
import { run, scratchDirectory } from '../harness/run.js'

const directory = scratchDirectory()
const keys = KEY_TYPES.map(({ name }) => ({
  ...makeOpensslKey(directory, name),
  privateKey: createPrivateKey(run('cat', [join(directory, `${name}.key`)])),
}))
const [rsa, p384] = keys
if (rsa === undefined || p384 === undefined) throw new Error('no keys')
const p384Key = p384.privateKey

function file(name: string, content: string): string {
  const path = join(directory, name)
  writeFileSync(path, content)
  return path
}

function asText(pem: string): string {
  return run('openssl', ['x509', '-noout', '-text'], pem).toString()
}

async function codeOf(options: CertificateOptions): Promise<string> {
  try {
    await createCertificate(options)
    return 'made'
  } catch (error) {
    return error instanceof VolsealError ? error.code : String(error)
  }
}

describe.each(keys)('a self-signed certificate of $type', ({ privateKey, publicKey }) => {
  it('is what openssl verifies, with v3 extensions', async () => {
    const pem = await createCertificate({ subject: 'CN=image signing,O=Example', key: privateKey })
    const path = file('self.pem', pem)
    expect(run('openssl', ['verify', '-CAfile', path, path]).toString()).toContain(': OK')
    const text = asText(pem)
    expect(text).toMatch(/Version: 3/)
    expect(text).toMatch(/Subject: CN = image signing, O = Example/)
    expect(text).toMatch(/Basic Constraints: critical\s+CA:FALSE/)
    expect(text).toMatch(/Key Usage: critical\s+Digital Signature\n/)
    expect(text).toMatch(/Subject Key Identifier/)
    expect(text).toMatch(/Authority Key Identifier/)
    expect(text).toMatch(
      /Signature Algorithm: (sha256WithRSAEncryption|dsa_with_SHA256|ecdsa-with-SHA(384|512))/,
    )
    expect(run('openssl', ['x509', '-noout', '-pubkey'], pem)).toEqual(readFileSync(publicKey))
  })
})

describe.each(keys)('a request of $type', ({ type, privateKey, publicKey }) => {
  it('is signed by its key, as openssl finds, and a CA issues for it', async () => {
    const request = Buffer.from(await createRequest('CN=leaf', privateKey))
    const checked = run('openssl', ['req', '-verify', '-noout', '-pubkey'], request)
    expect(checked).toEqual(readFileSync(publicKey))
    const issuer = { key: p384Key, certificate: Buffer.from(await ca(0)) }
    const leaf = Buffer.from(await createCertificate({ request, issuer }))
    expect(await inspectCertificate(leaf)).toMatchObject({ subject: 'CN=leaf', keyTypes: [type] })
  })

  it('that openssl made is taken, with each hash, and refused when it was changed', async () => {
    const key = file(`${type}.pem`, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())
    const issuer = { key: p384Key, certificate: Buffer.from(await ca(0)) }
    for (const hash of ['-sha224', '-sha256', '-sha384', '-sha512']) {
      const made = run('openssl', ['req', '-new', '-key', key, '-subj', '/CN=theirs', hash])
      const leaf = Buffer.from(await createCertificate({ request: made, issuer }))
      expect((await inspectCertificate(leaf)).subject).toBe('CN=theirs')
      const der = run('openssl', ['req', '-outform', 'DER'], made)
      const changed = Buffer.from(der.toString('latin1').replace('theirs', 'others'), 'latin1')
      const request = run('openssl', ['req', '-inform', 'DER'], changed)
      expect(await codeOf({ request, issuer })).toBe('signature-malformed')
    }
  })
})

async function ca(pathLength: number): Promise<string> {
  return await createCertificate({ subject: 'CN=root', key: p384Key, ca: { pathLength } })
}

describe('a certificate by a CA', () => {
  it('verifies under it, for a key and for a request', async () => {
    const root = await ca(0)
    const issuer = { key: p384.privateKey, certificate: Buffer.from(root) }
    const request = Buffer.from(await createRequest('CN=leaf', rsa.privateKey))
    expect(run('openssl', ['req', '-verify', '-noout'], request).toString()).toBeDefined()
    const leaves = [
      await createCertificate({ subject: 'CN=leaf', key: rsa.privateKey, issuer }),
      await createCertificate({ request, issuer }),
    ]
    const rootPath = file('root.pem', root)
    for (const leaf of leaves) {
      const verified = run('openssl', [
        'verify',
        '-x509_strict',
        '-CAfile',
        rootPath,
        file('leaf.pem', leaf),
      ])
      expect(verified.toString()).toContain(': OK')
      expect(asText(leaf)).toMatch(/Subject: CN = leaf/)
      expect(asText(leaf)).toMatch(/Issuer: CN = root/)
    }
    expect(asText(root)).toMatch(/CA:TRUE, pathlen:0/)
    expect(asText(root)).toMatch(/Certificate Sign, CRL Sign/)
  })

  it('is refused when the CA cannot issue', async () => {
    const leaf = Buffer.from(await createCertificate({ subject: 'CN=x', key: p384.privateKey }))
    const root = Buffer.from(await ca(0))
    const plan = { subject: 'CN=y', key: rsa.privateKey }
    const issuers = [
      { key: p384.privateKey, certificate: leaf },
      { key: rsa.privateKey, certificate: root },
      { key: p384.privateKey, certificate: Buffer.from('nonsense') },
    ]
    for (const issuer of issuers)
      expect(await codeOf({ ...plan, issuer })).toBe('signature-malformed')
    expect(await codeOf({ ...plan, issuer: { key: p384.privateKey, certificate: root } })).toBe(
      'made',
    )
  })
})

describe('what is refused', () => {
  it.each([
    ['a DSA key of 1024 bits', ['dsa', { modulusLength: 1024, divisorLength: 160 }]],
    ['an RSA key of 1024 bits', ['rsa', { modulusLength: 1024 }]],
    ['a curve of no key type', ['ec', { namedCurve: 'prime256v1' }]],
    ['Ed25519', ['ed25519', {}]],
  ] as const)('%s', async (_, [type, options]) => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- one of its many overloads
    const { privateKey: key } = generateKeyPairSync(type as 'rsa', options as { modulusLength: 0 })
    expect(await codeOf({ subject: 'CN=x', key })).toBe('signature-malformed')
  })

  it.each([
    ['no subject', {}],
    ['an empty subject', { subject: '' }],
    ['a subject that is no name', { subject: 'image signing' }],
    ['no days', { subject: 'CN=x', days: 0 }],
    ['a millennium', { subject: 'CN=x', days: 365_000 }],
  ])('%s', async (_, options) => {
    expect(await codeOf({ key: rsa.privateKey, ...options })).toBe('usage')
  })

  it('a request that was changed', async () => {
    const request = await createRequest('CN=leaf', rsa.privateKey)
    const other = await createRequest('CN=leaf', p384.privateKey)
    const mixed = request.slice(0, 400) + other.slice(400)
    const issuer = {
      key: p384.privateKey,
      certificate: Buffer.from(
        await createCertificate({
          subject: 'CN=root',
          key: p384.privateKey,
          ca: { pathLength: 0 },
        }),
      ),
    }
    expect(await codeOf({ request: Buffer.from(mixed), issuer })).toBe('signature-malformed')
  })
})

describe('inspectCertificate', () => {
  it.each(keys)('reads what openssl made for $type', async ({ certificate, type }) => {
    const found = await inspectCertificate(readFileSync(certificate))
    expect(found).toMatchObject({ selfSigned: true, keyTypes: [type] })
    expect(found.signatureAlgorithm).toMatch(/^(RSASSA-PKCS1-v1_5|DSA|ECDSA) SHA-\d{3}$/)
  })

  it('shows what openssl made, a v1 certificate without extensions too', async () => {
    const request = join(directory, 'v1.csr')
    const v1 = join(directory, 'v1.crt')
    run('openssl', ['req', '-new', '-key', rsa.key, '-subj', '/CN=v1', '-out', request])
    run('openssl', ['x509', '-req', '-days', '14', '-in', request, '-signkey', rsa.key, '-out', v1])
    const found = await inspectCertificate(readFileSync(v1))
    expect(found).toMatchObject({
      subject: 'CN=v1',
      selfSigned: true,
      ca: false,
      keyUsage: null,
      keyTypes: ['RSA-PSS'],
      publicKey: 'RSA, 2048 bits',
    })
    const fingerprint = run('openssl', ['x509', '-noout', '-fingerprint', '-sha256', '-in', v1])
    expect(found.fingerprint).toBe(
      fingerprint.toString().trim().split('=')[1]?.replaceAll(':', '').toLowerCase(),
    )
  })
})

describe('readCertificate', () => {
  const pem = readFileSync(rsa.certificate)
  const der = run('openssl', ['x509', '-outform', 'DER'], pem)
  const key = readFileSync(rsa.key)
  const text = run('openssl', ['x509', '-text'], pem)
  const other = readFileSync(p384.certificate)

  it.each([
    ['PEM', pem],
    ['DER', der],
    ['CRLF', Buffer.from(pem.toString().replaceAll('\n', '\r\n'))],
    ['no final newline', Buffer.from(pem.toString().trimEnd())],
    ['text before it', text],
    ['a key before it', Buffer.concat([key, pem])],
    ['a chain, of which the first counts', Buffer.concat([pem, other])],
    ['rubbish after it', Buffer.concat([pem, Buffer.from('rubbish')])],
  ])('takes %s', (_, content) => {
    expect(readCertificate(content, 'it').subject).toBe('CN=RSA-PSS')
  })

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['a key', key],
    ['a cut certificate', der.subarray(0, 100)],
    ['base64 of PEM', Buffer.from(pem.toString('base64'))],
    [
      'a request',
      Buffer.from('-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n'),
    ],
  ])('refuses %s', (_, content) => {
    expect(() => readCertificate(content, 'it')).toThrow(
      expect.objectContaining({ code: 'signature-malformed' }),
    )
  })
})
