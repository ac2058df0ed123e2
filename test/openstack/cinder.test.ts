import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { type OpenCloud, publishImage } from '../../src/index.js'
import {
  keyIdOf,
  makeEncryptedType,
  makeResource,
  qemuOpens,
  volumeFile,
  ZERO_KEY_ID,
} from '../harness/cinder.js'
import { openCloudOf } from '../harness/cloud-session.js'
import { makeOpensslKey, type OpensslKey, opensslSign } from '../harness/openssl.js'
import { cinderManage, openstack } from '../harness/openstack.js'
import { type Api, jsonOf, openApi } from '../harness/openstack-api.js'
import { run, scratchDirectory } from '../harness/run.js'
import { sharedTestbed } from '../harness/testbed.js'

const testbed = sharedTestbed()
const directory = scratchDirectory()
let ask: Api
let cloud: OpenCloud

beforeAll(async () => {
  ask = await openApi(testbed(), 'alice', 'cinder')
  cloud = await openCloudOf(testbed(), 'alice')
})

describe('an encrypted volume', () => {
  let id: string
  let keyId: string

  beforeAll(async () => {
    const type = await makeEncryptedType(testbed())
    id = await makeResource(ask, 'volume', { size: 1, volume_type: type })
    keyId = await keyIdOf(testbed(), 'volume', id)
  })

  it('has a key of its own in barbican, which opens it as lower-case hex', async () => {
    expect(keyId).not.toBe(ZERO_KEY_ID)
    const barbican = await openApi(testbed(), 'alice', 'barbican')
    const headers = { Accept: 'application/octet-stream' }
    const { status, bytes } = await barbican('GET', `/v1/secrets/${keyId}/payload`, { headers })
    expect(status).toBe(200)
    const file = volumeFile(testbed(), id)
    expect(await qemuOpens(file, bytes.toString('hex'))).toBe(true)
    expect(await qemuOpens(file, bytes.toString('hex').toUpperCase())).toBe(false)
  })

  it('shares its key with a snapshot, and gives a backup another', async () => {
    const snapshot = await makeResource(ask, 'snapshot', { volume_id: id, name: 'snapshot' })
    expect(await keyIdOf(testbed(), 'snapshot', snapshot)).toBe(keyId)
    const type = await makeEncryptedType(testbed())
    const other = await makeResource(ask, 'volume', { size: 1, volume_type: type })
    const backup = await makeResource(ask, 'backup', { volume_id: other, name: 'backup' })
    const keyIds = await Promise.all([
      keyIdOf(testbed(), 'volume', other),
      keyIdOf(testbed(), 'backup', backup),
    ])
    expect(new Set([...keyIds, keyId]).size).toBe(3)
  })

  it('is listed as encrypted by the openstack client', async () => {
    const shown = await openstack<{ encrypted: boolean; status: string }>(testbed(), 'alice', [
      'volume',
      'show',
      id,
    ])
    expect(shown).toMatchObject({ encrypted: true })
  })
})

describe('a volume from an image', () => {
  const content = randomBytes(1024 * 1024)
  let key: OpensslKey
  let signed: string

  beforeAll(async () => {
    key = makeOpensslKey(directory, 'RSA-PSS', 'cinder')
    signed = await publish(content, key)
  })

  it('that volseal signed is marked as verified, and holds the image', async () => {
    const id = await makeResource(ask, 'volume', { size: 1, imageRef: signed })
    expect(await flagOf(id)).toBe('True')
    const raw = join(directory, 'volume.raw')
    run('qemu-img', ['convert', '-O', 'raw', volumeFile(testbed(), id), raw])
    expect(readFileSync(raw).subarray(0, content.length).equals(content)).toBe(true)
  })

  it('that nobody signed is made, and is not', async () => {
    const glance = await openApi(testbed(), 'alice', 'glance')
    const json = { name: 'unsigned', disk_format: 'raw', container_format: 'bare' }
    const { id: imageRef } = await jsonOf<{ id: string }>(glance('POST', '/v2/images', { json }))
    await glance('PUT', `/v2/images/${imageRef}/file`, { bytes: content })
    expect(await flagOf(await makeResource(ask, 'volume', { size: 1, imageRef }))).toBe('False')
  })

  // Glance compares no signature of a property that is changed later: its bytes and digests are whole.
  it('is not made when the image has the signature of other bytes, and the log says why', async () => {
    const imageRef = await publish(content, key)
    const other = join(directory, 'other.raw')
    writeFileSync(other, randomBytes(1024))
    const signature = opensslSign(key, 'SHA-256', other).toString('base64')
    await patchSignature(imageRef, signature)
    const making = makeResource(ask, 'volume', { size: 1, imageRef })
    await expect(making).rejects.toThrow('the volume is error')
    const log = readFileSync(testbed().services.cinder?.log ?? '', 'utf8')
    expect(log).toContain(`Image signature verification failed for image: ${imageRef}`)
    expect(log).toContain('ImageSignatureVerificationException')
    expect(log).not.toContain(`verification succeeded for image: ${imageRef}`)
    // Once it has its own again, it is made.
    await patchSignature(imageRef, opensslSign(key, 'SHA-256', imageFile).toString('base64'))
    const id = await makeResource(ask, 'volume', { size: 1, imageRef })
    expect(await flagOf(id)).toBe('True')
  })

  async function patchSignature(image: string, value: string): Promise<void> {
    const glance = await openApi(testbed(), 'alice', 'glance')
    const headers = { 'Content-Type': 'application/openstack-images-v2.1-json-patch' }
    const json = [{ op: 'replace', path: '/img_signature', value }]
    await jsonOf(glance('PATCH', `/v2/images/${image}`, { json, headers }))
  }

  async function flagOf(id: string): Promise<string | undefined> {
    const shown = ask('GET', `/volumes/${id}`)
    const { volume } = await jsonOf<{
      volume: { volume_image_metadata: Readonly<Record<string, string>> }
    }>(shown)
    return volume.volume_image_metadata['signature_verified']
  }
})

it('cinder-manage knows the services of the test bed', async () => {
  const listed = await cinderManage(testbed(), 'service', 'list')
  for (const service of ['cinder-scheduler', 'cinder-volume', 'cinder-backup']) {
    expect(listed).toContain(service)
  }
})

const imageFile = join(directory, 'image.raw')

async function publish(bytes: Buffer, { key, certificate }: OpensslKey): Promise<string> {
  writeFileSync(imageFile, bytes)
  const { imageId } = await publishImage({
    cloud,
    image: imageFile,
    key: readFileSync(key),
    certificate: readFileSync(certificate),
    write: false,
  })
  return imageId
}
