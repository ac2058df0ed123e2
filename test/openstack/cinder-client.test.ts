import { beforeAll, describe, expect, it } from 'vitest'
import { Cinder } from '../../src/openstack/index.js'
import { keyIdOf, makeEncryptedType, makeResource } from '../harness/cinder.js'
import { openSession } from '../harness/cloud-session.js'
import { type Api, openApi } from '../harness/openstack-api.js'
import { sharedTestbed } from '../harness/testbed.js'

const testbed = sharedTestbed()

let ask: Api
let cinder: Cinder

beforeAll(async () => {
  ask = await openApi(testbed(), 'alice', 'cinder')
  cinder = new Cinder(await openSession(testbed(), 'alice'))
})

/** A path with the project in it, as old catalogs have it. */
async function projectApi(): Promise<Api> {
  const { projectId } = testbed().users['alice'] ?? { projectId: '' }
  return async (method, path, request) => await ask(method, `/${projectId}${path}`, request)
}

describe('an encrypted volume', () => {
  let type: string
  let id: string

  beforeAll(async () => {
    type = await makeEncryptedType(testbed())
    id = await makeResource(await projectApi(), 'volume', { size: 1, volume_type: type, name: 'v' })
  }, 60_000)

  it('names its key', async () => {
    const keyId = await keyIdOf(testbed(), 'volume', id)
    expect(await cinder.volume(id)).toEqual({
      id,
      name: 'v',
      status: 'available',
      size: 1,
      type,
      isEncrypted: true,
      keyId,
      imageMetadata: {},
    })
    expect(await cinder.volumeEncryption(id)).toEqual({
      keyId,
      provider: 'luks',
      cipher: 'aes-xts-plain64',
      keySize: 256,
      controlLocation: 'front-end',
    })
  })

  it('is in the list', async () => {
    const ids: string[] = []
    for await (const volume of cinder.volumes()) ids.push(volume.id)
    expect(ids).toContain(id)
  })

  it('keeps image metadata', async () => {
    expect(await cinder.imageMetadata(id)).toEqual({})
    await cinder.setImageMetadata(id, { signature_verified: 'True', a: 'b' })
    expect(await cinder.setImageMetadata(id, { a: 'c' })).toEqual({
      signature_verified: 'True',
      a: 'c',
    })
    await cinder.unsetImageMetadata(id, 'a')
    expect((await cinder.volume(id)).imageMetadata).toEqual({ signature_verified: 'True' })
  })

  it('has a type whose encryption an administrator sees', async () => {
    const admin = new Cinder(await openSession(testbed(), 'admin'))
    const all = await admin.types()
    const found = all.find(({ name }) => name === type)
    const plain = all.find(({ name }) => name === '__DEFAULT__')
    expect(await admin.type(found?.id ?? '')).toEqual(found)
    expect(await admin.typeEncryption(found?.id ?? '')).toEqual({
      provider: 'luks',
      cipher: 'aes-xts-plain64',
      keySize: 256,
      controlLocation: 'front-end',
    })
    expect(await admin.typeEncryption(plain?.id ?? '')).toBeNull()
    await expect(cinder.typeEncryption(found?.id ?? '')).rejects.toMatchObject({
      code: 'forbidden',
      http: { service: 'cinder', status: 403 },
    })
  })
})

it('a volume that is not encrypted has no key', async () => {
  const id = await makeResource(await projectApi(), 'volume', { size: 1 })
  expect(await cinder.volume(id)).toMatchObject({ isEncrypted: false, keyId: null, name: null })
  expect(await cinder.volumeEncryption(id)).toMatchObject({ keyId: null, provider: null })
})

it.each(['', '.', '..'])('%j is no id of a volume, but would be another address', async (id) => {
  await expect(cinder.volume(id)).rejects.toMatchObject({ code: 'usage' })
})

it('a volume that is not there is not found', async () => {
  const id = '5b0f4e7c-6a3d-4d0e-9f1a-2c8b7e6d5f40'
  await expect(cinder.volume(id)).rejects.toMatchObject({
    code: 'not-found',
    http: { status: 404 },
  })
})
