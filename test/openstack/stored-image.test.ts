import { randomBytes, randomUUID } from 'node:crypto'
import { existsSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  findStoredImage,
  type OpenCloud,
  openCloud,
  publishImage,
  resignImage,
  type VerifyReport,
  VolsealError,
  verifyImage,
  type WriteRecordedResult,
  writeRecorded,
} from '../../src/index.js'
import { alteredClouds } from '../harness/altered-clouds.js'
import { makeResource } from '../harness/cinder.js'
import { volseal, volsealJson } from '../harness/cloud-command.js'
import { openCloudOf } from '../harness/cloud-session.js'
import { makeOpensslKey, type OpensslKey } from '../harness/openssl.js'
import { type Api, jsonOf, openApi } from '../harness/openstack-api.js'
import { run, scratchDirectory } from '../harness/run.js'
import { sharedTestbed } from '../harness/testbed.js'
import { type Fault, weakLink } from '../harness/weak-link.js'

const testbed = sharedTestbed()
const directory = scratchDirectory()
const MIB = 1024 * 1024
const content = randomBytes(5 * MIB + 3)

let glance: Api
let cloud: OpenCloud
let key: OpensslKey
let id: string
let certificateId: string

beforeAll(async () => {
  glance = await openApi(testbed(), 'alice', 'glance')
  cloud = await openCloudOf(testbed(), 'alice')
  key = makeOpensslKey(directory, 'RSA-PSS', 'stored')
  ;({ imageId: id, certificateId } = await publish(content))
})

async function publish(bytes: Buffer): Promise<{ imageId: string; certificateId: string }> {
  const image = join(directory, `${randomUUID()}.raw`)
  writeFileSync(image, bytes)
  const signing = { key: readFileSync(key.key), certificate: readFileSync(key.certificate) }
  return await publishImage({ cloud, image, ...signing, write: false })
}

async function patch(image: string, ...operations: readonly object[]): Promise<number> {
  const type = { 'Content-Type': 'application/openstack-images-v2.1-json-patch' }
  return (await glance('PATCH', `/v2/images/${image}`, { json: operations, headers: type })).status
}

/** Changes one byte in Glance's own store, which Glance does not notice. */
function damage(image: string): void {
  const path = join(testbed().paths.glanceImages, image)
  const at = 2 * MIB
  const byte = readFileSync(path)[at] ?? 0
  writeSync(openSync(path, 'r+'), Buffer.of(byte ^ 1), 0, 1, at)
}

async function verify(image: string, ...args: readonly string[]): Promise<VerifyReport & Failed> {
  const command = ['verify', `glance:${image}`, ...args]
  return await volsealJson<VerifyReport & Failed>(testbed(), 'alice', command)
}

interface Failed {
  readonly error?: { code: string; message: string; cause?: { code: string } }
}

describe('verify glance:ID', () => {
  it('takes properties and digest from Glance, and the certificate from Barbican', async () => {
    const report = await verify(id, '--trusted', certificateId)
    expect(report).toMatchObject({
      ok: true,
      verdict: 'accepted',
      image: `glance:${id}`,
      trust: 'pinned',
      certificateId,
      size: content.length,
    })
    const arrival = report.checks.find(({ name }) => name === 'arrival')
    expect(arrival).toMatchObject({ result: 'pass', found: expect.stringMatching(/^sha512 /) })
  })

  it('asks who vouches for the certificate, as for any image', async () => {
    expect(await verify(id)).toMatchObject({ verdict: 'certificate-untrusted' })
    expect(await verify(id, '--profile', 'cursive')).toMatchObject({ verdict: 'accepted' })
  })

  it('judges by a policy with what Glance says of it', async () => {
    const image = await cloud.glance.show(id)
    const policy = join(directory, 'policy.json')
    const rule = {
      name: 'ours',
      projects: [image.owner],
      certificates: [{ file: key.certificate }],
    }
    writeFileSync(policy, JSON.stringify({ version: 1, rules: [rule] }))
    const report = await verify(id, '--policy', policy)
    expect(report).toMatchObject({ verdict: 'accepted', policy: { rule: 'ours' } })
  })

  it('needs no temporary file', async () => {
    const env = ['TMPDIR=/nowhere', `OS_CLIENT_CONFIG_FILE=${testbed().clouds}`]
    const main = new URL('../../dist/cli/main.js', import.meta.url).pathname
    const args = ['verify', `glance:${id}`, '--trusted', certificateId, '--os-cloud', 'alice']
    expect(run('env', [...env, process.execPath, main, ...args]).toString()).toContain('accepted')
  })

  it.each([
    ['is not signed', {}],
    ['is signed in part', { img_signature: 'AAAA', img_signature_key_type: 'RSA-PSS' }],
  ])('refuses an image that %s', async (_, properties) => {
    const image = await uploaded(content, properties)
    expect(await verify(image)).toMatchObject({ ok: false, verdict: 'unsigned' })
  })

  it('refuses one that was damaged in the store, and says so; nobody else is fooled', async () => {
    const { imageId } = await publish(content)
    damage(imageId)
    const report = await verify(imageId, '--trusted', certificateId)
    expect(report).toMatchObject({ ok: false, verdict: 'signature-mismatch' })
    expect(report.error?.message).toContain('not those that Glance took in')
    const results = report.checks.map(({ name, result }) => `${name} ${result}`)
    expect(results).toEqual(expect.arrayContaining(['signature fail', 'arrival fail']))
    const signing = { key: readFileSync(key.key), certificate: readFileSync(key.certificate) }
    await expect(resignImage({ cloud, imageId, ...signing })).rejects.toMatchObject({
      code: 'signature-mismatch',
    })
    const cinder = await openApi(testbed(), 'alice', 'cinder')
    const making = makeResource(cinder, 'volume', { size: 1, imageRef: imageId })
    await expect(making).rejects.toThrow('the volume is error')
  })

  it.each([
    ['glance:image', 2],
    [`glance:${randomUUID()}`, 15],
  ])('says what is wrong with %s', async (image, exitCode) => {
    const { code, stderr } = await volseal(testbed(), 'alice', ['verify', image])
    expect(code).toBe(exitCode)
    expect(stderr).toMatch(/names are not unique|404 Not Found/)
  })

  it('names a certificate that Barbican took as damaged base64', async () => {
    const barbican = await openApi(testbed(), 'alice', 'barbican')
    const json = {
      secret_type: 'certificate',
      // Python's base64 leaves out what it does not know.
      payload: `!!${readFileSync(key.certificate).toString('base64').slice(4)}!!`,
      payload_content_type: 'application/octet-stream',
      payload_content_encoding: 'base64',
    }
    const stored = await jsonOf<{ secret_ref: string }>(barbican('POST', '/v1/secrets', { json }))
    const damaged = stored.secret_ref.split('/').at(-1) ?? ''
    const { imageId } = await publish(content)
    const property = 'img_signature_certificate_uuid'
    await cloud.glance.change(imageId, [{ op: 'replace', property, value: damaged }])
    const report = await verify(imageId)
    expect(report).toMatchObject({ ok: false, verdict: 'signature-malformed' })
    expect(report.error?.message).toContain(damaged)
  })

  it('does not read an image that is not active', async () => {
    const { imageId } = await publish(content)
    const admin = await openApi(testbed(), 'admin', 'glance')
    await admin('POST', `/v2/images/${imageId}/actions/deactivate`)
    const report = await verify(imageId, '--trusted', certificateId)
    expect(report).toMatchObject({ verdict: 'unchecked', error: { cause: { code: 'busy' } } })
    expect(report.error?.message).toContain('it is deactivated')
  })
})

async function uploaded(
  bytes: Buffer<ArrayBuffer>,
  properties: Readonly<Record<string, string>>,
  format = 'raw',
): Promise<string> {
  const json = { disk_format: format, container_format: 'bare', ...properties }
  const { id: image } = await jsonOf<{ id: string }>(glance('POST', '/v2/images', { json }))
  expect((await glance('PUT', `/v2/images/${image}/file`, { bytes })).status).toBe(204)
  return image
}

describe('while it is read', () => {
  /** Verifies as a program does, and does something after the first piece. */
  async function meanwhile(image: string, act: () => Promise<unknown>): Promise<VerifyReport> {
    const stored = await findStoredImage(cloud.glance, image)
    let acting: Promise<unknown> | undefined
    try {
      return await verifyImage({
        ...stored,
        keyManager: cloud.keyManager,
        trusted: [readFileSync(key.certificate)],
        onProgress: () => {
          acting ??= act()
        },
      })
    } finally {
      await acting
    }
  }

  it('a signature that is changed makes the verdict void', async () => {
    const { imageId } = await publish(randomBytes(20 * MIB))
    const operation = { op: 'replace', path: '/img_signature', value: 'AAAA' }
    const verifying = meanwhile(imageId, async () => await patch(imageId, operation))
    await expect(verifying).rejects.toMatchObject({ code: 'unchecked', cause: { code: 'busy' } })
  })

  it('an image that is deleted is not there', async () => {
    const { imageId } = await publish(randomBytes(20 * MIB))
    const verifying = meanwhile(imageId, async () => await cloud.glance.delete(imageId))
    await expect(verifying).rejects.toMatchObject({
      code: 'unchecked',
      cause: { code: 'not-found' },
    })
  })

  it('another name changes nothing', async () => {
    const { imageId } = await publish(content)
    const operation = { op: 'replace', path: '/name', value: 'another' }
    const report = await meanwhile(imageId, async () => await patch(imageId, operation))
    expect(report.verdict).toBe('accepted')
  })

  it('a connection that is cut is taken up where it ended', async () => {
    const lossy = await behind(
      'good',
      { cut: 'answer', after: 3 * MIB },
      { cut: 'answer', after: 100_000 },
    )
    const trusted = [readFileSync(key.certificate)]
    const stored = await findStoredImage(lossy.glance, id)
    const report = await verifyImage({ ...stored, keyManager: cloud.keyManager, trusted })
    expect(report).toMatchObject({ verdict: 'accepted', size: content.length })
    await lossy.close()
  })

  async function behind(...faults: readonly Fault[]): Promise<OpenCloud> {
    const link = await weakLink(testbed().urls.glance ?? '')
    link.next(...faults)
    const path = alteredClouds(testbed(), 'alice', { directory, image_endpoint_override: link.url })
    return await openCloud({ cloud: 'alice', env: { OS_CLIENT_CONFIG_FILE: path } })
  }
})

describe('write glance:ID', () => {
  const targetPath = (): string => join(directory, `${randomUUID()}.out`)

  it('writes what was verified', async () => {
    const target = targetPath()
    const args = ['write', `glance:${id}`, target, '--trusted', certificateId]
    const result = await volsealJson(testbed(), 'alice', args)
    expect(result).toMatchObject({ ok: true, signatureVerified: true, format: 'raw' })
    expect(readFileSync(target).equals(content)).toBe(true)
  })

  it('converts what Glance says that it is', async () => {
    const raw = join(directory, 'plain.raw')
    const disk = join(directory, 'plain.qcow2')
    writeFileSync(raw, content.subarray(0, 4 * MIB))
    run('qemu-img', ['convert', '-O', 'qcow2', raw, disk])
    const { imageId } = await publish(readFileSync(disk))
    const target = targetPath()
    const args = ['write', `glance:${imageId}`, target, '--trusted', certificateId]
    expect(await volsealJson(testbed(), 'alice', args)).toMatchObject({ format: 'qcow2' })
    expect(readFileSync(target).equals(readFileSync(raw))).toBe(true)
    const claiming = await volseal(testbed(), 'alice', [...args, '--source-format', 'raw'])
    expect(claiming).toMatchObject({ code: 2, stderr: expect.stringContaining('what Glance says') })
  })

  it('writes nothing of an image that lies about its format, or was damaged', async () => {
    const disk = join(directory, 'lying.qcow2')
    run('qemu-img', ['create', '-q', '-f', 'qcow2', disk, '10M'])
    const honest = await cloud.glance.show((await publish(readFileSync(disk))).imageId)
    const lying = await uploaded(readFileSync(disk), honest.properties, 'raw')
    const damaged = (await publish(content)).imageId
    damage(damaged)
    for (const [image, exitCode] of [
      [lying, 14],
      [damaged, 10],
    ] as const) {
      const target = targetPath()
      const args = ['write', `glance:${image}`, target, '--trusted', certificateId]
      expect((await volseal(testbed(), 'alice', args)).code).toBe(exitCode)
      expect(existsSync(target)).toBe(false)
    }
  })

  it('records of the volume what cinder records itself', async () => {
    const ask = await openApi(testbed(), 'alice', 'cinder')
    const theirs = await makeResource(ask, 'volume', { size: 1, imageRef: id })
    const ours = await makeResource(ask, 'volume', { size: 1 })
    const recording = ['--trusted', certificateId, '--set-volume-metadata', ours]
    const args = ['write', `glance:${id}`, targetPath(), ...recording]
    const result = await volsealJson<WriteRecordedResult>(testbed(), 'alice', args)
    expect(result).toMatchObject({ ok: true, volumeId: ours })
    const { img_signature: tooLong, ...expected } = await cloud.cinder.imageMetadata(theirs)
    expect(tooLong?.length).toBeGreaterThan(255)
    expect(expected['signature_verified']).toBe('True')
    expect(await cloud.cinder.imageMetadata(ours)).toEqual(expected)
    expect(result.volumeMetadata).toEqual(expected)
  })

  it('takes back what cinder has of an earlier image before the first byte', async () => {
    const ask = await openApi(testbed(), 'alice', 'cinder')
    const volume = await makeResource(ask, 'volume', { size: 1, imageRef: id })
    const { imageId } = await publish(content)
    damage(imageId)
    const write = async (image: string, target: string): Promise<number | null> => {
      const recording = ['--trusted', certificateId, '--set-volume-metadata', volume]
      const args = ['write', `glance:${image}`, target, ...recording]
      return (await volseal(testbed(), 'alice', args)).code
    }
    // Refused before anything is written: what cinder has is still true.
    expect(await write(imageId, targetPath())).toBe(10)
    expect(await flagOf(volume)).toBe('True')
    const target = join(directory, 'full')
    expect(await write(id, join(target, 'no-such-directory'))).toBe(31)
    expect(await flagOf(volume)).toBe('True')
    const there = targetPath()
    writeFileSync(there, Buffer.alloc(content.length))
    const failing = writeRecorded({
      ...(await findStoredImage(cloud.glance, id)),
      keyManager: cloud.keyManager,
      trusted: [readFileSync(key.certificate)],
      target: there,
      cinder: cloud.cinder,
      volumeId: volume,
      onWriteProgress: () => {
        throw new VolsealError('io', 'as if the disk were full')
      },
    })
    await expect(failing).rejects.toMatchObject({ code: 'io' })
    expect(await flagOf(volume)).toBeUndefined()
    expect(await cloud.cinder.imageMetadata(volume)).not.toHaveProperty('image_id')
  })

  async function flagOf(volume: string): Promise<string | undefined> {
    return (await cloud.cinder.imageMetadata(volume))['signature_verified']
  }
})
