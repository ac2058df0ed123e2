import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  ImageRefused,
  signImage,
  type VerifyOptions,
  VolsealError,
  verifyImage,
  writeImage,
} from '../../src/index.js'
import { Authority, SIGNER } from '../harness/authority.js'
import { scratchDirectory } from '../harness/run.js'
import { keepCertificate, makeImage, makeKeyManager } from '../harness/verifying.js'

/** Images whose certificate a CA vouches for. */
const directory = scratchDirectory()
const authority = new Authority(directory)
const root = authority.issue({ subject: 'root' })
const middle = authority.issue({ subject: 'middle', issuer: root })
const signer = authority.issue({
  subject: 'signer',
  issuer: middle,
  extensions: SIGNER,
  key: 'p384',
})
const image = makeImage(directory)
const keyManager = await makeKeyManager(directory)
const keep = async (content: Buffer): Promise<string> => await keepCertificate(keyManager, content)
const certificateId = await keep(signer.pem)
const { properties } = await signImage({
  image,
  key: readFileSync(signer.key),
  certificateId,
  keyManager,
})

async function judge(options: Partial<VerifyOptions>) {
  try {
    const { trust, path } = await verifyImage({ image, properties, keyManager, ...options })
    return { trust, subjects: path?.map(({ subject }) => subject) }
  } catch (error) {
    if (error instanceof ImageRefused) {
      return { code: error.code, message: error.message, trust: error.report.trust }
    }
    if (error instanceof VolsealError) return { code: error.code, message: error.message }
    throw error
  }
}

const [trusted, untrusted] = [[root.pem], [middle.pem]]

describe('a certificate that only the properties name', () => {
  it('is accepted by a path to a trusted one, which the report has', async () => {
    const subjects = ['CN=signer', 'CN=middle', 'CN=root']
    expect(await judge({ trusted, untrusted })).toEqual({ trust: 'path', subjects })
    expect(await judge({ trusted: untrusted })).toEqual({
      trust: 'path',
      subjects: ['CN=signer', 'CN=middle'],
    })
  })

  it('is pinned when it is itself among those trusted', async () => {
    expect(await judge({ trusted: [signer.pem] })).toEqual({
      trust: 'pinned',
      subjects: ['CN=signer'],
    })
  })

  it('is refused without a path, and without anybody who is trusted', async () => {
    const refused = { code: 'certificate-untrusted', trust: 'none' }
    expect(await judge({ trusted })).toMatchObject(refused)
    expect(await judge({})).toMatchObject(refused)
    expect(await judge({ untrusted })).toMatchObject({ code: 'usage' })
    expect(await judge({ trusted: [], crls: [root.pem] })).toMatchObject({ code: 'usage' })
  })

  it('brings its chain along in the key manager', async () => {
    const id = await keep(Buffer.concat([signer.pem, middle.pem, Buffer.from('no more')]))
    const named = { ...properties, img_signature_certificate_uuid: id }
    expect(await judge({ properties: named, trusted })).toMatchObject({ trust: 'path' })
  })

  it('is refused before a byte is written', async () => {
    const target = join(directory, 'target')
    const writing = writeImage({ image, properties, keyManager, trusted, target })
    await expect(writing).rejects.toMatchObject({ code: 'certificate-untrusted' })
    expect(() => readFileSync(target)).toThrow(/ENOENT/)
  })
})

describe('a certificate that the caller names', () => {
  it('vouches for itself, but not beside those who are named as trusted', async () => {
    for (const named of [{ certificate: signer.pem }, { certificateId }]) {
      expect(await judge(named)).toMatchObject({ trust: 'pinned' })
      expect(await judge({ ...named, trusted })).toMatchObject({ trust: 'none' })
      expect(await judge({ ...named, trusted, untrusted })).toMatchObject({ trust: 'path' })
    }
  })
})

describe('an image that is refused', () => {
  it('for its certificate says so by its path, and for its bytes first', async () => {
    const revoked = authority.revoke(middle, [signer])
    const crls = [authority.revoke(root, []), revoked]
    expect(await judge({ trusted, untrusted, crls })).toMatchObject({
      code: 'certificate-untrusted',
      message: expect.stringMatching(
        /^the certificate CN=signer: it is revoked; cinder and glance/,
      ),
    })
    const tampered = join(directory, 'tampered')
    writeFileSync(tampered, randomBytes(1000))
    expect(await judge({ image: tampered, trusted, untrusted, crls })).toMatchObject({
      code: 'signature-mismatch',
    })
  })

  it('is judged for the time that is asked for', async () => {
    const at = new Date('2300-01-01')
    expect(await judge({ trusted, untrusted, at })).toMatchObject({
      code: 'certificate-untrusted',
      message: expect.stringMatching(/^the certificate CN=signer expired on/),
    })
  })
})
