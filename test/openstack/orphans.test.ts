import { randomBytes, randomUUID } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import {
  findOrphans,
  type OpenCloud,
  type OrphanReport,
  publishImage,
  resignImage,
  Secret,
} from '../../src/index.js'
import { keyIdOf, makeEncryptedType, makeResource } from '../harness/cinder.js'
import { volseal, volsealJson } from '../harness/cloud-command.js'
import { openCloudOf } from '../harness/cloud-session.js'
import { makeOpensslKey, type OpensslKey } from '../harness/openssl.js'
import { userOf } from '../harness/openstack.js'
import { type Api, jsonOf, openApi } from '../harness/openstack-api.js'
import { scratchDirectory } from '../harness/run.js'
import { sharedTestbed } from '../harness/testbed.js'

/** Secrets without users, and users without secrets. */

const testbed = sharedTestbed()
const directory = scratchDirectory()
/** In a project of its own: what other tests make there does not come and go meanwhile. */
const USER = 'dave'

let cloud: OpenCloud
let glance: Api
let key: OpensslKey

beforeAll(async () => {
  cloud = await openCloudOf(testbed(), USER)
  glance = await openApi(testbed(), USER, 'glance')
  key = makeOpensslKey(directory, 'RSA-PSS', 'orphans')
})

function signing(of: OpensslKey): { key: Buffer; certificate: Buffer } {
  return { key: readFileSync(of.key), certificate: readFileSync(of.certificate) }
}

async function publish(of = key): Promise<{ imageId: string; certificateId: string }> {
  const image = join(directory, `${randomUUID()}.raw`)
  writeFileSync(image, randomBytes(1000))
  return await publishImage({ cloud, image, ...signing(of), write: false })
}

async function queued(properties: Readonly<Record<string, string | boolean>>): Promise<string> {
  return await queuedBy(glance, properties)
}

async function queuedBy(
  by: Api,
  properties: Readonly<Record<string, string | boolean>>,
): Promise<string> {
  const json = { disk_format: 'raw', container_format: 'bare', ...properties }
  return (await jsonOf<{ id: string }>(by('POST', '/v2/images', { json }))).id
}

async function newKey(metadata: Record<string, string> = {}): Promise<string> {
  return await cloud.keyManager.createKey({ algorithm: 'aes', bitLength: 256, metadata })
}

async function orphanIds(olderThan = 0): Promise<string[]> {
  return (await findOrphans({ cloud, olderThan })).orphans.map(({ id }) => id)
}

describe('secret orphans', () => {
  it('is a key or certificate that no volume, backup, image, container or other service needs', async () => {
    const orphan = await newKey()
    const certificate = await cloud.barbican.store(
      { type: 'certificate', name: 'unused' },
      new Secret(Buffer.from('no image names it')),
    )
    const cinder = await openApi(testbed(), USER, 'cinder')
    const type = await makeEncryptedType(testbed())
    const volume = await makeResource(cinder, 'volume', { size: 1, volume_type: type })
    await makeResource(cinder, 'snapshot', { volume_id: volume, name: 'snapshot' })
    const backup = await makeResource(cinder, 'backup', {
      volume_id: volume,
      name: 'b',
      force: true,
    })
    const ofImage = await newKey()
    await queued({ cinder_encryption_key_id: ofImage, os_hidden: true })
    const { certificateId } = await publish()
    const contained = await newKey()
    const barbican = await openApi(testbed(), USER, 'barbican')
    const refs = [{ name: 'key', secret_ref: `${testbed().urls.barbican}/v1/secrets/${contained}` }]
    const container = { type: 'generic', name: 'of a load balancer', secret_refs: refs }
    expect((await barbican('POST', '/v1/containers', { json: container })).status).toBe(201)
    const consumed = await newKey()
    const consumer = { service: 'share', resourceType: 'share', resourceId: randomUUID() }
    await cloud.barbican.addConsumer(consumed, consumer)
    const ofBackup = await newKey({ 'volseal-purpose': 'header-backup' })
    const needed = [
      await keyIdOf(testbed(), 'volume', volume),
      await keyIdOf(testbed(), 'backup', backup),
      ofImage,
      certificateId,
      contained,
      consumed,
      ofBackup,
    ]
    const found = await orphanIds()
    expect(found).toEqual(expect.arrayContaining([orphan, certificate]))
    expect(needed.filter((id) => found.includes(id))).toEqual([])
  }, 120_000)

  it('is not what a community or shared image of another project needs', async () => {
    const [ofCommunity, ofShared, ofHidden] = [await newKey(), await newKey(), await newKey()]
    const certificate = await cloud.barbican.store(
      { type: 'certificate', name: 'of another project' },
      new Secret(Buffer.from('their image names it')),
    )
    const theirs = await openApi(testbed(), 'alice', 'glance')
    const community = { visibility: 'community' }
    await queuedBy(theirs, { ...community, cinder_encryption_key_id: ofCommunity })
    await queuedBy(theirs, { ...community, img_signature_certificate_uuid: certificate })
    await queuedBy(theirs, { ...community, os_hidden: true, cinder_encryption_key_id: ofHidden })
    const lost = await queuedBy(theirs, { ...community, cinder_encryption_key_id: randomUUID() })
    const shared = await queuedBy(theirs, {
      visibility: 'shared',
      cinder_encryption_key_id: ofShared,
    })
    const json = { member: userOf(testbed(), USER).projectId }
    expect((await theirs('POST', `/v2/images/${shared}/members`, { json })).status).toBe(200)
    const { orphans, bereft } = await findOrphans({ cloud, olderThan: 0 })
    const found = orphans.map(({ id }) => id)
    expect(bereft.map(({ id }) => id)).not.toContain(lost)
    const needed = [ofCommunity, ofShared, ofHidden, certificate]
    expect(needed.filter((id) => found.includes(id))).toEqual([])
  })

  it('is, by another name, the copy of a key that "write" made for a volume', async () => {
    const copy = await newKey({ 'volseal-purpose': 'volume-key' })
    const ofRekey = { 'volseal-purpose': 'volume-key', 'volume-uuid': randomUUID() }
    const rekeyed = await newKey(ofRekey)
    const { orphans } = await findOrphans({ cloud, olderThan: 0 })
    expect(orphans).toContainEqual(expect.objectContaining({ id: copy, kind: 'volume-key' }))
    expect(orphans.map(({ id }) => id)).not.toContain(rekeyed)
    const args = ['secret', 'orphans', '--older-than', '0']
    const { stdout, stderr } = await volseal(testbed(), USER, args)
    expect(stdout).toMatch(new RegExp(`${copy} +copy for a volume`))
    expect(stderr).toContain('a volume outside cinder')
    const refused = await volseal(testbed(), USER, [...args, '--delete', copy])
    expect(refused).toMatchObject({
      code: 22,
      stderr: expect.stringContaining('may be the only key of a volume outside cinder'),
    })
    await cloud.keyManager.delete(copy)
  })

  it('is a copy of a key that is opaque, but no other opaque secret', async () => {
    const store = async (name: string): Promise<string> =>
      await cloud.barbican.store({ type: 'opaque', name }, new Secret(randomBytes(32)))
    const [copy, other] = [await store('volume key of the image disk.raw'), await store('theirs')]
    const found = await orphanIds()
    expect(found).toContain(copy)
    expect(found).not.toContain(other)
  })

  it('leaves out what is young, whose volume may be on its way', async () => {
    const id = await newKey()
    const { orphans, young } = await findOrphans({ cloud })
    expect(orphans).toEqual([])
    expect(young).toBeGreaterThan(0)
    expect(await orphanIds()).toContain(id)
  })

  it('names what has lost its key or certificate', async () => {
    const [lost, gone] = [randomUUID(), randomUUID()]
    const encrypted = await queued({ cinder_encryption_key_id: lost })
    const odd = await queued({ cinder_encryption_key_id: '../../v1/secrets' })
    const fixed = await queued({ cinder_encryption_key_id: '00000000-0000-0000-0000-000000000000' })
    const signed = await queued({ img_signature_certificate_uuid: gone })
    const { code, stdout } = await volseal(testbed(), USER, ['secret', 'orphans', '--json'])
    expect(code).toBe(0)
    const { bereft }: OrphanReport = JSON.parse(stdout)
    expect(bereft).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ kind: 'image', id: encrypted, secretId: lost, lacks: 'key' }),
        expect.objectContaining({ kind: 'image', id: odd, lacks: 'key' }),
        expect.objectContaining({ id: signed, secretId: gone, lacks: 'certificate' }),
      ]),
    )
    expect(bereft.map(({ id }) => id)).not.toContain(fixed)
  })

  it('deletes on demand, and only what is an orphan', async () => {
    const [orphan, other, used] = [await newKey(), await newKey(), await newKey()]
    await queued({ cinder_encryption_key_id: used })
    const remove = (...ids: string[]): string[] => ids.flatMap((id) => ['--delete', id])
    const args = ['secret', 'orphans', '--older-than', '0']
    const refused = await volseal(testbed(), USER, [...args, ...remove(orphan, used)])
    expect(refused).toMatchObject({
      code: 22,
      stderr: expect.stringContaining('nothing was deleted'),
    })
    expect(await orphanIds()).toEqual(expect.arrayContaining([orphan, other]))
    const deleted = await volsealJson(testbed(), USER, [...args, ...remove(orphan)])
    expect(deleted).toMatchObject({ ok: true, deleted: [{ id: orphan }] })
    const left = await orphanIds()
    expect(left).toContain(other)
    expect(left).not.toContain(orphan)
    await cloud.keyManager.describe(used)
    const young = await volseal(testbed(), USER, ['secret', 'orphans', ...remove(other)])
    expect(young).toMatchObject({ code: 22 })
  })
})

describe('a certificate', () => {
  const users = async (id: string): Promise<string[]> =>
    (await cloud.barbican.consumers(id)).map(({ resourceId }) => resourceId)

  it('knows in Barbican which images are signed with it', async () => {
    const { imageId, certificateId } = await publish()
    expect(await users(certificateId)).toContain(imageId)
    const other = makeOpensslKey(directory, 'RSA-PSS', 'orphans-other')
    const resigned = await resignImage({ cloud, imageId, ...signing(other) })
    expect(await users(certificateId)).not.toContain(imageId)
    expect(await users(resigned.certificateId)).toEqual([imageId])
    await volseal(testbed(), USER, ['images', 'delete', imageId])
    expect(await users(resigned.certificateId)).toEqual([])
  })

  it('does not know images that were never finished', async () => {
    const { certificateId } = await publish()
    const before = await users(certificateId)
    const stop = new AbortController()
    const image = join(directory, 'stopped.raw')
    writeFileSync(image, randomBytes(3_000_000))
    const publishing = publishImage({
      cloud,
      image,
      ...signing(key),
      write: false,
      signal: stop.signal,
      onUploadProgress: () => stop.abort(),
    })
    await expect(publishing).rejects.toMatchObject({ code: 'interrupted' })
    expect(await users(certificateId)).toEqual(before)
  })
})

describe('of many secrets, Barbican is asked', () => {
  /** The work, while the first metadata is held back until the others were asked for; how many at once. */
  async function mostAtOnce(secrets: number, work: () => Promise<unknown>): Promise<number> {
    const { barbican } = cloud
    const asked = barbican.metadata.bind(barbican)
    let running = 0
    let begun = 0
    let most = 0
    const spy = vi.spyOn(barbican, 'metadata').mockImplementation(async (...args) => {
      running += 1
      begun += 1
      most = Math.max(most, running)
      if (begun === 1) await vi.waitUntil(() => begun >= secrets, { timeout: 20_000 })
      return await asked(...args).finally(() => {
        running -= 1
      })
    })
    await work().finally(() => spy.mockRestore())
    return most
  }

  it('about several at once, and never about too many', { timeout: 60_000 }, async () => {
    const SECRETS = 20
    const ids = await Promise.all(
      Array.from(
        { length: SECRETS },
        async () =>
          await cloud.barbican.store(
            { type: 'symmetric', algorithm: 'aes', bitLength: 256, name: 'one of many' },
            new Secret(randomBytes(32)),
          ),
      ),
    )
    try {
      const list = async (): Promise<unknown> =>
        await cloud.keyManager.list({ name: 'one of many' })
      expect(await mostAtOnce(SECRETS, list)).toBe(16)
      expect(await mostAtOnce(SECRETS, async () => await orphanIds())).toBe(8)
    } finally {
      await Promise.all(ids.map(async (id) => await cloud.barbican.delete(id)))
    }
  })
})
