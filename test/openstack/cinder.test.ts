import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { signImage } from '../../src/index.js'
import {
  keyIdOf,
  makeEncryptedType,
  makeResource,
  qemuOpens,
  volumeFile,
  ZERO_KEY_ID,
} from '../harness/cinder.js'
import { makeOpensslKey } from '../harness/openssl.js'
import { cinderManage, openstack } from '../harness/openstack.js'
import { type Api, jsonOf, openApi } from '../harness/openstack-api.js'
import { run, scratchDirectory } from '../harness/run.js'
import { sharedTestbed } from '../harness/testbed.js'

const testbed = sharedTestbed()
const directory = scratchDirectory()
let ask: Api

beforeAll(async () => {
  ask = await openApi(testbed(), 'alice', 'cinder')
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

describe('a volume from an image that volseal signed', () => {
  it('is marked as verified, and holds the image', async () => {
    const image = join(directory, 'image.raw')
    const content = randomBytes(1024 * 1024)
    writeFileSync(image, content)
    const imageId = await uploadSigned(image, content)
    const id = await makeResource(ask, 'volume', { size: 1, imageRef: imageId })
    const { volume } = await jsonOf<{
      volume: { volume_image_metadata: Readonly<Record<string, string>> }
    }>(ask('GET', `/volumes/${id}`))
    expect(volume.volume_image_metadata['signature_verified']).toBe('True')
    const raw = join(directory, 'volume.raw')
    run('qemu-img', ['convert', '-O', 'raw', volumeFile(testbed(), id), raw])
    expect(readFileSync(raw).subarray(0, content.length).equals(content)).toBe(true)
  })
})

it('cinder-manage knows the services of the test bed', async () => {
  const listed = await cinderManage(testbed(), 'service', 'list')
  for (const service of ['cinder-scheduler', 'cinder-volume', 'cinder-backup']) {
    expect(listed).toContain(service)
  }
})

async function uploadSigned(image: string, bytes: Buffer<ArrayBuffer>): Promise<string> {
  const { key, certificate } = makeOpensslKey(directory, 'RSA-PSS')
  const barbican = await openApi(testbed(), 'alice', 'barbican')
  const json = {
    secret_type: 'certificate',
    payload: readFileSync(certificate).toString('base64'),
    payload_content_type: 'application/octet-stream',
    payload_content_encoding: 'base64',
  }
  const stored = barbican('POST', '/v1/secrets', { json })
  const { secret_ref: ref } = await jsonOf<{ secret_ref: string }>(stored)
  const certificateId = ref.split('/').at(-1)
  const signing = { image, key: readFileSync(key), certificateId, write: false }
  const { properties } = await signImage(signing)
  const glance = await openApi(testbed(), 'alice', 'glance')
  const plain = { name: 'signed', disk_format: 'raw', container_format: 'bare' }
  const made = glance('POST', '/v2/images', { json: { ...plain, ...properties } })
  const { id } = await jsonOf<{ id: string }>(made)
  expect((await glance('PUT', `/v2/images/${id}/file`, { bytes })).status).toBe(204)
  return id
}
