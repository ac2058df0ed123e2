import { randomBytes, randomUUID } from 'node:crypto'
import {
  appendFileSync,
  openSync,
  readFileSync,
  renameSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  type InventoryImage,
  listImages,
  type OpenCloud,
  openCloud,
  publishImage,
} from '../../src/index.js'
import { volseal, volsealJson } from '../harness/cloud-command.js'
import { openCloudOf } from '../harness/cloud-session.js'
import { makeOpensslKey, type OpensslKey } from '../harness/openssl.js'
import { type Api, jsonOf, openApi } from '../harness/openstack-api.js'
import { outputOf } from '../harness/program.js'
import { CLI, scratchDirectory } from '../harness/run.js'
import { sharedTestbed } from '../harness/testbed.js'

const testbed = sharedTestbed()
const directory = scratchDirectory()
const content = randomBytes(1024 * 1024)
/** On all images of this file, so that those of others are no matter. */
const tag = `inventory-${randomUUID()}`

let glance: Api
let cloud: OpenCloud
let key: OpensslKey
const ids = new Map<string, string>()

beforeAll(async () => {
  glance = await openApi(testbed(), 'alice', 'glance')
  cloud = await openCloudOf(testbed(), 'alice')
  // The harness makes certificates for two weeks.
  key = makeOpensslKey(directory, 'RSA-PSS', 'inventory')
  const ours = await publish(key)
  const { properties } = await cloud.glance.show(ours)
  ids.set('signed', ours)
  ids.set('unsigned', await upload({}))
  ids.set('half', await upload({ img_signature: 'AAAA' }))
  const gone = { ...properties, img_signature_certificate_uuid: randomUUID() }
  ids.set('gone', await queued(gone))
  ids.set('damaged', await publish(key))
  const path = join(testbed().paths.glanceImages, ids.get('damaged') ?? '')
  const byte = readFileSync(path)[500] ?? 0
  writeSync(openSync(path, 'r+'), Buffer.of(byte ^ 1), 0, 1, 500)
})

async function publish(of: OpensslKey): Promise<string> {
  const image = join(directory, `${randomUUID()}.raw`)
  writeFileSync(image, content)
  const signing = { key: readFileSync(of.key), certificate: readFileSync(of.certificate) }
  const options = { cloud, image, ...signing, write: false, tags: [tag] }
  return (await publishImage(options)).imageId
}

async function queued(properties: Readonly<Record<string, string | boolean>>): Promise<string> {
  const facts = { name: '=<b>"1,2"', disk_format: 'raw', container_format: 'bare', tags: [tag] }
  const json = { ...facts, ...properties }
  return (await jsonOf<{ id: string }>(glance('POST', '/v2/images', { json }))).id
}

async function upload(properties: Readonly<Record<string, string>>): Promise<string> {
  const id = await queued(properties)
  expect((await glance('PUT', `/v2/images/${id}/file`, { bytes: content })).status).toBe(204)
  return id
}

function statesOf(images: readonly InventoryImage[]): Record<string, string | undefined> {
  return Object.fromEntries(
    [...ids].map(([name, id]) => [name, images.find((image) => image.id === id)?.state]),
  )
}

/** A run that was killed just before its end. */
function asIfEnded(path: string): void {
  const lines = readFileSync(path, 'utf8').split('\n')
  writeFileSync(path, lines.filter((line) => !line.includes('finished')).join('\n'))
}

/** The last line of an image. */
function entryOf(path: string, id: string | undefined): Record<string, unknown> {
  const lines = readFileSync(path, 'utf8').trim().split('\n')
  const line = lines.findLast((each) => each.includes(`"imageId":"${id}"`)) ?? '{}'
  const entry: Record<string, unknown> = JSON.parse(line)
  return entry
}

describe('images list --verify --progress json', () => {
  // Lines come once a second: it takes as long to read this.
  const large = 600 * 1024 * 1024

  it('prints how far it has come on standard error, and what it found on standard output', async () => {
    const image = join(directory, `${randomUUID()}.raw`)
    writeFileSync(image, content)
    truncateSync(image, large)
    const signing = { key: readFileSync(key.key), certificate: readFileSync(key.certificate) }
    const { imageId } = await publishImage({ cloud, image, ...signing, write: false })
    const args = ['images', 'list', '--mine', '--verify', '--json', '--progress']
    const { stdout, stderr } = await volseal(testbed(), 'alice', [...args, 'json'])
    const lines = stderr.split('\n').filter((line) => line.startsWith('{'))
    expect(lines.length).toBeGreaterThan(0)
    for (const line of lines) {
      const state: { bytes: number; total: number } = JSON.parse(line)
      expect(state).toMatchObject({ phase: 'verifying', elapsedMs: expect.any(Number) })
      expect(state.total).toBeGreaterThanOrEqual(large)
      expect(state.bytes).toBeLessThanOrEqual(state.total)
    }
    const { images }: { images: InventoryImage[] } = JSON.parse(stdout)
    expect(images.find(({ id }) => id === imageId)).toMatchObject({ verified: true })
    await cloud.glance.delete(imageId)
  })

  it('prints nothing of it without a terminal, or without --verify', async () => {
    const { stderr } = await volseal(testbed(), 'alice', ['images', 'list', '--mine', '--verify'])
    expect(stderr).not.toContain('verifying')
    const plain = ['images', 'list', '--mine', '--progress', 'json']
    expect((await volseal(testbed(), 'alice', plain)).stderr).toBe('')
  })
})

describe('the inventory', () => {
  it('says what is to be said without reading', async () => {
    const images = await listImages({ cloud, filter: { tag }, expiringDays: 5 })
    expect(statesOf(images)).toEqual({
      signed: 'signed',
      unsigned: 'unsigned',
      half: 'invalid',
      gone: 'secret-missing',
      damaged: 'signed',
    })
    expect(images.every(({ verified }) => !verified)).toBe(true)
  })

  it('says which certificates end soon', async () => {
    const images = await listImages({ cloud, filter: { tag } })
    expect(statesOf(images)).toMatchObject({ signed: 'expiring', damaged: 'expiring' })
    expect(images.find(({ id }) => id === ids.get('signed'))?.daysLeft).toBe(13)
  })

  it('finds what was damaged by reading, several at once', async () => {
    const seen: number[] = []
    const images = await listImages({
      cloud,
      filter: { tag },
      expiringDays: 5,
      verify: true,
      atOnce: 3,
      onImage: (_, done) => seen.push(done),
    })
    expect(statesOf(images)).toMatchObject({ signed: 'signed', damaged: 'mismatch' })
    expect(seen).toEqual([1, 2, 3, 4, 5])
  })

  it('tells how far all reading has come, several at once, and what need not be read', async () => {
    const seen: number[] = []
    const totals = new Set<number | undefined>()
    const images = await listImages({
      cloud,
      filter: { tag },
      verify: true,
      atOnce: 3,
      onProgress: (bytes, total) => {
        seen.push(bytes)
        totals.add(total)
      },
    })
    const total = images.reduce((sum, { size }) => sum + (size ?? 0), 0)
    expect([...totals]).toEqual([total])
    expect(seen.at(-1)).toBe(total)
    expect(seen.every((bytes, index) => bytes >= (seen[index - 1] ?? 0))).toBe(true)
  })

  it('does not read again what is in the journal, unless something has changed', async () => {
    const path = join(directory, 'verified')
    const args = ['images', 'list', '--mine', '--verify', '--resume', path]
    const first = await volsealJson<{ images: InventoryImage[] }>(testbed(), 'alice', args)
    expect(statesOf(first.images)).toMatchObject({ damaged: 'mismatch' })
    asIfEnded(path)
    // What has no content any more cannot have been read again.
    const file = join(testbed().paths.glanceImages, ids.get('signed') ?? '')
    renameSync(file, `${file}.away`)
    appendFileSync(path, '{"imageId":"cut off')
    const again = await volsealJson<{ images: InventoryImage[] }>(testbed(), 'alice', args)
    renameSync(`${file}.away`, file)
    const timeOf = (images: readonly InventoryImage[]): string | null | undefined =>
      images.find(({ id }) => id === ids.get('signed'))?.verifiedAt
    expect(timeOf(again.images)).toBe(timeOf(first.images))
    expect(statesOf(again.images)).toEqual(statesOf(first.images))
    // What was said of the image has changed.
    asIfEnded(path)
    const { imageId, essence } = entryOf(path, ids.get('signed'))
    appendFileSync(
      path,
      `${JSON.stringify({ imageId, essence: `${String(essence)}0`, at: 'never' })}\n`,
    )
    const anew = await volsealJson<{ images: InventoryImage[] }>(testbed(), 'alice', args)
    expect(timeOf(anew.images)).not.toBe(timeOf(first.images))
    // That one has come to its end.
    const next = await volsealJson<{ images: InventoryImage[] }>(testbed(), 'alice', args)
    expect(timeOf(next.images)).not.toBe(timeOf(anew.images))
    const foreign = await volseal(testbed(), 'alice', [...args.slice(0, -1), key.certificate])
    expect(foreign).toMatchObject({ code: 2, stderr: expect.stringContaining('or a new file') })
  }, 120_000)

  it('does not say of what it could not read that it is not what was signed', async () => {
    const lost = await publish(key)
    const path = join(testbed().paths.glanceImages, lost)
    renameSync(path, `${path}.away`)
    const images = await listImages({ cloud, filter: { tag }, verify: true })
    renameSync(`${path}.away`, path)
    await cloud.glance.delete(lost)
    expect(images.find(({ id }) => id === lost)).toMatchObject({
      state: 'unchecked',
      verified: false,
    })
  })

  it('says what the services say of ids, keys and times', async () => {
    const { properties } = await cloud.glance.show(ids.get('signed') ?? '')
    const id = properties['img_signature_certificate_uuid'] ?? ''
    const looks = async (
      changed: Record<string, string | boolean>,
    ): Promise<string | undefined> => {
      const image = await queued({ ...properties, ...changed })
      const images = await listImages({ cloud, filter: { tag }, expiringDays: 5 })
      await cloud.glance.delete(image)
      return images.find((each) => each.id === image)?.state
    }
    const named = (value: string): Record<string, string> => ({
      img_signature_certificate_uuid: value,
    })
    expect(await looks(named(`http://barbican/v1/secrets/${id.toUpperCase()}/`))).toBe('signed')
    expect(await looks({ img_signature_key_type: 'ECC_SECP384R1' })).toBe('invalid')
    const wrapped = (properties['img_signature'] ?? '').replaceAll(/(.{64})/g, '$1\n')
    expect(await looks({ img_signature: wrapped })).toBe('signed')
    expect(await looks({ os_hidden: true })).toBe('signed')
  })

  it('does not read certificates that are not for the user', async () => {
    const bob = await openCloud({ cloud: 'bob', env: { OS_CLIENT_CONFIG_FILE: testbed().clouds } })
    const images = await listImages({ cloud: bob, filter: { tag } })
    expect(statesOf(images)).toMatchObject({ signed: 'secret-forbidden', unsigned: 'unsigned' })
    await bob.close()
  })
})

describe('images list', () => {
  it('prints one line for each, and JSON', async () => {
    const { code, stdout } = await volseal(testbed(), 'alice', ['images', 'list', '--mine'])
    expect(code).toBe(0)
    for (const id of ids.values()) expect(stdout).toContain(id)
    const json = await volsealJson<{ images: InventoryImage[] }>(testbed(), 'alice', [
      'images',
      'list',
      '--mine',
    ])
    expect(statesOf(json.images)).toMatchObject({ unsigned: 'unsigned', half: 'invalid' })
  })

  it('tells of images that Glance lists only on demand, and lists them', async () => {
    const other = await openApi(testbed(), 'dave', 'glance')
    const json = { disk_format: 'raw', container_format: 'bare', visibility: 'community' }
    const { id } = await jsonOf<{ id: string }>(other('POST', '/v2/images', { json }))
    const listed = await volseal(testbed(), 'alice', ['images', 'list'])
    expect(listed.stdout).not.toContain(id)
    expect(listed.stderr).toMatch(/[1-9]\d* more images? of other projects .*--all lists them/)
    const all = await volseal(testbed(), 'alice', ['images', 'list', '--all'])
    expect(all).toMatchObject({ code: 0, stdout: expect.stringContaining(id), stderr: '' })
    const own = await volseal(testbed(), 'alice', ['images', 'list', '--mine'])
    expect(own).toMatchObject({ code: 0, stderr: '' })
    const both = await volseal(testbed(), 'alice', ['images', 'list', '--mine', '--all'])
    expect(both).toMatchObject({ code: 2 })
    await other('DELETE', `/v2/images/${id}`)
  })

  it('lets no name become a formula or markup', async () => {
    const csv = await volseal(testbed(), 'alice', ['images', 'list', '--format', 'csv'])
    expect(csv.stdout).toContain(`"'=<b>""1,2"""`)
    const html = await volseal(testbed(), 'alice', ['images', 'list', '--format', 'html'])
    expect(html.stdout).toContain('=&lt;b&gt;&quot;1,2&quot;')
    expect(html.stdout).not.toContain('<b>')
  })

  it('ends with 40 when an image is not what was signed', async () => {
    const { code, stderr } = await volseal(testbed(), 'alice', ['images', 'list', '--verify'])
    expect(code).toBe(40)
    expect(stderr).toContain(ids.get('damaged'))
  })
})

describe('images resign --expiring', () => {
  it('signs anew what needs it, with a certificate that lasts', async () => {
    const { image, other } = await expiring()
    const sign = ['images', 'resign', '--expiring', '5d', '--key', other.key, '--cert']
    const short = await volseal(testbed(), 'carol', [
      ...sign.slice(0, 3),
      '30',
      ...sign.slice(4),
      other.certificate,
    ])
    expect(short).toMatchObject({ code: 2, stderr: expect.stringContaining('ends in 13') })
    // Properties that somebody made up, with the certificate that ends.
    const { properties } = await cloud.glance.show(image)
    const made = await patchedLater(properties)
    const args = [...sign, other.certificate]
    const { results } = await volsealJson<{ results: Record<string, unknown>[] }>(
      testbed(),
      'carol',
      args,
    )
    expect(results).toContainEqual(expect.objectContaining({ ok: true, imageId: image }))
    expect(results).toContainEqual(
      expect.objectContaining({
        ok: false,
        image: `glance:${made}`,
        verdict: 'signature-mismatch',
      }),
    )
    expect((await cloud.glance.show(made)).properties['img_signature']).toBe('AAAA')
    await cloud.glance.delete(made)
    const after = await volseal(testbed(), 'carol', [...sign, other.certificate])
    expect(after).toMatchObject({ code: 0, stdout: expect.not.stringContaining(image) })
    const both = await volseal(testbed(), 'carol', [...sign, other.certificate, image])
    expect(both).toMatchObject({ code: 2 })
    await cloud.glance.delete(image)
  }, 120_000)

  /** Glance verifies what is signed when it is uploaded, and not what is said of it later. */
  async function patchedLater(properties: Readonly<Record<string, string>>): Promise<string> {
    const id = await upload({})
    const signature: Record<string, string> = { ...properties, img_signature: 'AAAA' }
    const names = Object.keys(signature).filter((name) => name.startsWith('img_signature'))
    await cloud.glance.change(
      id,
      names.map((property) => ({ op: 'add', property, value: signature[property] ?? '' })),
    )
    return id
  }

  /** An image whose certificate ends in two days, and a key whose certificate does not. */
  async function expiring(): Promise<{ image: string; other: OpensslKey }> {
    const other = makeOpensslKey(directory, 'RSA-PSS', 'lasting')
    const certificate = join(directory, 'ending.pem')
    const made = ['cert', 'create', '--key', other.key, '--subject', 'CN=ending', '--days', '2']
    await outputOf(process.execPath, [CLI, ...made, '--out', certificate])
    return { image: await publish({ ...other, certificate }), other }
  }
})

describe('the examples of --help', () => {
  it.each(['images list', 'images resign'])('of %s run as pasted', async (path) => {
    const help = await outputOf(process.execPath, [CLI, ...path.split(' '), '--help'])
    const [, example = ''] = /^Example:\n {2}(.+)$/m.exec(help) ?? []
    expect(example).toContain(`volseal ${path}`)
    const names = `ln -sf ${key.key} key.pem; ln -sf ${key.certificate} cert.pem`
    const script = `cd ${directory}; ${names}; volseal() { node ${CLI} "$@"; }; ${example}`
    const config = join(directory, 'clouds.json')
    const { clouds }: { clouds: Record<string, object> } = JSON.parse(
      readFileSync(testbed().clouds, 'utf8'),
    )
    writeFileSync(config, JSON.stringify({ clouds: { ops: clouds['alice'] } }))
    const env = { OS_CLIENT_CONFIG_FILE: config, IMAGE_ID: ids.get('unsigned') }
    await outputOf('sh', ['-euc', script], { env })
  })
})
