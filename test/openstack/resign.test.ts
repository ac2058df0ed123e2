import { randomBytes, randomUUID } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { type OpenCloud, type ResignResult, resignImage, VolsealError } from '../../src/index.js'
import { Barbican, Glance, type GlanceImage } from '../../src/openstack/index.js'
import { volseal, volsealJson } from '../harness/cloud-command.js'
import { openCloudOf } from '../harness/cloud-session.js'
import { makeOpensslKey, type OpensslKey } from '../harness/openssl.js'
import { askCastellan, openstack } from '../harness/openstack.js'
import { type Api, jsonOf, openApi } from '../harness/openstack-api.js'
import { run, scratchDirectory } from '../harness/run.js'
import { sharedTestbed } from '../harness/testbed.js'

const testbed = sharedTestbed()
const directory = scratchDirectory()
const content = randomBytes(3 * 1024 * 1024 + 1)
const image = join(directory, 'snapshot.raw')
writeFileSync(image, content)

let glance: Api
let cloud: OpenCloud
let key: OpensslKey

beforeAll(async () => {
  glance = await openApi(testbed(), 'alice', 'glance')
  cloud = await openCloudOf(testbed(), 'alice')
  key = makeOpensslKey(directory, 'RSA-PSS', 'resign')
})

const SNAPSHOT = { image_type: 'snapshot', 'a/b~c': 'grüße', hw_disk_bus: 'scsi' }

/** An image as nova leaves a snapshot: with properties, and none of a signature. */
async function newSnapshot(
  properties: Readonly<Record<string, string>> = {},
  { format = 'raw', bytes = content }: { format?: string; bytes?: Buffer<ArrayBuffer> } = {},
): Promise<string> {
  const facts = { name: `snapshot ${randomUUID()}`, disk_format: format, container_format: 'bare' }
  const json = { ...facts, ...SNAPSHOT, ...properties }
  const { id } = await jsonOf<{ id: string }>(glance('POST', '/v2/images', { json }))
  expect((await glance('PUT', `/v2/images/${id}/file`, { bytes })).status).toBe(204)
  return id
}

async function show(id: string): Promise<Record<string, unknown>> {
  return await jsonOf(glance('GET', `/v2/images/${id}`))
}

async function patch(id: string, operations: readonly object[]): Promise<number> {
  const type = { 'Content-Type': 'application/openstack-images-v2.1-json-patch' }
  const request = { json: operations, headers: type }
  return (await glance('PATCH', `/v2/images/${id}`, request)).status
}

function signing(): { key: Buffer; certificate: Buffer } {
  return { key: readFileSync(key.key), certificate: readFileSync(key.certificate) }
}

type Change = Parameters<Glance['change']>

/** The cloud with something that happens beside its changes of images. */
function withGlance(change: (client: Glance, ...of: Change) => Promise<GlanceImage>): OpenCloud {
  class Watched extends Glance {
    override async change(...of: Change): Promise<GlanceImage> {
      return await change(cloud.glance, ...of)
    }
  }
  return { ...cloud, glance: new Watched(cloud.session) }
}

async function certificates(): Promise<string[]> {
  return (await cloud.barbican.list({ type: 'certificate' })).map(({ id }) => id)
}

async function users(id: string): Promise<string[]> {
  return (await cloud.barbican.consumers(id)).map(({ resourceId }) => resourceId)
}

describe('images resign', () => {
  it('signs a snapshot, and leaves the rest as it is', async () => {
    const id = await newSnapshot()
    const { updated_at: _, ...before } = await show(id)
    const args = ['images', 'resign', id, '--key', key.key, '--cert', key.certificate]
    const result = await volsealJson<ResignResult>(testbed(), 'alice', args)
    expect(result).toMatchObject({ ok: true, imageId: id, replaced: {}, size: content.length })
    expect(await show(id)).toMatchObject({ ...before, ...result.properties })
    const verdict = await askCastellan(testbed(), 'alice', {
      do: 'verify',
      certificate: result.certificateId,
      signature: result.properties.img_signature ?? '',
      hash: 'SHA-256',
      keyType: 'RSA-PSS',
      image,
    })
    expect(verdict).toEqual({ ok: true })
    const shown = await openstack<{ properties: object }>(testbed(), 'alice', ['image', 'show', id])
    expect(shown.properties).toMatchObject({ ...SNAPSHOT, ...result.properties })
  })

  it('replaces a signature, also half of one', async () => {
    const id = await newSnapshot({ img_signature: 'AAAA', img_signature_key_type: 'DSA' })
    const first = await resignImage({ cloud, imageId: id, ...signing() })
    expect(first.replaced).toEqual({ img_signature: 'AAAA', img_signature_key_type: 'DSA' })
    const again = await resignImage({ cloud, imageId: id, ...signing(), hash: 'SHA-512' })
    expect(again.replaced).toEqual(first.properties)
    expect(await show(id)).toMatchObject({ ...again.properties })
  })

  it('signs several with one certificate, and says of each what became of it', async () => {
    const ids = [await newSnapshot(), randomUUID(), await newSnapshot()]
    const args = ['images', 'resign', ...ids, '--key', key.key, '--cert', key.certificate]
    const { results } = await volsealJson<{ results: object[] }>(testbed(), 'alice', args)
    const missing = { ok: false, error: { code: 'not-found' } }
    expect(results).toMatchObject([{ ok: true }, missing, { ok: true, certificateReused: true }])
  })
})

describe('an image is not signed', () => {
  async function untouched(
    id: string,
    signs: () => Promise<unknown>,
    error: object,
  ): Promise<void> {
    const before = await show(id)
    await expect(signs()).rejects.toMatchObject(error)
    expect(await show(id)).toEqual(before)
  }

  it('that is not what its disk_format says', async () => {
    const disk = join(directory, 'disk.qcow2')
    run('qemu-img', ['create', '-q', '-f', 'qcow2', disk, '10M'])
    const id = await newSnapshot({}, { bytes: readFileSync(disk) })
    const error = { code: 'image-unsafe', message: expect.stringContaining('qcow2') }
    await untouched(id, async () => await resignImage({ cloud, imageId: id, ...signing() }), error)
  })

  it('that has no content', async () => {
    const json = { disk_format: 'raw', container_format: 'bare' }
    const { id } = await jsonOf<{ id: string }>(glance('POST', '/v2/images', { json }))
    const error = { code: 'busy', message: expect.stringContaining('it is queued') }
    await untouched(id, async () => await resignImage({ cloud, imageId: id, ...signing() }), error)
  })

  it('by who does not own it', async () => {
    const id = await newSnapshot()
    await patch(id, [{ op: 'replace', path: '/visibility', value: 'community' }])
    const args = ['images', 'resign', id, '--key', key.key, '--cert', key.certificate]
    const before = await show(id)
    const { code, stderr } = await volseal(testbed(), 'dave', args)
    expect(code).toBe(30)
    expect(stderr).toContain('only its owner')
    expect(await show(id)).toEqual(before)
  })

  it('that somebody signs at the same time', async () => {
    const id = await newSnapshot()
    let changing: Promise<number> | undefined
    const resigning = resignImage({
      cloud,
      imageId: id,
      ...signing(),
      onProgress: () => {
        changing ??= patch(id, [{ op: 'add', path: '/img_signature', value: 'theirs' }])
      },
    })
    await expect(resigning).rejects.toMatchObject({ code: 'busy' })
    expect(await changing).toBe(200)
    expect((await show(id))['img_signature']).toBe('theirs')
    expect((await show(id))['img_signature_key_type']).toBeUndefined()
  })

  it('that somebody else has signed before it is read back: theirs is left', async () => {
    const id = await newSnapshot({ img_signature: 'AAAA', img_signature_key_type: 'DSA' })
    const other = makeOpensslKey(directory, 'RSA-PSS', `theirs-${randomUUID()}`)
    const theirs = { key: readFileSync(other.key), certificate: readFileSync(other.certificate) }
    const before = await certificates()
    let second: ResignResult | undefined
    const racing = withGlance(async (glanceClient, ...change) => {
      const changed = await glanceClient.change(...change)
      second ??= await resignImage({ cloud, imageId: id, ...theirs })
      return changed
    })
    const ours = makeOpensslKey(directory, 'RSA-PSS', `ours-${randomUUID()}`)
    const mine = { key: readFileSync(ours.key), certificate: readFileSync(ours.certificate) }
    await expect(resignImage({ cloud: racing, imageId: id, ...mine })).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringContaining('signed by somebody else'),
    })
    expect(await show(id)).toMatchObject({ ...second?.properties })
    expect(await certificates()).toEqual([...before, second?.certificateId])
    expect(await users(second?.certificateId ?? '')).toEqual([id])
  })

  it('of which somebody has changed one property: only what is ours is taken back', async () => {
    const id = await newSnapshot({ img_signature: 'AAAA', img_signature_key_type: 'DSA' })
    const racing = withGlance(async (glanceClient, ...change) => {
      const changed = await glanceClient.change(...change)
      const theirs = { op: 'replace', path: '/img_signature_certificate_uuid', value: 'theirs' }
      if (change[1].some(({ op }) => op === 'add')) await patch(id, [theirs])
      return changed
    })
    await expect(resignImage({ cloud: racing, imageId: id, ...signing() })).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringContaining('img_signature_certificate_uuid'),
    })
    const { img_signature_hash_method: hash, ...shown } = await show(id)
    expect(hash).toBeUndefined()
    expect(shown).toMatchObject({
      img_signature: 'AAAA',
      img_signature_key_type: 'DSA',
      img_signature_certificate_uuid: 'theirs',
    })
  })

  it('that is deleted at the same time', async () => {
    const id = await newSnapshot()
    let deleting: Promise<unknown> | undefined
    const resigning = resignImage({
      cloud,
      imageId: id,
      ...signing(),
      onProgress: () => {
        deleting ??= glance('DELETE', `/v2/images/${id}`)
      },
    })
    await expect(resigning).rejects.toMatchObject({ code: 'not-found' })
    await deleting
  })

  it('when reading it back fails: it has its old signature again', async () => {
    const id = await newSnapshot({ img_signature: 'AAAA', img_signature_key_type: 'DSA' })
    const failing = async (): Promise<unknown> =>
      await resignImage({
        cloud,
        imageId: id,
        ...signing(),
        onVerifyProgress: () => {
          throw new Error('as if it were damaged')
        },
      })
    await expect(failing()).rejects.toThrow('as if it were damaged')
    const { img_signature: signature, ...rest } = await show(id)
    expect(signature).toBe('AAAA')
    expect(rest).not.toHaveProperty('img_signature_certificate_uuid')
  })
})

it('a signature that is verified stays, though Barbican does not note it', async () => {
  const id = await newSnapshot()
  class Unavailable extends Barbican {
    override async addConsumer(): Promise<never> {
      return await Promise.reject(new VolsealError('unavailable', 'barbican: 503'))
    }
  }
  const unnoted = { ...cloud, barbican: new Unavailable(cloud.session) }
  const result = await resignImage({ cloud: unnoted, imageId: id, ...signing() })
  expect(result.warnings).toEqual([expect.stringMatching(/not noted in Barbican: barbican: 503/)])
  expect(await show(id)).toMatchObject({ ...result.properties })
  expect((await resignImage({ cloud, imageId: id, ...signing() })).warnings).toEqual([])
})

describe('glance', () => {
  it('knows no test in a patch; its older form refuses to add what is there', async () => {
    const id = await newSnapshot({ there: '1' })
    expect(await patch(id, [{ op: 'test', path: '/there', value: '1' }])).toBe(400)
    const adding = cloud.glance.change(id, [{ op: 'add', property: 'there', value: '2' }], {
      exactly: true,
    })
    await expect(adding).rejects.toMatchObject({ code: 'busy', http: { status: 409 } })
    expect((await show(id))['there']).toBe('1')
  })
})
