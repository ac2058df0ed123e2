import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  type OpenCloud,
  openCloud,
  type PublishResult,
  publishImage,
  Secret,
  VolsealError,
} from '../../src/index.js'
import { Glance, type GlanceImage } from '../../src/openstack/index.js'
import { alteredClouds } from '../harness/altered-clouds.js'
import { makeResource, untilTrue } from '../harness/cinder.js'
import { startVolseal, volseal, volsealJson } from '../harness/cloud-command.js'
import { makeOpensslKey, type OpensslKey } from '../harness/openssl.js'
import { askCastellan, openstack } from '../harness/openstack.js'
import { type Api, jsonOf, openApi } from '../harness/openstack-api.js'
import { run, scratchDirectory } from '../harness/run.js'
import { sharedTestbed } from '../harness/testbed.js'
import { weakLink } from '../harness/weak-link.js'

const testbed = sharedTestbed()
const directory = scratchDirectory()
const MIB = 1024 * 1024

let glance: Api
let cloud: OpenCloud
let key: OpensslKey

beforeAll(async () => {
  glance = await openApi(testbed(), 'alice', 'glance')
  cloud = await cloudOf('alice')
  key = makeOpensslKey(directory, 'RSA-PSS', 'publish')
})

async function cloudOf(user: string): Promise<OpenCloud> {
  return await openCloud({ cloud: user, env: { OS_CLIENT_CONFIG_FILE: testbed().clouds } })
}

/** A new image in a directory of its own, so that its name is nobody else's. */
function newImage(content: Buffer = randomBytes(2 * MIB + 5)): string {
  const path = join(directory, `${randomUUID()}.raw`)
  writeFileSync(path, content)
  return path
}

function signing(of: OpensslKey = key): { key: Buffer; certificate: Buffer } {
  return { key: readFileSync(of.key), certificate: readFileSync(of.certificate) }
}

async function imagesNamed(name: string): Promise<{ id: string; status: string }[]> {
  const listed = glance('GET', `/v2/images?name=${encodeURIComponent(name)}`)
  return (await jsonOf<{ images: { id: string; status: string }[] }>(listed)).images
}

async function show(id: string): Promise<Record<string, unknown>> {
  return await jsonOf(glance('GET', `/v2/images/${id}`))
}

async function certificates(): Promise<string[]> {
  const listed = await cloud.barbican.list({ type: 'certificate' })
  return listed.map(({ id }) => id)
}

describe('sign --publish', () => {
  it('makes an image that the official client, cursive and cinder take', async () => {
    const image = newImage()
    const args = ['sign', image, '--key', key.key, '--cert', key.certificate, '--publish']
    const more = ['--name', 'a name', '--property', 'hw_disk_bus=scsi']
    const result = await volsealJson<PublishResult>(testbed(), 'alice', [...args, ...more])
    expect(result).toMatchObject({ ok: true, name: 'a name', diskFormat: 'raw', removed: [] })
    const shown = await openstack<{ status: string; properties: Record<string, string> }>(
      testbed(),
      'alice',
      ['image', 'show', result.imageId],
    )
    expect(shown.status).toBe('active')
    expect(shown.properties).toMatchObject({ ...result.properties, hw_disk_bus: 'scsi' })
    expect(Object.keys(shown.properties).filter((name) => name.startsWith('volseal'))).toEqual([])
    const secret = await askCastellan(testbed(), 'alice', { do: 'get', id: result.certificateId })
    expect(secret).toMatchObject({ ok: true, type: 'certificate' })
    const verdict = await askCastellan(testbed(), 'alice', {
      do: 'verify',
      certificate: result.certificateId,
      signature: result.properties.img_signature ?? '',
      hash: 'SHA-256',
      keyType: 'RSA-PSS',
      image,
    })
    expect(verdict).toEqual({ ok: true })
    const json: unknown = JSON.parse(readFileSync(`${image}.signature.json`, 'utf8'))
    expect(json).toMatchObject({ img_signature_certificate_uuid: result.certificateId })
    const cinder = await openApi(testbed(), 'alice', 'cinder')
    const volume = await makeResource(cinder, 'volume', { size: 1, imageRef: result.imageId })
    const metadata = await cloud.cinder.imageMetadata(volume)
    expect(metadata['signature_verified']).toBe('True')
  })

  it('uses a certificate again that is there, whatever it is called', async () => {
    const first = await publishImage({ cloud, image: newImage(), ...signing(), write: false })
    const second = await publishImage({ cloud, image: newImage(), ...signing(), write: false })
    expect(second).toMatchObject({ certificateId: first.certificateId, certificateReused: true })
    const other = makeOpensslKey(directory, 'ECC_SECP384R1', 'by-hand')
    const id = await cloud.barbican.store(
      { type: 'certificate', name: 'by hand' },
      new Secret(readFileSync(other.certificate)),
    )
    const third = await publishImage({ cloud, image: newImage(), ...signing(other), write: false })
    expect(third).toMatchObject({ certificateId: id, certificateReused: true })
  })

  it('stores a certificate in DER as castellan can load it', async () => {
    const other = makeOpensslKey(directory, 'ECC_SECP521R1', 'der')
    const der = run('openssl', ['x509', '-in', other.certificate, '-outform', 'DER'])
    const options = { cloud, image: newImage(), key: readFileSync(other.key), write: false }
    const { certificateId } = await publishImage({ ...options, certificate: der })
    const got = await askCastellan(testbed(), 'alice', { do: 'get', id: certificateId })
    expect(got).toMatchObject({ ok: true, type: 'certificate' })
  })

  it('takes standard input, and formats as they are', async () => {
    const disk = join(directory, 'disk.qcow2')
    run('qemu-img', ['create', '-q', '-f', 'qcow2', disk, '10M'])
    const published = await publishImage({ cloud, image: disk, ...signing(), write: false })
    expect(published).toMatchObject({ diskFormat: 'qcow2', name: 'disk.qcow2' })
    const command = `node "$0" sign - --key ${key.key} --cert ${key.certificate} --publish --name piped --os-cloud alice --json < ${disk}`
    const main = new URL('../../dist/cli/main.js', import.meta.url).pathname
    const env = `OS_CLIENT_CONFIG_FILE=${testbed().clouds}`
    const piped: unknown = JSON.parse(run('env', [env, 'sh', '-c', command, main]).toString())
    expect(piped).toMatchObject({ diskFormat: 'qcow2', name: 'piped', digest: published.digest })
  })

  it('is for everybody only when it is whole', async () => {
    const image = newImage()
    const seen: unknown[] = []
    const options = { cloud, image, ...signing(), write: false, visibility: 'community' }
    const { imageId } = await publishImage({
      ...options,
      onUploadProgress: (bytes) => {
        if (bytes > 0) return
        void imagesNamed(image.slice(directory.length + 1)).then((found) => seen.push(...found))
      },
    })
    expect(await show(imageId)).toMatchObject({ visibility: 'community' })
    expect(seen).toMatchObject([{ visibility: 'private' }])
  })
})

describe('nothing is left behind', () => {
  /** Publishing must fail; then neither image nor certificate nor file is there. */
  async function failing(
    args: readonly string[],
    { user = 'alice', image = newImage() } = {},
  ): Promise<{ code: number | null; stderr: string }> {
    const other = makeOpensslKey(directory, 'ECC_SECP384R1', `gone-${randomUUID()}`)
    const before = await certificates()
    const command = ['sign', image, '--key', other.key, '--cert', other.certificate, '--publish']
    const ended = await volseal(testbed(), user, [...command, ...args])
    expect(ended.stdout).toBe('')
    expect(await imagesNamed(image.slice(directory.length + 1))).toEqual([])
    expect(await certificates()).toEqual(before)
    expect(() => readFileSync(`${image}.signature`)).toThrow('ENOENT')
    return ended
  }

  it('of an image that is not of the claimed format', async () => {
    const { code, stderr } = await failing(['--disk-format', 'qcow2'])
    expect({ code, stderr }).toMatchObject({ code: 14 })
    expect(stderr).toContain('leave out --disk-format, and it becomes raw')
  })

  it('for a user without the role, and the error says which', async () => {
    const { code, stderr } = await failing([], { user: 'bob' })
    expect(code).toBe(30)
    expect(stderr).toContain('openstack role add')
  })

  it('when only an administrator may make it public', async () => {
    const { code, stderr } = await failing(['--visibility', 'public'])
    expect(code).toBe(30)
    expect(stderr).toContain('community')
  })

  it('when the upload is cut', async () => {
    const link = await weakLink(testbed().urls.glance ?? '')
    const image = newImage()
    // Listing, creating, and the upload that is cut.
    link.next({ cut: 'request', after: MIB })
    const cut = await openCloud({
      cloud: 'alice',
      env: {
        OS_CLIENT_CONFIG_FILE: alteredClouds(testbed(), 'alice', {
          directory,
          image_endpoint_override: link.url,
        }),
      },
    })
    const publishing = publishImage({ cloud: cut, image, ...signing(), write: false })
    await expect(publishing).rejects.toMatchObject({ code: 'unavailable' })
    expect(await imagesNamed(image.slice(directory.length + 1))).toEqual([])
    await cut.close()
  })

  it('when Glance is full', async () => {
    const image = newImage()
    truncateSync(image, FULL_AT + MIB)
    limitGlance(FULL_AT)
    try {
      const publishing = publishImage({ cloud, image, ...signing(), write: false })
      await expect(publishing).rejects.toMatchObject({
        code: 'io',
        message: expect.stringContaining('Image storage media is full'),
        http: { status: 413 },
      })
    } finally {
      limitGlance('unlimited')
    }
    expect(await imagesNamed(image.slice(directory.length + 1))).toEqual([])
  })

  it('when its certificate is deleted between signing and upload', async () => {
    const image = newImage()
    const other = makeOpensslKey(directory, 'RSA-PSS', 'deleted')
    const before = await certificates()
    let deleting: Promise<void> | undefined
    const publishing = publishImage({
      cloud,
      image,
      ...signing(other),
      write: false,
      onProgress: () => {
        deleting ??= deleteNew(before)
      },
      onUploadProgress: () => undefined,
    })
    await expect(publishing).rejects.toBeInstanceOf(VolsealError)
    await deleting
    expect(await imagesNamed(image.slice(directory.length + 1))).toEqual([])
    expect(await certificates()).toEqual(before)
  })

  async function deleteNew(before: readonly string[]): Promise<void> {
    const made = (await certificates()).filter((id) => !before.includes(id))
    for (const id of made) await cloud.barbican.delete(id)
  }

  it('when the image is changed between signing and upload', async () => {
    const image = newImage()
    const publishing = publishImage({
      cloud,
      image,
      ...signing(),
      write: false,
      onUploadProgress: (bytes) => {
        if (bytes === 0) writeFileSync(image, randomBytes(2 * MIB + 5))
      },
    })
    await expect(publishing).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringContaining('was changed after it was signed'),
    })
    expect(await imagesNamed(image.slice(directory.length + 1))).toEqual([])
  })
})

/** Room for one image, in bytes. */
const FULL_AT = 32 * MIB

/** Its store takes a file that may not grow (EFBIG) for a disk that is full (glance_store, filesystem.py). */
function limitGlance(bytes: number | 'unlimited'): void {
  const pid = `${testbed().services.glance?.pid ?? ''}`
  run('prlimit', ['--pid', pid, `--fsize=${bytes}:unlimited`])
}

describe('what another computer has left half-made of the same image', () => {
  /** As if it had been killed there. */
  async function leftElsewhere(
    image: string,
    properties: Record<string, string> = {},
  ): Promise<string> {
    const id = randomUUID()
    const digest = createHash('sha256').update(readFileSync(image)).digest('hex')
    const marks = {
      volseal_publishing: `SHA-256:${digest}`,
      volseal_publisher: `elsewhere/0123456789abcdef/1-2-${'0'.repeat(32)}-4/${id}`,
    }
    const facts = { diskFormat: 'raw', containerFormat: 'bare' }
    await cloud.glance.create({ id, ...facts, properties: { ...marks, ...properties } })
    return id
  }

  /** Glance with a clock that was so many hours behind when the images were changed. */
  class Earlier extends Glance {
    readonly #hours: number

    constructor(hours: number) {
      super(cloud.session)
      this.#hours = hours
    }

    override async *list(...of: Parameters<Glance['list']>): AsyncGenerator<GlanceImage> {
      for await (const image of super.list(...of)) {
        const time = Date.parse(image.updated) - this.#hours * 60 * 60 * 1000
        yield { ...image, updated: new Date(time).toISOString() }
      }
    }

    /** Glance only logs that it could not delete the key. */
    override async delete(id: string): Promise<void> {
      const property = 'cinder_encryption_key_deletion_policy'
      const { properties } = await this.show(id)
      if (properties[property] !== undefined) {
        await this.change(id, [{ op: 'replace', property, value: 'do_not_delete' }])
      }
      await super.delete(id)
    }
  }

  const after = (hours: number): OpenCloud => ({ ...cloud, glance: new Earlier(hours) })

  it('is waited for, and removed a day later', async () => {
    const image = newImage()
    const id = await leftElsewhere(image)
    const publish = async (at: OpenCloud): Promise<PublishResult> =>
      await publishImage({ cloud: at, image, ...signing(), write: false })
    await expect(publish(after(23))).rejects.toMatchObject({
      code: 'busy',
      hint: expect.stringMatching(/volseal images delete .*; 24 hours after its last change/),
    })
    await show(id)
    const result = await publish(after(25))
    expect(result).toMatchObject({ removed: [id], warnings: [] })
    await expect(cloud.glance.show(id)).rejects.toMatchObject({ code: 'not-found' })
  })

  it('is removed without its key when something else needs that', async () => {
    const image = newImage()
    const keyId = await cloud.keyManager.createKey({ algorithm: 'aes', bitLength: 256 })
    // Whoever may make images may name any key there.
    const other = await cloud.glance.create({
      id: randomUUID(),
      diskFormat: 'raw',
      containerFormat: 'bare',
      properties: { cinder_encryption_key_id: keyId },
    })
    const id = await leftElsewhere(image, {
      cinder_encryption_key_id: keyId,
      cinder_encryption_key_deletion_policy: 'on_image_deletion',
    })
    const options = { cloud: after(25), image, ...signing(), write: false }
    expect(await publishImage(options)).toMatchObject({
      removed: [id],
      warnings: [expect.stringContaining(keyId)],
    })
    await cloud.keyManager.describe(keyId)
    await cloud.glance.delete(other.id)
    await cloud.keyManager.delete(keyId)
  })

  it('is removed with its key, also when Glance could not delete that', async () => {
    const image = newImage()
    const keyId = await cloud.keyManager.createKey({ algorithm: 'aes', bitLength: 256 })
    const id = await leftElsewhere(image, {
      cinder_encryption_key_id: keyId,
      cinder_encryption_key_deletion_policy: 'on_image_deletion',
    })
    const options = { cloud: after(25), image, ...signing(), write: false }
    expect(await publishImage(options)).toMatchObject({ removed: [id], warnings: [] })
    await expect(cloud.keyManager.describe(keyId)).rejects.toMatchObject({ code: 'not-found' })
  })
})

describe('ended in the middle of the upload', () => {
  /** Large enough to be caught in the middle; sparse here. */
  function largeImage(): string {
    const place = join(directory, randomUUID())
    mkdirSync(place)
    const image = join(place, `${randomUUID()}.raw`)
    writeFileSync(image, randomBytes(MIB))
    truncateSync(image, 400 * MIB)
    return image
  }

  async function endedBy(
    signal: NodeJS.Signals,
    image: string,
    of: OpensslKey,
  ): Promise<{ code: number | null; stderr: string }> {
    const args = ['sign', image, '--key', of.key, '--cert', of.certificate, '--publish']
    const child = startVolseal(testbed(), 'alice', args)
    const ended = once(child, 'close')
    const stderr = child.stderr === null ? Promise.resolve('') : text(child.stderr)
    const name = image.slice(image.lastIndexOf('/') + 1)
    await untilTrue(
      async () => await imagesNamed(name),
      ([found]) => found?.status === 'saving',
    )
    child.kill(signal)
    await ended
    return { code: child.exitCode, stderr: await stderr }
  }

  /** nova gives the snapshot of an instance all properties of its image but the signature's. */
  async function snapshotOf(id: string): Promise<string> {
    const { properties } = await cloud.glance.show(id)
    const inherited = Object.entries(properties).filter(([name]) => !name.startsWith('img_'))
    expect(inherited.map(([name]) => name)).toContain('volseal_publishing')
    const made = await cloud.glance.create({
      name: 'a snapshot',
      diskFormat: 'raw',
      containerFormat: 'bare',
      properties: Object.fromEntries(inherited),
    })
    return made.id
  }

  it('by Ctrl-C, it takes back the image and the certificate', async () => {
    const image = largeImage()
    const before = await certificates()
    const other = makeOpensslKey(directory, 'RSA-PSS', 'interrupted')
    const { code } = await endedBy('SIGINT', image, other)
    expect(code).toBe(130)
    expect(await imagesNamed(image.slice(image.lastIndexOf('/') + 1))).toEqual([])
    expect(await certificates()).toEqual(before)
  })

  it('by SIGKILL, the next run removes what is left, and uses its certificate', async () => {
    const image = largeImage()
    const other = makeOpensslKey(directory, 'RSA-PSS', 'killed')
    await endedBy('SIGKILL', image, other)
    const name = image.slice(image.lastIndexOf('/') + 1)
    const [left] = await imagesNamed(name)
    expect(left).toMatchObject({ visibility: expect.stringMatching(/private|shared/) })
    const snapshot = await snapshotOf(left?.id ?? '')
    const args = ['sign', image, '--key', other.key, '--cert', other.certificate, '--publish']
    const result = await volsealJson<PublishResult>(testbed(), 'alice', args)
    expect(result).toMatchObject({ ok: true, removed: [left?.id], certificateReused: true })
    expect(await imagesNamed(name)).toMatchObject([{ id: result.imageId, status: 'active' }])
    await cloud.glance.show(snapshot)
  }, 120_000)
})
