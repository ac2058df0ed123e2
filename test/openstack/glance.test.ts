import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { type SignatureProperties, signImage } from '../../src/index.js'
import { makeOpensslKey, type OpensslKey, opensslSign } from '../harness/openssl.js'
import { askCastellan, openstack } from '../harness/openstack.js'
import { jsonOf, openApi } from '../harness/openstack-api.js'
import { scratchDirectory } from '../harness/run.js'
import { sharedTestbed } from '../harness/testbed.js'

const testbed = sharedTestbed()
const directory = scratchDirectory()
const image = join(directory, 'image.raw')
const content = randomBytes(3 * 1024 * 1024 + 17)
writeFileSync(image, content)

interface Uploaded {
  readonly id: string
  /** Of the upload. */
  readonly status: number
  readonly text: string
  /** Of the image, afterwards. */
  readonly state: string
}

async function upload(
  properties: Readonly<Record<string, string>>,
  bytes: Buffer<ArrayBuffer>,
): Promise<Uploaded> {
  const ask = await openApi(testbed(), 'alice', 'glance')
  const plain = { name: 'signed', disk_format: 'raw', container_format: 'bare' }
  const json = { ...plain, ...properties }
  const { id } = await jsonOf<{ id: string }>(ask('POST', '/v2/images', { json }))
  const { status, text } = await ask('PUT', `/v2/images/${id}/file`, { bytes })
  const { status: state } = await jsonOf<{ status: string }>(ask('GET', `/v2/images/${id}`))
  return { id, status, text, state }
}

async function storeCertificate(key: OpensslKey, user = 'alice'): Promise<string> {
  const ask = await openApi(testbed(), user, 'barbican')
  const secret = {
    name: 'image signing',
    secret_type: 'certificate',
    payload: readFileSync(key.certificate).toString('base64'),
    payload_content_type: 'application/octet-stream',
    payload_content_encoding: 'base64',
  }
  const answer = ask('POST', '/v1/secrets', { json: secret })
  return (await jsonOf<{ secret_ref: string }>(answer)).secret_ref.split('/').at(-1) ?? ''
}

/** One byte of the image is another. */
function tampered(): Buffer<ArrayBuffer> {
  const other = Buffer.from(content)
  other.writeUInt8(other.readUInt8(100_000) ^ 1, 100_000)
  return other
}

describe.each(['RSA-PSS', 'ECC_SECP384R1', 'ECC_SECP521R1'] as const)('signed with %s', (type) => {
  let key: OpensslKey
  let certificateId: string
  let properties: SignatureProperties

  beforeAll(async () => {
    key = makeOpensslKey(directory, type)
    certificateId = await storeCertificate(key)
    const options = { image, certificateId, hash: 'SHA-512', write: false } as const
    const signed = await signImage({
      ...options,
      key: readFileSync(key.key),
      certificate: readFileSync(key.certificate),
    })
    properties = signed.properties
  })

  it('glance takes what volseal signed, and gives it back bit for bit', async () => {
    const { id, status, text, state } = await upload({ ...properties }, content)
    expect({ status, text, state }).toEqual({ status: 204, text: '', state: 'active' })
    const ask = await openApi(testbed(), 'carol', 'glance')
    expect((await ask('GET', `/v2/images/${id}/file`)).bytes.equals(content)).toBe(true)
  })

  it('glance refuses it with one bit flipped', async () => {
    const { status, text, state } = await upload({ ...properties }, tampered())
    expect({ status, state }).toEqual({ status: 400, state: 'queued' })
    expect(text).toContain('Signature verification failed')
  })

  it('cursive says the same with the certificate from barbican', async () => {
    const request = {
      do: 'verify',
      certificate: certificateId,
      signature: properties.img_signature ?? '',
      hash: 'SHA-512',
      keyType: type,
    } as const
    expect(await askCastellan(testbed(), 'alice', { ...request, image })).toEqual({ ok: true })
    const other = join(directory, `${type}.tampered`)
    writeFileSync(other, tampered())
    expect(await askCastellan(testbed(), 'alice', { ...request, image: other })).toEqual({
      ok: false,
      error: expect.stringMatching(/^InvalidSignature/),
    })
  })

  it('glance takes what openssl signed', async () => {
    const signature = opensslSign(key, 'SHA-512', image).toString('base64')
    const uploaded = await upload({ ...properties, img_signature: signature }, content)
    expect(uploaded).toMatchObject({ status: 204, state: 'active' })
  })
})

describe('the certificate', () => {
  it.each([
    ['is of another project', async () => await storeCertificate(makeKey('theirs'), 'dave')],
    ['is nowhere', async () => await Promise.resolve('a9ce1f1e-90d5-4bc6-8b4f-6cf7a1e3f0a1')],
    ['is of another key', async () => await storeCertificate(makeKey('another'))],
  ])('is refused by glance when it %s', async (_, certificate) => {
    const key = readFileSync(makeKey('mine').key)
    const certificateId = await certificate()
    const { properties } = await signImage({ image, key, certificateId, write: false })
    const { status, state } = await upload({ ...properties }, content)
    expect({ status, state }).toEqual({ status: 400, state: 'queued' })
  })

  function makeKey(name: string): OpensslKey {
    return makeOpensslKey(directory, 'RSA-PSS', name)
  }
})

it('the openstack client uploads what the command line signed, as the README tells', async () => {
  const key = makeOpensslKey(directory, 'RSA-PSS', 'readme')
  const certificateId = await storeCertificate(key)
  const { properties } = await signImage({ image, key: readFileSync(key.key), certificateId })
  const told = Object.entries(properties).flatMap(([name, value]) => [
    '--property',
    `${name}=${value}`,
  ])
  const args = ['--file', image, '--disk-format', 'raw', '--container-format', 'bare', ...told]
  const command = ['image', 'create', ...args, 'signed-image']
  const { id } = await openstack<{ id: string }>(testbed(), 'alice', command)
  const ask = await openApi(testbed(), 'alice', 'glance')
  const shown = await jsonOf<Record<string, string>>(ask('GET', `/v2/images/${id}`))
  expect(shown).toMatchObject({ status: 'active', ...properties })
})
