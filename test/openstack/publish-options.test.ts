import { randomBytes, randomUUID } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { type OpenCloud, type PublishResult, type ResignResult, Secret } from '../../src/index.js'
import { alteredClouds } from '../harness/altered-clouds.js'
import { volseal } from '../harness/cloud-command.js'
import { openCloudOf } from '../harness/cloud-session.js'
import { interceptingProxy } from '../harness/intercepting-proxy.js'
import { makeOpensslKey, type OpensslKey, opensslVerifies } from '../harness/openssl.js'
import { type Api, jsonOf, openApi } from '../harness/openstack-api.js'
import { run, scratchDirectory } from '../harness/run.js'
import { sharedTestbed } from '../harness/testbed.js'

/** The options of `sign --publish`, and what Glance makes of them. */

const testbed = sharedTestbed()
const directory = scratchDirectory()

let glance: Api
let cloud: OpenCloud
let key: OpensslKey
let other: OpensslKey

beforeAll(async () => {
  glance = await openApi(testbed(), 'alice', 'glance')
  cloud = await openCloudOf(testbed(), 'alice')
  key = makeOpensslKey(directory, 'RSA-PSS', 'options')
  other = makeOpensslKey(directory, 'RSA-PSS', 'other')
})

function newImage(): string {
  const path = join(directory, `${randomUUID()}.raw`)
  writeFileSync(path, randomBytes(1024 * 1024 + 1))
  return path
}

async function storeCertificate({ certificate }: OpensslKey): Promise<string> {
  const payload = new Secret(readFileSync(certificate))
  return await cloud.barbican.store({ type: 'certificate', name: randomUUID() }, payload)
}

async function imagesOf(file: string): Promise<Record<string, unknown>[]> {
  const listed = glance('GET', `/v2/images?name=${basename(file)}`)
  return (await jsonOf<{ images: Record<string, unknown>[] }>(listed)).images
}

async function certificates(): Promise<string[]> {
  return (await cloud.barbican.list({ type: 'certificate' })).map(({ id }) => id)
}

interface Ended<T> {
  readonly code: number | null
  readonly body: T & { readonly ok: boolean; readonly error?: { readonly message: string } }
}

async function command<T>(...args: readonly string[]): Promise<Ended<T>> {
  const { code, stdout } = await volseal(testbed(), 'alice', [...args, '--json'])
  return { code, body: JSON.parse(stdout) }
}

const publish = async (
  images: string | readonly string[],
  ...args: readonly string[]
): Promise<Ended<PublishResult>> =>
  await command('sign', ...[images].flat(), '--key', key.key, '--publish', ...args)

describe('--cert-id', () => {
  it('is enough: nothing is stored', async () => {
    const certificateId = await storeCertificate(key)
    const before = await certificates()
    const image = newImage()
    const { code, body } = await publish(image, '--cert-id', certificateId)
    expect(code).toBe(0)
    expect(body).toMatchObject({ certificateId, certificateReused: true })
    expect(await imagesOf(image)).toMatchObject([
      { status: 'active', img_signature_certificate_uuid: certificateId },
    ])
    expect(await certificates()).toEqual(before)
  })

  it.each([
    ['of another key', [], 'is of another key'],
    ['beside another --cert', ['--cert'], 'it is another one'],
  ] as const)('%s is refused, and nothing is made', async (_, beside, message) => {
    const certificateId = await storeCertificate(other)
    const before = await certificates()
    const image = newImage()
    const more = beside.flatMap((option) => [option, key.certificate])
    const { code, body } = await publish(image, '--cert-id', certificateId, ...more)
    expect({ code, message: body.error?.message }).toEqual({
      code: 12,
      message: expect.stringContaining(message),
    })
    expect(await imagesOf(image)).toEqual([])
    expect(await certificates()).toEqual(before)
    expect(existsSync(`${image}.signature`)).toBe(false)
  })

  it('of images resign: that of another key is refused, and the image as it was', async () => {
    const image = newImage()
    const { imageId } = (await publish(image, '--cert', key.certificate)).body
    const before = await cloud.glance.show(imageId)
    const resign = async (by: OpensslKey, certificateId: string): Promise<Ended<ResignResult>> =>
      await command('images', 'resign', imageId, '--key', by.key, '--cert-id', certificateId)
    const certificateId = await storeCertificate(other)
    expect((await resign(key, certificateId)).code).toBe(12)
    expect((await cloud.glance.show(imageId)).properties).toEqual(before.properties)
    const { code, body } = await resign(other, certificateId)
    expect(code).toBe(0)
    expect(body).toMatchObject({ certificateId, certificateReused: true })
    const { properties } = await cloud.glance.show(imageId)
    expect(properties).toMatchObject({ img_signature_certificate_uuid: certificateId })
    const signature = join(directory, `${imageId}.signature`)
    writeFileSync(signature, Buffer.from(properties['img_signature'] ?? '', 'base64'))
    expect(opensslVerifies(other, 'SHA-256', image, signature)).toBe(true)
  })
})

describe('formats', () => {
  it('--disk-format qcow2 of an image that is one', async () => {
    const image = join(directory, `${randomUUID()}.qcow2`)
    run('qemu-img', ['create', '-q', '-f', 'qcow2', image, '10M'])
    const args = ['--cert', key.certificate, '--disk-format', 'qcow2']
    const { body } = await publish(image, ...args, '--container-format', 'bare')
    expect(body).toMatchObject({ ok: true, diskFormat: 'qcow2' })
    expect(await imagesOf(image)).toMatchObject([
      { disk_format: 'qcow2', container_format: 'bare' },
    ])
  })

  it.each(['ami', 'ari', 'aki'])('--container-format %s, with its disk format', async (format) => {
    const image = newImage()
    const formats = ['--container-format', format, '--disk-format', format]
    const { body } = await publish(image, '--cert', key.certificate, ...formats)
    expect(body).toMatchObject({ ok: true, diskFormat: format })
    expect(await imagesOf(image)).toMatchObject([
      { status: 'active', disk_format: format, container_format: format },
    ])
  })
})

describe('--out', () => {
  it('is not left behind when nothing was published', async () => {
    const out = join(directory, 'not-made')
    const proxy = await interceptingProxy(testbed().urls.glance ?? '')
    proxy.at(/^PATCH /, { lost: true })
    const image = newImage()
    const settings = { directory, image_endpoint_override: proxy.url }
    const altered = { ...testbed(), clouds: alteredClouds(testbed(), 'alice', settings) }
    const args = ['sign', image, '--key', key.key, '--cert', key.certificate, '--publish']
    const { code } = await volseal(altered, 'alice', [...args, '--out', out])
    expect(code).toBe(32)
    expect(existsSync(out)).toBe(false)
    expect(await imagesOf(image)).toEqual([])
  })

  it('that cannot be made is refused before anything is uploaded', async () => {
    const image = newImage()
    const out = join(directory, 'no-such-directory', 'signatures')
    const { code } = await publish(image, '--cert', key.certificate, '--out', out)
    expect(code).toBe(31)
    expect(await imagesOf(image)).toEqual([])
  })
})

it('--hash and --out: the digest that was asked for, and the files there alone', async () => {
  const image = newImage()
  const out = join(directory, 'signatures')
  const args = ['--cert', key.certificate, '--hash', 'SHA-512', '--out', out]
  const { code, body } = await publish(image, ...args)
  expect(code).toBe(0)
  const properties = { img_signature_hash_method: 'SHA-512' }
  expect(body).toMatchObject({ ok: true, properties })
  expect(await imagesOf(image)).toMatchObject([properties])
  const name = basename(image)
  const files = [`${name}.signature`, `${name}.signature.b64`, `${name}.signature.json`]
  expect(new Set(readdirSync(out))).toEqual(new Set(files))
  expect(existsSync(`${image}.signature`)).toBe(false)
  const signature = join(out, `${name}.signature`)
  expect(opensslVerifies(key, 'SHA-512', image, signature)).toBe(true)
})

describe('several images', () => {
  it('are published with one certificate', async () => {
    const images = [newImage(), newImage()]
    const { code, body } = await publishSeveral(images)
    expect(code).toBe(0)
    expect(body).toMatchObject({ ok: true, results: images.map((image) => ({ ok: true, image })) })
    expect(new Set(body.results.map(({ certificateId }) => certificateId)).size).toBe(1)
  })

  it('are published but for the one that cannot be', async () => {
    const image = newImage()
    const last = newImage()
    const { code, body } = await publishSeveral([image, join(directory, 'missing.raw'), last])
    expect(code).toBe(40)
    expect(body).toMatchObject({
      ok: false,
      results: [{ ok: true, image }, { ok: false }, { ok: true, image: last }],
      error: { code: 'incomplete', message: '1 of 3 images failed' },
    })
    for (const file of [image, last]) {
      expect(await imagesOf(file)).toMatchObject([{ status: 'active' }])
    }
  })

  async function publishSeveral(
    images: readonly string[],
  ): Promise<Ended<{ results: readonly PublishResult[] }>> {
    const signing = ['--key', key.key, '--cert', key.certificate, '--publish']
    return await command('sign', ...images, ...signing)
  }
})
