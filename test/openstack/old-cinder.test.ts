import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type DeletedImage,
  deleteImage,
  findOrphans,
  type OpenCloud,
  openCloud,
} from '../../src/index.js'
import { keyIdOf, makeEncryptedType, makeResource } from '../harness/cinder.js'
import { jsonOf, openApi } from '../harness/openstack-api.js'
import { type Ended, runProgram } from '../harness/program.js'
import { CLI, scratchDirectory } from '../harness/run.js'
import { sharedTestbed } from '../harness/testbed.js'

/** cinder before Wallaby, which knows no microversion that names keys: 406 to who asks for it. */

const testbed = sharedTestbed()
const directory = scratchDirectory()
const USER = 'dave'

let cloud: OpenCloud
let clouds: string
let key: string
let volume: string
/** Whether the old cinder has any backups. */
let hasBackups = true

beforeAll(async () => {
  clouds = cloudsWith('block_storage_endpoint_override', await oldCinder())
  cloud = await openCloud({ cloud: USER, env: { OS_CLIENT_CONFIG_FILE: clouds } })
  const cinder = await openApi(testbed(), USER, 'cinder')
  const type = await makeEncryptedType(testbed())
  volume = await makeResource(cinder, 'volume', { size: 1, volume_type: type })
  await makeResource(cinder, 'backup', { volume_id: volume, name: 'b' })
  key = await newKey()
}, 120_000)

/** The real one, but for its newer microversions. */
async function oldCinder(): Promise<string> {
  const { origin, pathname } = new URL(testbed().urls.cinder ?? '')
  const server = createServer((request, response) => {
    void (async () => {
      const { url = '/', headers } = request
      if (headers['openstack-api-version'] !== undefined) {
        const message = 'Version 3.64 is not supported by the API. Maximum is 3.62.'
        response.writeHead(406, { 'Content-Type': 'application/json' })
        response.end(JSON.stringify({ computeFault: { code: 406, message } }))
        return
      }
      const isEmpty = !hasBackups && url.includes('/backups/')
      const answer = await fetch(`${origin}${url}`, {
        headers: { 'X-Auth-Token': String(headers['x-auth-token']) },
      })
      const body = Buffer.from(await answer.arrayBuffer())
      response.writeHead(answer.status, { 'Content-Type': 'application/json' })
      response.end(isEmpty ? '{"backups": []}' : body)
    })()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  afterAll(() => server.close())
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}${pathname}`
}

function cloudsWith(name: string, value: string): string {
  const path = join(directory, `${randomUUID()}.json`)
  const read: { clouds: Record<string, object> } = JSON.parse(
    readFileSync(testbed().clouds, 'utf8'),
  )
  writeFileSync(
    path,
    JSON.stringify({ clouds: { [USER]: { ...read.clouds[USER], [name]: value } } }),
  )
  return path
}

async function volseal(...args: string[]): Promise<Ended> {
  const env = { OS_CLIENT_CONFIG_FILE: clouds }
  return await runProgram(process.execPath, [CLI, ...args, '--os-cloud', USER], { env })
}

async function newKey(): Promise<string> {
  return await cloud.keyManager.createKey({ algorithm: 'aes', bitLength: 256 })
}

async function imageWith(keyId: string): Promise<string> {
  const glance = await openApi(testbed(), USER, 'glance')
  const policy = { cinder_encryption_key_deletion_policy: 'on_image_deletion' }
  const facts = { disk_format: 'raw', container_format: 'bare', ...policy }
  const json = { ...facts, cinder_encryption_key_id: keyId }
  return (await jsonOf<{ id: string }>(glance('POST', '/v2/images', { json }))).id
}

it('names the keys of volumes all the same', async () => {
  const keyId = await keyIdOf(testbed(), 'volume', volume)
  expect(await cloud.cinder.volume(volume)).toMatchObject({ isEncrypted: true, keyId })
})

describe('while there are backups, whose keys it does not tell', () => {
  it('no key is an orphan', async () => {
    hasBackups = true
    const report = await findOrphans({ cloud, olderThan: 0 })
    expect(report.untoldBackups).toBeGreaterThan(0)
    expect(report.orphans.filter(({ kind }) => kind !== 'certificate')).toEqual([])
    const args = ['secret', 'orphans', '--older-than', '0']
    const listed = await volseal(...args)
    expect(listed).toMatchObject({ code: 0, stderr: expect.stringContaining('before Wallaby') })
    const refused = await volseal(...args, '--delete', key)
    expect(refused).toMatchObject({ code: 22, stderr: expect.stringContaining('a backup') })
    await cloud.keyManager.describe(key)
  })

  it('an image keeps its key, or is not deleted', async () => {
    hasBackups = true
    const own = await newKey()
    const imageId = await imageWith(own)
    const refused = await volseal('images', 'delete', imageId)
    expect(refused).toMatchObject({ code: 22, stderr: expect.stringContaining('--keep-key') })
    await cloud.glance.show(imageId)
    const kept = await volseal('images', 'delete', imageId, '--keep-key', '--json')
    const deleted: DeletedImage = JSON.parse(kept.stdout)
    expect(deleted.encryptionKey).toEqual({ id: own, fate: 'kept' })
    await cloud.keyManager.describe(own)
  })
})

describe('without backups', () => {
  it('keys that nothing needs are orphans', async () => {
    hasBackups = false
    const { orphans, untoldBackups } = await findOrphans({ cloud, olderThan: 0 })
    expect(untoldBackups).toBe(0)
    const ids = orphans.map(({ id }) => id)
    expect(ids).toContain(key)
    expect(ids).not.toContain(await keyIdOf(testbed(), 'volume', volume))
  })

  it('an image is deleted with its key', async () => {
    hasBackups = false
    const own = await newKey()
    const deleted = await deleteImage({ cloud, imageId: await imageWith(own) })
    expect(deleted.encryptionKey).toEqual({ id: own, fate: 'deleted' })
    await expect(cloud.keyManager.describe(own)).rejects.toMatchObject({ code: 'not-found' })
  })
})
