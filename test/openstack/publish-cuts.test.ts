import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  type OpenCloud,
  openCloud,
  type PublishResult,
  publishImage,
  signImage,
} from '../../src/index.js'
import { alteredClouds } from '../harness/altered-clouds.js'
import { startVolseal, volsealJson } from '../harness/cloud-command.js'
import { type InterceptingProxy, interceptingProxy } from '../harness/intercepting-proxy.js'
import { makeOpensslKey, type OpensslKey } from '../harness/openssl.js'
import { type Api, jsonOf, openApi } from '../harness/openstack-api.js'
import { outputOf } from '../harness/program.js'
import { scratchDirectory } from '../harness/run.js'
import { sharedTestbed, type Testbed } from '../harness/testbed.js'
import { type Fault, weakLink } from '../harness/weak-link.js'

/** Publishing that loses an answer, a connection or its process, at each step. */

const testbed = sharedTestbed()
const directory = scratchDirectory()
const MIB = 1024 * 1024

let glance: Api
let cloud: OpenCloud

beforeAll(async () => {
  glance = await openApi(testbed(), 'alice', 'glance')
  cloud = await cloudAt(testbed().clouds)
})

async function cloudAt(clouds: string): Promise<OpenCloud> {
  return await openCloud({ cloud: 'alice', env: { OS_CLIENT_CONFIG_FILE: clouds } })
}

/** alice's cloud whose Glance is somewhere else. */
function cloudsBehind(url: string): string {
  return alteredClouds(testbed(), 'alice', { directory, image_endpoint_override: url })
}

/** An image whose name is nobody else's, and a key whose certificate nobody has stored. */
interface Scene {
  readonly image: string
  readonly name: string
  readonly of: OpensslKey
  readonly certificatesBefore: readonly string[]
}

async function newScene(content: Buffer = randomBytes(2 * MIB + 5)): Promise<Scene> {
  const name = `${randomUUID()}.raw`
  const image = join(directory, name)
  writeFileSync(image, content)
  const of = makeOpensslKey(directory, 'ECC_SECP384R1', `cut-${randomUUID()}`)
  return { image, name, of, certificatesBefore: await certificates() }
}

function signing({ of }: Scene): { key: Buffer; certificate: Buffer } {
  return { key: readFileSync(of.key), certificate: readFileSync(of.certificate) }
}

async function imagesNamed(name: string): Promise<Record<string, unknown>[]> {
  const listed = glance('GET', `/v2/images?name=${encodeURIComponent(name)}`)
  return (await jsonOf<{ images: Record<string, unknown>[] }>(listed)).images
}

async function certificates(): Promise<string[]> {
  return (await cloud.barbican.list({ type: 'certificate' })).map(({ id }) => id)
}

async function expectNothingOf({ image, name, certificatesBefore }: Scene): Promise<void> {
  expect(await imagesNamed(name)).toEqual([])
  expect(await certificates()).toEqual(certificatesBefore)
  expect(existsSync(`${image}.signature`)).toBe(false)
}

function marksIn(image: Record<string, unknown> | undefined): string[] {
  return Object.keys(image ?? {}).filter((property) => property.startsWith('volseal_'))
}

describe('what is read back is not what was signed', () => {
  /** Publishes, and does something to the image in Glance between its upload and its being read back. */
  async function publishWhile(scene: Scene, act: (id: string) => unknown): Promise<unknown> {
    const proxy = await interceptingProxy(testbed().urls.glance ?? '')
    const id = async (): Promise<string> => String((await imagesNamed(scene.name))[0]?.['id'])
    proxy.at(/^PUT .*\/file$/, { after: async () => await act(await id()) })
    const behind = await cloudAt(cloudsBehind(proxy.url))
    const { image } = scene
    try {
      return await publishImage({ cloud: behind, image, ...signing(scene) })
    } finally {
      await behind.close()
    }
  }

  function storedFile({ paths }: Testbed, id: string): string {
    return join(paths.glanceImages, id)
  }

  it('when a byte of it was damaged in the store', async () => {
    const scene = await newScene()
    const publishing = publishWhile(scene, (id) => {
      const path = storedFile(testbed(), id)
      const byte = readFileSync(path)[MIB] ?? 0
      writeSync(openSync(path, 'r+'), Buffer.of(byte ^ 1), 0, 1, MIB)
    })
    await expect(publishing).rejects.toMatchObject({ code: 'signature-mismatch' })
    await expectNothingOf(scene)
  })

  // Its digests, its size and its signature are right: of another image.
  it('when it was replaced by another that the same key has signed', async () => {
    const scene = await newScene()
    const publishing = publishWhile(scene, async (id) => await replace(scene, id))
    await expect(publishing).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringContaining('signed by somebody else meanwhile: img_signature'),
    })
    await expectNothingOf(scene)
  })

  async function replace(scene: Scene, id: string): Promise<void> {
    const other = join(directory, `${id}.other`)
    const bytes = randomBytes(3 * MIB)
    writeFileSync(other, bytes)
    const { properties } = await signImage({ image: other, ...signing(scene), write: false })
    writeFileSync(storedFile(testbed(), id), bytes)
    const hex = (algorithm: string): string => createHash(algorithm).update(bytes).digest('hex')
    await inGlancesDatabase(
      'update images set size = ?, checksum = ?, os_hash_value = ? where id = ?',
      [bytes.length, hex('md5'), hex('sha512'), id],
    )
    const property = 'img_signature'
    const value = properties.img_signature ?? ''
    await cloud.glance.change(id, [{ op: 'replace', property, value }])
  }

  /** Nobody can give an image other content through Glance itself. */
  async function inGlancesDatabase(
    statement: string,
    values: readonly (string | number)[],
  ): Promise<void> {
    const file = join(dirname(testbed().paths.glanceImages), 'glance.sqlite')
    const script = `
import json, sqlite3, sys
file, statement, values = json.load(sys.stdin)
with sqlite3.connect(file, timeout=30) as connection:
    assert connection.execute(statement, values).rowcount == 1
`
    const input = JSON.stringify([file, statement, values])
    await outputOf('/usr/bin/python3', ['-c', script], { input })
  }
})

describe('an answer that is lost when Glance has done what was asked', () => {
  it.each([
    ['creating the image', /^POST \/v2\/images$/],
    ['the upload', /^PUT .*\/file$/],
    ['showing it to all', /^PATCH /],
  ])('of %s: all is taken back', async (_, request) => {
    const scene = await newScene()
    const proxy = await interceptingProxy(testbed().urls.glance ?? '')
    proxy.at(request, { lost: true })
    const behind = await cloudAt(cloudsBehind(proxy.url))
    const publishing = publishImage({ cloud: behind, image: scene.image, ...signing(scene) })
    await expect(publishing).rejects.toMatchObject({ code: 'unavailable' })
    expect(proxy.requests.filter((line) => request.test(line))).toHaveLength(1)
    await expectNothingOf(scene)
    await behind.close()
  })
})

describe('a connection that is cut', () => {
  const outcomes = new Set<'all' | 'nothing'>()

  /** Through the listing, the new image's JSON, the head and the middle of the upload, and behind it. */
  const AFTER = [1, 300, 700, 1000, 1500, 2000, 2500, MIB, 2 * MIB, 2 * MIB + 2500, 2 * MIB + 3500]
  const ANSWERS = [1, 200, 600, 1000, 2000, 3000, 4500, 6000, MIB, 2 * MIB + 6000]
  const faults: Fault[] = [
    ...AFTER.map((after) => ({ cut: 'request', after }) as const),
    ...ANSWERS.map((after) => ({ cut: 'answer', after }) as const),
  ]

  it.each(faults)('publishes all or nothing: %j', async (fault) => {
    const scene = await newScene()
    const link = await weakLink(testbed().urls.glance ?? '')
    link.next(fault)
    const behind = await cloudAt(cloudsBehind(link.url))
    const outcome = await publishImage({
      cloud: behind,
      image: scene.image,
      ...signing(scene),
    }).catch((error: unknown) => error)
    await behind.close()
    if (outcome instanceof Error) {
      expect(outcome).toMatchObject({ code: 'unavailable' })
      await expectNothingOf(scene)
      outcomes.add('nothing')
      return
    }
    const [only, ...others] = await imagesNamed(scene.name)
    expect(only).toMatchObject({ status: 'active' })
    expect(others).toEqual([])
    expect(marksIn(only)).toEqual([])
    outcomes.add('all')
  })

  it('was cut where it can be asked again, and where it cannot', () => {
    expect([...outcomes].toSorted()).toEqual(['all', 'nothing'])
  })
})

describe('killed', () => {
  /** Runs the command until it asks Glance for something, and is killed there. */
  async function killedAt(
    { image, of }: Scene,
    request: RegExp,
    when: 'before' | 'after',
  ): Promise<InterceptingProxy> {
    const proxy = await interceptingProxy(testbed().urls.glance ?? '')
    const altered = { ...testbed(), clouds: cloudsBehind(proxy.url) }
    const args = ['sign', image, '--key', of.key, '--cert', of.certificate, '--publish']
    const child = startVolseal(altered, 'alice', args)
    const ended = once(child, 'close')
    proxy.at(request, {
      [when]: async () => {
        child.kill('SIGKILL')
        await ended
        throw new Error('nobody waits for it any more')
      },
    })
    const stderr = child.stderr === null ? '' : await text(child.stderr)
    await ended
    expect({ signal: child.signalCode, stderr }).toEqual({ signal: 'SIGKILL', stderr: '' })
    return proxy
  }

  async function again({ image, of }: Scene): Promise<PublishResult> {
    const args = ['sign', image, '--key', of.key, '--cert', of.certificate, '--publish']
    return await volsealJson<PublishResult>(testbed(), 'alice', args)
  }

  it('before the image is made: the next run uses the certificate that is there', async () => {
    const scene = await newScene()
    await killedAt(scene, /^POST \/v2\/images$/, 'before')
    expect(await imagesNamed(scene.name)).toEqual([])
    const result = await again(scene)
    expect(result).toMatchObject({ ok: true, removed: [], certificateReused: true })
    expect(await imagesNamed(scene.name)).toMatchObject([{ id: result.imageId, status: 'active' }])
  })

  it.each([
    ['when it is made', 'queued', /^POST \/v2\/images$/, 'after'],
    ['when it is active', 'active', /^PUT .*\/file$/, 'after'],
    ['when it is read back', 'active', /^PATCH /, 'before'],
  ] as const)('%s: the next run removes it, and publishes', async (_, status, request, when) => {
    const scene = await newScene()
    await killedAt(scene, request, when)
    const [left] = await imagesNamed(scene.name)
    expect(left).toMatchObject({ status })
    expect(['private', 'shared']).toContain(left?.['visibility'])
    expect(marksIn(left)).toHaveLength(2)
    const result = await again(scene)
    expect(result).toMatchObject({ ok: true, removed: [left?.['id']], certificateReused: true })
    const found = await imagesNamed(scene.name)
    expect(found).toMatchObject([{ id: result.imageId, status: 'active' }])
    expect(marksIn(found[0])).toEqual([])
  })

  it('when all see it: it is published, and the next run leaves it alone', async () => {
    const scene = await newScene()
    await killedAt(scene, /^PATCH /, 'after')
    const [published] = await imagesNamed(scene.name)
    expect(published).toMatchObject({ status: 'active' })
    expect(marksIn(published)).toEqual([])
    const result = await again(scene)
    expect(result).toMatchObject({ ok: true, removed: [], certificateReused: true })
    const ids = (await imagesNamed(scene.name)).map(({ id }) => id)
    expect(new Set(ids)).toEqual(new Set([published?.['id'], result.imageId]))
  })
})
