import { randomBytes, randomUUID } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  type OpenCloud,
  type PublishResult,
  publishImage,
  type VerifyReport,
} from '../../src/index.js'
import { alteredClouds } from '../harness/altered-clouds.js'
import { volseal, volsealJson } from '../harness/cloud-command.js'
import { openCloudOf } from '../harness/cloud-session.js'
import { interceptingProxy } from '../harness/intercepting-proxy.js'
import { makeOpensslKey, type OpensslKey } from '../harness/openssl.js'
import { type Api, jsonOf, openApi } from '../harness/openstack-api.js'
import type { Ended } from '../harness/program.js'
import { scratchDirectory } from '../harness/run.js'
import { sharedTestbed, type Testbed } from '../harness/testbed.js'

/** Nobody answers where Barbican is said to be, from the beginning or in the middle. */

const testbed = sharedTestbed()
const directory = scratchDirectory()
/** discard(9): nobody listens there. */
const NOWHERE = 'http://127.0.0.1:9'

let glance: Api
let cloud: OpenCloud
let key: OpensslKey

beforeAll(async () => {
  glance = await openApi(testbed(), 'alice', 'glance')
  cloud = await openCloudOf(testbed(), 'alice')
  key = makeOpensslKey(directory, 'RSA-PSS', 'down')
})

/** The test bed for whoever takes Barbican to be somewhere else. */
function barbicanAt(url: string): Testbed {
  const settings = { directory, key_manager_endpoint_override: url }
  return { ...testbed(), clouds: alteredClouds(testbed(), 'alice', settings) }
}

const withoutBarbican = async (...args: readonly string[]): Promise<Ended> =>
  await volseal(barbicanAt(NOWHERE), 'alice', args)

/** One error that names the service, and no second one. */
function expectOneError({ stderr }: Ended): void {
  expect(stderr.match(/^volseal: error: /gm)).toHaveLength(1)
  expect(stderr).toContain('127.0.0.1:9')
}

function newImage(): string {
  const path = join(directory, `${randomUUID()}.raw`)
  writeFileSync(path, randomBytes(3 * 1024 * 1024))
  return path
}

async function published(): Promise<PublishResult> {
  const signing = { key: readFileSync(key.key), certificate: readFileSync(key.certificate) }
  return await publishImage({ cloud, image: newImage(), ...signing, write: false })
}

async function imagesOf(file: string): Promise<Record<string, unknown>[]> {
  const listed = glance('GET', `/v2/images?name=${basename(file)}`)
  return (await jsonOf<{ images: Record<string, unknown>[] }>(listed)).images
}

async function secrets(): Promise<string[]> {
  return (await cloud.barbican.list()).map(({ id }) => id)
}

it.each([[[]], [['--profile', 'cursive']]])(
  'verify glance:ID %j',
  async (more) => {
    const { imageId } = await published()
    const trusted = more.length === 0 ? ['--trusted', key.certificate] : more
    const ended = await withoutBarbican('verify', `glance:${imageId}`, ...trusted)
    expect(ended.code).toBe(15)
    expectOneError(ended)
    const args = ['verify', `glance:${imageId}`, ...trusted]
    const report = await volsealJson<VerifyReport>(barbicanAt(NOWHERE), 'alice', args)
    expect(report).toMatchObject({
      ok: false,
      verdict: 'unchecked',
      error: { cause: { code: 'unavailable' } },
    })
  },
  120_000,
)

it('secret orphans', async () => {
  const before = await secrets()
  const ended = await withoutBarbican('secret', 'orphans')
  expect(ended).toMatchObject({ code: 32, stdout: '' })
  expectOneError(ended)
  expect(await secrets()).toEqual(before)
})

describe('images delete', () => {
  it('deletes an image without a key: its certificate stays anyway', async () => {
    const { imageId, certificateId } = await published()
    const { code, stdout } = await withoutBarbican('images', 'delete', imageId)
    expect(code).toBe(0)
    expect(stdout).toContain(`${certificateId} kept`)
    expect((await glance('GET', `/v2/images/${imageId}`)).status).toBe(404)
    expect(await secrets()).toContain(certificateId)
  })

  it('leaves an encrypted image alone: nobody can tell what becomes of its key', async () => {
    const keyId = await cloud.keyManager.createKey({ algorithm: 'aes', bitLength: 256 })
    const { id } = await cloud.glance.create({
      name: 'encrypted',
      diskFormat: 'raw',
      containerFormat: 'bare',
      properties: {
        cinder_encryption_key_id: keyId,
        cinder_encryption_key_deletion_policy: 'on_image_deletion',
      },
    })
    const before = await cloud.glance.show(id)
    const ended = await withoutBarbican('images', 'delete', id)
    expect(ended).toMatchObject({ code: 32, stdout: '' })
    expectOneError(ended)
    expect(await cloud.glance.show(id)).toEqual(before)
    expect(await secrets()).toContain(keyId)
    const kept = await withoutBarbican('images', 'delete', id, '--keep-key')
    expect(kept.code).toBe(0)
    expect(await secrets()).toContain(keyId)
  })
})

describe('sign --publish', () => {
  const args = (image: string, of: OpensslKey): string[] => [
    'sign',
    image,
    '--key',
    of.key,
    '--cert',
    of.certificate,
    '--publish',
  ]

  it('makes nothing when Barbican is down from the beginning', async () => {
    const image = newImage()
    const ended = await withoutBarbican(...args(image, key))
    expect(ended).toMatchObject({ code: 32, stdout: '' })
    expectOneError(ended)
    expect(await imagesOf(image)).toEqual([])
    expect(existsSync(`${image}.signature`)).toBe(false)
  })

  it('takes the image back when it goes in the middle, and says that the certificate is left', async () => {
    const image = newImage()
    const other = makeOpensslKey(directory, 'RSA-PSS', randomUUID())
    const before = await secrets()
    const barbican = await interceptingProxy(testbed().urls.barbican ?? '')
    const images = await interceptingProxy(testbed().urls.glance ?? '')
    images.at(/^PUT .*\/file$/, { after: () => barbican.stop() })
    const settings = {
      directory,
      key_manager_endpoint_override: barbican.url,
      image_endpoint_override: images.url,
    }
    const altered = { ...testbed(), clouds: alteredClouds(testbed(), 'alice', settings) }
    const { code, stdout, stderr } = await volseal(altered, 'alice', args(image, other))
    expect({ code, stdout }).toEqual({ code: 15, stdout: '' })
    expect(stderr.match(/^volseal: error: /gm)).toHaveLength(1)
    expect(await imagesOf(image)).toEqual([])
    expect(existsSync(`${image}.signature`)).toBe(false)
    const [left, ...others] = (await secrets()).filter((id) => !before.includes(id))
    expect(others).toEqual([])
    expect(stderr).toContain(`the certificate ${left} is left behind`)
    expect(stderr).toContain(`by hand: volseal secret delete ${left}`)
    const again = await volsealJson<PublishResult>(testbed(), 'alice', args(image, other))
    expect(again).toMatchObject({ ok: true, certificateId: left, certificateReused: true })
  })
})
