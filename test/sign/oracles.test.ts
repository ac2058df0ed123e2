import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { HASH_METHODS, type HashName, KEY_TYPES } from '../../src/core/algorithms.js'
import { signImage, type VerifyOptions, VolsealError, verifyImage } from '../../src/index.js'
import { askCursive, cursiveTakesAnySalt, hasCursive } from '../harness/cursive.js'
import {
  makeOpensslKey,
  type OpensslKey,
  opensslSign,
  opensslVerifies,
} from '../harness/openssl.js'
import { scratchDirectory } from '../harness/run.js'

const directory = scratchDirectory()
const keys = KEY_TYPES.map(({ name }) => makeOpensslKey(directory, name))
const hashes = HASH_METHODS.map(({ name }) => name)
const pairs = keys.flatMap((key) =>
  hashes.map((hash): [string, HashName, OpensslKey] => [key.type, hash, key]),
)

const image = join(directory, 'image')
const tampered = join(directory, 'tampered')
const content = randomBytes(3 * 1024 * 1024 + 17)
writeFileSync(image, content)
content[1_234_567] = (content[1_234_567] ?? 0) ^ 1
writeFileSync(tampered, content)

async function signed(key: OpensslKey, hash: HashName) {
  return await signImage({
    image,
    hash,
    key: readFileSync(key.key),
    certificate: readFileSync(key.certificate),
  })
}

/** `accepted`, or the code of the refusal. */
async function verdict(options: VerifyOptions): Promise<string> {
  try {
    const { verdict: found } = await verifyImage(options)
    return found
  } catch (error) {
    return error instanceof VolsealError ? error.code : String(error)
  }
}

describe.each(pairs)('%s with %s', (_, hash, key) => {
  it('what we sign, openssl verifies, and refuses when a bit is flipped', async () => {
    const { files, saltLength } = await signed(key, hash)
    const signature = files?.signature ?? ''
    const salt = String(saltLength)
    expect(opensslVerifies(key, hash, image, signature, salt)).toBe(true)
    expect(opensslVerifies(key, hash, tampered, signature, salt)).toBe(false)
    expect(readFileSync(files?.base64 ?? '', 'utf8')).toBe(
      `${readFileSync(signature).toString('base64')}\n`,
    )
  })

  it('what openssl signs, we verify, and refuse when a bit is flipped', async () => {
    const properties = {
      img_signature: opensslSign(key, hash, image).toString('base64'),
      img_signature_hash_method: hash,
      img_signature_key_type: key.type,
    }
    const certificate = readFileSync(key.certificate)
    expect(await verdict({ image, properties, certificate })).toBe('accepted')
    expect(await verdict({ image: tampered, properties, certificate })).toBe('signature-mismatch')
  })
})

describe('digests', () => {
  it.each(hashes)('%s is the one of the image', async (hash) => {
    const { createHash } = await import('node:crypto')
    const [key] = keys
    if (key === undefined) throw new Error('no key')
    const { digest, size } = await signed(key, hash)
    const node = hash.toLowerCase().replace('-', '')
    expect(digest).toBe(createHash(node).update(readFileSync(image)).digest('hex'))
    expect(size).toBe(content.length)
  })
})

describe.skipIf(!hasCursive)('the real cursive (Debian package python3-cursive)', () => {
  it('accepts everything that we sign, and refuses it when a bit is flipped', async () => {
    const requests = await Promise.all(
      pairs.map(async ([, hash, key]) => {
        const { properties } = await signed(key, hash)
        return {
          certificate: readFileSync(key.certificate, 'utf8'),
          signature: properties.img_signature ?? '',
          hash,
          keyType: key.type,
          image,
        }
      }),
    )
    expect(askCursive(requests)).toEqual(requests.map(() => ({ ok: true })))
    const refused = askCursive(requests.map((request) => ({ ...request, image: tampered })))
    for (const answer of refused)
      expect(answer).toMatchObject({ ok: false, error: /^InvalidSignature/ })
  })

  it('agrees with us about what is refused', async () => {
    const [key, other] = keys
    if (key === undefined || other === undefined) throw new Error('no keys')
    const good = {
      certificate: readFileSync(key.certificate, 'utf8'),
      signature: opensslSign(key, 'SHA-256', image).toString('base64'),
      hash: 'SHA-256',
      keyType: 'RSA-PSS',
      image,
    }
    const cases = [
      { ...good, hash: 'SHA-512' },
      { ...good, hash: 'sha256' },
      { ...good, keyType: 'RSA' },
      { ...good, keyType: 'ECC_SECP384R1' },
      { ...good, certificate: readFileSync(other.certificate, 'utf8') },
      { ...good, signature: '///' },
      { ...good, signature: good.signature.slice(4) },
      { ...good, image: tampered },
    ]
    expect(askCursive([good])).toEqual([{ ok: true }])
    const answers = askCursive(cases)
    for (const [index, request] of cases.entries()) {
      expect(answers[index]).toMatchObject({ ok: false })
      const found = await verdict({
        image: request.image,
        certificate: Buffer.from(request.certificate),
        properties: {
          img_signature: request.signature,
          img_signature_hash_method: request.hash,
          img_signature_key_type: request.keyType,
        },
      })
      expect(found).toMatch(/^signature-(mismatch|malformed)$/)
    }
  })
})

describe('salts', () => {
  const [key] = keys
  const certificate = readFileSync(key?.certificate ?? '')
  const propertiesWith = (salt: string) => ({
    img_signature:
      key === undefined ? '' : opensslSign(key, 'SHA-256', image, salt).toString('base64'),
    img_signature_hash_method: 'SHA-256',
    img_signature_key_type: 'RSA-PSS',
  })

  it.each([
    ['222', 'accepted'],
    ['221', 'signature-incompatible'],
    ['digest', 'signature-incompatible'],
    ['0', 'signature-incompatible'],
  ])('%s bytes: %s, and with any salt accepted', async (salt, expected) => {
    const properties = propertiesWith(salt)
    expect(await verdict({ image, properties, certificate })).toBe(expected)
    expect(await verdict({ image, properties, certificate, salt: 'any' })).toBe('accepted')
    expect(await verdict({ image: tampered, properties, certificate })).toBe('signature-mismatch')
  })

  it.skipIf(!hasCursive)('are judged as the installed cursive judges them', () => {
    const requests = ['222', 'digest', '0'].map((salt) => ({
      certificate: certificate.toString(),
      signature: propertiesWith(salt).img_signature,
      hash: 'SHA-256',
      keyType: 'RSA-PSS',
      image,
    }))
    const strict = [true, cursiveTakesAnySalt, cursiveTakesAnySalt]
    expect(askCursive(requests).map(({ ok }) => ok)).toEqual(strict)
  })
})

describe('PKCS#1 v1.5', () => {
  it('is refused', async () => {
    const [key] = keys
    const { run } = await import('../harness/run.js')
    const signature = run('openssl', ['dgst', '-sha256', '-sign', key?.key ?? '', image])
    const properties = {
      img_signature: signature.toString('base64'),
      img_signature_hash_method: 'SHA-256',
      img_signature_key_type: 'RSA-PSS',
    }
    const certificate = readFileSync(key?.certificate ?? '')
    expect(await verdict({ image, properties, certificate })).toBe('signature-mismatch')
  })
})
