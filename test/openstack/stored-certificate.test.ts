import { randomBytes, randomUUID } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  type OpenCloud,
  type PublishResult,
  publishImage,
  type VerifyReport,
} from '../../src/index.js'
import { untilTrue } from '../harness/cinder.js'
import { volseal, volsealJson } from '../harness/cloud-command.js'
import { openCloudOf } from '../harness/cloud-session.js'
import { makeOpensslKey, type OpensslKey } from '../harness/openssl.js'
import { type Api, jsonOf, openApi } from '../harness/openstack-api.js'
import { run, scratchDirectory } from '../harness/run.js'
import { sharedTestbed } from '../harness/testbed.js'

/** Certificates as others have stored them in Barbican. */

const testbed = sharedTestbed()
const directory = scratchDirectory()
const content = randomBytes(1024 * 1024)

let barbican: Api
let cloud: OpenCloud

beforeAll(async () => {
  barbican = await openApi(testbed(), 'alice', 'barbican')
  cloud = await openCloudOf(testbed(), 'alice')
})

type Storing = (key: OpensslKey) => Promise<string>

async function store(payload: Readonly<Record<string, string>>): Promise<string> {
  const json = { secret_type: 'certificate', ...payload }
  const stored = await jsonOf<{ secret_ref: string }>(barbican('POST', '/v1/secrets', { json }))
  return stored.secret_ref.split('/').at(-1) ?? ''
}

function octets(bytes: Buffer): Readonly<Record<string, string>> {
  return {
    payload: bytes.toString('base64'),
    payload_content_type: 'application/octet-stream',
    payload_content_encoding: 'base64',
  }
}

const storeDer: Storing = async ({ certificate }) =>
  await store(octets(run('openssl', ['x509', '-in', certificate, '-outform', 'DER'])))

const storeText: Storing = async ({ certificate }) =>
  await store({ payload: readFileSync(certificate, 'utf8'), payload_content_type: 'text/plain' })

async function storeUntil({ certificate }: OpensslKey, end: Date): Promise<string> {
  return await store({ ...octets(readFileSync(certificate)), expiration: end.toISOString() })
}

function newImage(): string {
  const path = join(directory, `${randomUUID()}.raw`)
  writeFileSync(path, content)
  return path
}

function newKey(): OpensslKey {
  return makeOpensslKey(directory, 'RSA-PSS', randomUUID())
}

/** A published image whose certificate is another secret afterwards. */
async function imageWith(key: OpensslKey, certificateId: string): Promise<string> {
  const { imageId } = await publishImage({
    cloud,
    image: newImage(),
    key: readFileSync(key.key),
    certificate: readFileSync(key.certificate),
    write: false,
  })
  const property = 'img_signature_certificate_uuid'
  await cloud.glance.change(imageId, [{ op: 'replace', property, value: certificateId }])
  return imageId
}

interface Verified {
  readonly code: number | null
  readonly report: VerifyReport & { error?: { message: string; cause?: { code: string } } }
}

async function verify(image: string, ...args: readonly string[]): Promise<Verified> {
  const command = ['verify', `glance:${image}`, ...args, '--json']
  const { code, stdout } = await volseal(testbed(), 'alice', command)
  return { code, report: JSON.parse(stdout) }
}

describe('verify glance:ID', () => {
  it.each([
    ['DER', storeDer, 'PEM'],
    ['text/plain', storeText, 'got text/plain'],
  ] as const)('with the certificate stored as %s', async (_, storeAs, expected) => {
    const key = newKey()
    const image = await imageWith(key, await storeAs(key))
    const services = await verify(image, '--profile', 'cursive')
    expect(services).toMatchObject({ code: 12, report: { verdict: 'signature-malformed' } })
    expect(services.report.error?.message).toContain(expected)
    const ours = await verify(image, '--trusted', key.certificate)
    expect(ours).toMatchObject({ code: 0, report: { verdict: 'accepted' } })
  })

  it('with a secret that has expired', async () => {
    const key = newKey()
    const id = await storeUntil(key, new Date(Date.now() + 4000))
    const image = await imageWith(key, id)
    const gone = async (): Promise<number> => (await barbican('GET', `/v1/secrets/${id}`)).status
    await untilTrue(gone, (status) => status === 404)
    for (const args of [
      ['--profile', 'cursive'],
      ['--trusted', key.certificate],
    ]) {
      const { code, report } = await verify(image, ...args)
      expect(code).toBe(15)
      expect(report).toMatchObject({
        verdict: 'unchecked',
        error: { cause: { code: 'not-found' }, hint: expect.stringContaining('expired') },
      })
      expect(report.error?.message).toContain(id)
    }
  })
})

describe('sign --publish', () => {
  const inAnHour = async (key: OpensslKey): Promise<string> =>
    await storeUntil(key, new Date(Date.now() + 3_600_000))

  it.each([
    ['DER', storeDer],
    ['text/plain', storeText],
    ['a secret that expires', inAnHour],
  ] as const)('does not use %s again', async (_, storeAs) => {
    const key = newKey()
    const there = await storeAs(key)
    const args = ['--key', key.key, '--cert', key.certificate, '--publish']
    const publish = async (): Promise<PublishResult> =>
      await volsealJson<PublishResult>(testbed(), 'alice', ['sign', newImage(), ...args])
    const first = await publish()
    expect(first).toMatchObject({ ok: true, certificateReused: false })
    expect(first.certificateId).not.toBe(there)
    const again = { ok: true, certificateReused: true, certificateId: first.certificateId }
    expect(await publish()).toMatchObject(again)
  })

  it.each([
    ['DER', storeDer],
    ['text/plain', storeText],
  ] as const)('refuses %s as --cert-id', async (_, storeAs) => {
    const key = newKey()
    const image = newImage()
    const args = ['sign', image, '--key', key.key, '--cert-id', await storeAs(key), '--publish']
    expect((await volseal(testbed(), 'alice', args)).code).toBe(12)
    const name = image.slice(directory.length + 1)
    const glance = await openApi(testbed(), 'alice', 'glance')
    expect(await jsonOf(glance('GET', `/v2/images?name=${name}`))).toMatchObject({ images: [] })
  })
})
