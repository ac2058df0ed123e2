import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import {
  createCertificate,
  openKey,
  signImage,
  type VerifyOptions,
  VolsealError,
} from '../../src/index.js'
import { makeOpensslKey } from '../harness/openssl.js'
import { scratchDirectory } from '../harness/run.js'
import {
  keepCertificate,
  makeImage,
  makeKeyManager,
  type Verdict,
  verdictOf,
} from '../harness/verifying.js'

const directory = scratchDirectory()
const rsa = makeOpensslKey(directory, 'RSA-PSS')
const ec = makeOpensslKey(directory, 'ECC_SECP384R1')
const image = makeImage(directory, 'image', 300_000)
const certificate = readFileSync(rsa.certificate)
const signed = await signImage({ image, key: readFileSync(rsa.key), certificate })
const { properties } = signed
const manager = await makeKeyManager(directory)

async function judge(options: Partial<VerifyOptions>): Promise<Verdict> {
  return await verdictOf({ image, properties, ...options })
}

describe('trust', () => {
  it('is pinned when the caller names the certificate, itself or by its id', async () => {
    const certificateId = await keepCertificate(manager, certificate)
    for (const named of [{ certificate }, { certificateId, keyManager: manager }]) {
      const { code, report } = await judge(named)
      expect(code).toBe('accepted')
      expect(report?.trust).toBe('pinned')
    }
  })

  it('is none when only the properties name it: 13, although the signature is valid', async () => {
    const id = await keepCertificate(manager, certificate)
    const named = { ...properties, img_signature_certificate_uuid: id }
    const { code, report } = await judge({ properties: named, keyManager: manager })
    expect(code).toBe('certificate-untrusted')
    expect(report).toMatchObject({ ok: false, trust: 'none', verdict: 'certificate-untrusted' })
    expect(report?.checks).toContainEqual(
      expect.objectContaining({ name: 'signature', result: 'pass' }),
    )
  })

  it('is settled by a trusted certificate, if it is the same one', async () => {
    const id = await keepCertificate(manager, certificate)
    const named = {
      properties: { ...properties, img_signature_certificate_uuid: id },
      keyManager: manager,
    }
    const others = [readFileSync(ec.certificate)]
    expect((await judge({ ...named, trusted: [...others, certificate] })).code).toBe('accepted')
    expect((await judge({ ...named, trusted: others })).code).toBe('certificate-untrusted')
  })

  it('counts less than the signature: another image is a mismatch first', async () => {
    const id = await keepCertificate(manager, certificate)
    const named = { ...properties, img_signature_certificate_uuid: id }
    const other = Readable.from([Buffer.from('another image')])
    const { code } = await judge({ image: other, properties: named, keyManager: manager })
    expect(code).toBe('signature-mismatch')
  })
})

describe('the certificate', () => {
  it.each([
    ['expired', new Date(Date.now() + 20 * 86_400_000)],
    ['not yet valid', new Date(Date.now() - 20 * 86_400_000)],
  ])('%s is untrusted, even when it is pinned', async (_, at) => {
    const { code, report } = await judge({ certificate, at })
    expect(code).toBe('certificate-untrusted')
    expect(report?.checks).toContainEqual(
      expect.objectContaining({ name: 'certificate-dates', result: 'fail' }),
    )
  })

  it('of another key is a mismatch', async () => {
    const key = await openKey(readFileSync(makeOpensslKey(directory, 'RSA-PSS', 'other').key))
    const other = Buffer.from(await createCertificate({ subject: 'CN=other', key }))
    expect((await judge({ certificate: other })).code).toBe('signature-mismatch')
  })

  it.each([
    ['an EC key for RSA-PSS', 'RSA-PSS', () => readFileSync(ec.certificate)],
    ['an RSA key for ECDSA', 'ECC_SECP384R1', () => certificate],
    ['P-384 for P-521', 'ECC_SECP521R1', () => readFileSync(ec.certificate)],
  ])('with %s cannot be used', async (_, keyType, pem) => {
    const changed = { ...properties, img_signature_key_type: keyType }
    const { code, report } = await judge({ properties: changed, certificate: pem() })
    expect(code).toBe('signature-malformed')
    expect(report?.digest).toBeNull()
  })
})

describe('what cannot be checked', () => {
  it.each([
    ['a missing image', { image: join(directory, 'nowhere'), certificate }, 'not-found'],
    [
      'a missing certificate',
      { certificateId: '5df14c2b-f221-4a02-948e-48a61edd3f5b', keyManager: manager },
      'not-found',
    ],
  ])('%s is unchecked, which is neither good nor bad', async (_, options, cause) => {
    expect(await judge(options)).toMatchObject({ code: 'unchecked', cause })
  })

  it('an image that breaks off in the middle is unchecked', async () => {
    const broken = Readable.from(
      (async function* () {
        yield readFileSync(image).subarray(0, 1000)
        await Promise.resolve()
        throw Object.assign(new Error('gone'), { code: 'EIO' })
      })(),
    )
    expect(await judge({ image: broken, certificate })).toMatchObject({
      code: 'unchecked',
      cause: 'io',
    })
  })

  it('a secret that is no certificate is malformed', async () => {
    const id = await manager.createKey({ algorithm: 'aes', bitLength: 256 })
    expect((await judge({ certificateId: id, keyManager: manager })).code).toBe(
      'signature-malformed',
    )
  })
})

describe('streams', () => {
  it.each([1, 7, 65_536, 1_048_576])('are verified in pieces of %d bytes', async (size) => {
    const bytes = readFileSync(image)
    const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
      bytes.subarray(index * size, (index + 1) * size),
    )
    const { code, report } = await judge({ image: Readable.from(pieces), certificate })
    expect(code).toBe('accepted')
    expect(report?.digest).toBe(signed.digest)
  })

  it('end when they are aborted, with the reason', async () => {
    const controller = new AbortController()
    const endless = Readable.from(
      (async function* () {
        for (;;) {
          yield Buffer.alloc(65_536)
          await new Promise((resolve) => setImmediate(resolve))
        }
      })(),
    )
    setTimeout(() => {
      controller.abort(new VolsealError('interrupted', 'interrupted'))
    }, 50)
    expect((await judge({ image: endless, certificate, signal: controller.signal })).code).toBe(
      'interrupted',
    )
  })
})

describe('a large ECDSA image, whose digest is made on a second thread', () => {
  it('is signed, verified, and refused when a bit is flipped', async () => {
    const large = join(directory, 'large')
    const bytes = Buffer.alloc(70 * 1024 * 1024, 7)
    writeFileSync(large, bytes)
    const key = { key: readFileSync(ec.key), certificate: readFileSync(ec.certificate) }
    const made = await signImage({ image: large, ...key, hash: 'SHA-384' })
    const { createHash } = await import('node:crypto')
    expect(made.digest).toBe(createHash('sha384').update(bytes).digest('hex'))
    const named = { image: large, properties: made.properties, certificate: key.certificate }
    expect(await judge(named)).toMatchObject({ code: 'accepted', report: { digest: made.digest } })
    bytes[69_000_000] = 8
    writeFileSync(large, bytes)
    expect((await judge(named)).code).toBe('signature-mismatch')
  })
})
