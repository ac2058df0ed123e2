import { createHash, createPrivateKey, createPublicKey, randomBytes, sign } from 'node:crypto'
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { HASH_METHODS, KEY_TYPES } from '../../src/core/algorithms.js'
import { type DigestSigner, type SignRequest, signImage, VolsealError } from '../../src/index.js'
import { makeOpensslKey, type OpensslKey, opensslVerifies } from '../harness/openssl.js'
import { run, scratchDirectory } from '../harness/run.js'

const directory = scratchDirectory()
const keys = KEY_TYPES.map(({ name }) => makeOpensslKey(directory, name))
const rsaKey = makeOpensslKey(directory, 'RSA-PSS', 'rsa')
const ecKey = makeOpensslKey(directory, 'ECC_SECP384R1', 'ec')
const image = join(directory, 'image')
writeFileSync(image, randomBytes(2_500_000))

const schema: object = JSON.parse(
  readFileSync(new URL('../../schemas/sign-request-1.json', import.meta.url), 'utf8'),
)
const isRequest = new Ajv2020({ allowUnionTypes: true }).compile(schema)

/** A key service: openssl, on the digest that it is given. */
function opensslSigner(key: OpensslKey, change: Partial<SignRequest> = {}): DigestSigner {
  return async (request) => {
    const { digest, hash, keyType, saltLength } = { ...request, ...change }
    const name = hash.replace('-', '')
    const input = join(directory, `${digest.slice(0, 20)}.digest`)
    writeFileSync(input, Buffer.from(digest, 'hex'))
    const pss = ['rsa_padding_mode:pss', `rsa_mgf1_md:${name}`, `rsa_pss_saltlen:${saltLength}`]
    const options = [`digest:${name}`, ...(keyType === 'RSA-PSS' ? pss : [])]
    const args = options.flatMap((option) => ['-pkeyopt', option])
    return await Promise.resolve(
      run('openssl', ['pkeyutl', '-sign', '-inkey', key.key, '-in', input, ...args]),
    )
  }
}

async function signWith(signer: DigestSigner, key: OpensslKey, more: object = {}) {
  return await signImage({ image, signer, certificate: readFileSync(key.certificate), ...more })
}

/** The code of the refusal, of which nothing must be left. */
async function refusal(signer: DigestSigner, key: OpensslKey, more: object = {}): Promise<unknown> {
  const place = mkdtempSync(join(directory, 'refused-'))
  const target = join(place, 'image')
  writeFileSync(target, readFileSync(image))
  const error = await signWith(signer, key, { image: target, ...more }).catch(
    (thrown: unknown) => thrown,
  )
  expect(readdirSync(place)).toEqual(['image'])
  return error instanceof VolsealError ? error.code : error
}

describe.each(keys)('a signer with a key of type $type', (key) => {
  it.each(HASH_METHODS)('signs with $name what openssl verifies', async (hash) => {
    const { files, digest, saltLength, properties } = await signWith(opensslSigner(key), key, {
      hash: hash.name,
    })
    const signature = files?.signature ?? ''
    expect(opensslVerifies(key, hash.name, image, signature, String(saltLength))).toBe(true)
    expect(digest).toBe(createHash(hash.node).update(readFileSync(image)).digest('hex'))
    expect(properties.img_signature_key_type).toBe(key.type)
  })

  it('is asked for what the published schema says', async () => {
    const requests: SignRequest[] = []
    const signer: DigestSigner = async (request, options) => {
      requests.push(request)
      return await opensslSigner(key)(request, options)
    }
    await signWith(signer, key)
    await signWith(signer, key, { signerKeyId: 'slot 3' })
    for (const request of requests)
      expect([isRequest(request), isRequest.errors]).toEqual([true, null])
    const spki = createPublicKey(readFileSync(key.certificate)).export({
      type: 'spki',
      format: 'der',
    })
    expect(requests).toMatchObject([{ keyId: null }, { keyId: 'slot 3' }])
    expect(requests[0]).toMatchObject({
      keyType: key.type,
      saltLength: key.type === 'RSA-PSS' ? 222 : null,
      publicKeySha256: createHash('sha256').update(spki).digest('hex'),
    })
  })

  it('needs only the public key', async () => {
    const publicKey = readFileSync(key.publicKey)
    const der = createPublicKey(publicKey).export({ type: 'spki', format: 'der' })
    for (const given of [publicKey, der]) {
      const options = { certificate: undefined, publicKey: given, write: false }
      expect(await signWith(opensslSigner(key), key, options)).toMatchObject({ files: null })
    }
  })

  it('is refused for another key, another digest, garbage and nothing', async () => {
    const other = makeOpensslKey(directory, key.type, `other-${key.type}`)
    expect(await refusal(opensslSigner(other), key)).toBe('signature-malformed')
    const digest = '00'.repeat(32)
    expect(await refusal(opensslSigner(key, { digest }), key)).toBe('signature-malformed')
    for (const bytes of [
      Buffer.alloc(0),
      Buffer.alloc(256, 7),
      randomBytes(103),
      Buffer.of(48, 0),
    ]) {
      expect(await refusal(async () => await Promise.resolve(bytes), key)).toBe(
        'signature-malformed',
      )
    }
  })
})

describe('a signer of RSA-PSS', () => {
  it.each([0, 20, 32, 221])('is refused with a salt of %i bytes', async (saltLength) => {
    expect(await refusal(opensslSigner(rsaKey, { saltLength }), rsaKey)).toBe(
      'signature-incompatible',
    )
  })

  it('is refused with PKCS#1 v1.5, which is what the plain sign operation gives', async () => {
    const key = createPrivateKey(readFileSync(rsaKey.key))
    const signer = async () => await Promise.resolve(sign('sha256', readFileSync(image), key))
    expect(await refusal(signer, rsaKey)).toBe('signature-malformed')
  })
})

describe('a signer', () => {
  it('of ECDSA may give r and s one after the other', async () => {
    const key = createPrivateKey(readFileSync(ecKey.key))
    const signer = async () =>
      await Promise.resolve(sign('sha256', readFileSync(image), { key, dsaEncoding: 'ieee-p1363' }))
    const { files } = await signWith(signer, ecKey)
    expect(opensslVerifies(ecKey, 'SHA-256', image, files?.signature ?? '')).toBe(true)
  })

  it('that throws is unavailable, and what it throws of ours stays as it is', async () => {
    const broken = new Error('closed today')
    expect(await refusal(() => Promise.reject(broken), ecKey)).toBe('unavailable')
    expect(
      await refusal(() => {
        throw broken
      }, ecKey),
    ).toBe('unavailable')
    const ours = new VolsealError('forbidden', 'no')
    expect(await refusal(() => Promise.reject(ours), ecKey)).toBe('forbidden')
  })

  it('that returns something else is a mistake of its author', async () => {
    // @ts-expect-error -- as a caller in JavaScript can do
    expect(await refusal(() => Promise.resolve('a string'), ecKey)).toBe('usage')
  })

  it('gets the signal, and nothing is written when it ends for it', async () => {
    const controller = new AbortController()
    const signer: DigestSigner = async (_request, { signal }) =>
      await new Promise((_resolve, reject) => {
        signal?.addEventListener('abort', () => reject(new Error('stopped')), { once: true })
        controller.abort(new VolsealError('interrupted', 'enough'))
      })
    expect(await refusal(signer, ecKey, { signal: controller.signal })).toBe('interrupted')
    const late = new AbortController()
    const heedless: DigestSigner = async (request, options) => {
      late.abort()
      return await opensslSigner(ecKey)(request, options)
    }
    expect(await refusal(heedless, ecKey, { signal: late.signal })).toBe('interrupted')
  })

  it('signs no image that changes meanwhile', async () => {
    const target = join(directory, 'changing')
    writeFileSync(target, randomBytes(1000))
    const signer: DigestSigner = async (request, options) => {
      appendFileSync(target, 'x')
      return await opensslSigner(ecKey)(request, options)
    }
    await expect(signWith(signer, ecKey, { image: target })).rejects.toMatchObject({ code: 'busy' })
    expect(existsSync(`${target}.signature`)).toBe(false)
  })
})

describe('what signImage is given', () => {
  const signer = opensslSigner(ecKey)

  it('is one of key and signer', async () => {
    expect(await refusal(signer, ecKey, { key: readFileSync(ecKey.key) })).toBe('usage')
    expect(await refusal(signer, ecKey, { signer: undefined })).toBe('usage')
  })

  it('names the public key', async () => {
    expect(await refusal(signer, ecKey, { certificate: undefined })).toBe('usage')
    const publicKey = readFileSync(rsaKey.publicKey)
    expect(await refusal(signer, ecKey, { publicKey })).toBe('signature-malformed')
  })

  it.each([
    ['a private key', () => readFileSync(ecKey.key)],
    ['a certificate', () => readFileSync(ecKey.certificate)],
    ['nothing', () => Buffer.alloc(0)],
    ['damaged DER', () => Buffer.from('3003020101', 'hex')],
    ['a curve that no cloud takes', () => smallKey()],
  ])('is no public key: %s', async (_what, make) => {
    const options = { certificate: undefined, publicKey: make() }
    expect(await refusal(signer, ecKey, options)).toBe('signature-malformed')
  })
})

function smallKey(): Buffer {
  const path = join(directory, 'p256')
  run('openssl', ['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', path])
  return run('openssl', ['pkey', '-in', path, '-pubout'])
}
