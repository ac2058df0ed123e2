import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { keyIdOf, makeEncryptedType, makeResource } from '../harness/cinder.js'
import { askCastellan } from '../harness/openstack.js'
import { openApi } from '../harness/openstack-api.js'
import { type Ended, runProgram } from '../harness/program.js'
import { CLI, scratchDirectory } from '../harness/run.js'
import { sharedTestbed } from '../harness/testbed.js'

/** The commands as their user runs them, with Barbican as the key manager. */

const testbed = sharedTestbed()
const scratch = scratchDirectory()
const path = (name: string): string => join(scratch, name)

async function volseal(...args: readonly string[]): Promise<Ended> {
  return await volsealAs('alice', ...args)
}

async function volsealAs(user: string, ...args: readonly string[]): Promise<Ended> {
  const env = { OS_CLOUD: user, OS_CLIENT_CONFIG_FILE: testbed().clouds, HOME: scratch }
  return await runProgram(process.execPath, [CLI, ...args], { env })
}

async function outputOf(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await volseal(...args)
  if (code !== 0) throw new Error(stderr)
  return stdout.trim()
}

beforeAll(async () => {
  await outputOf('keypair', 'create', '--type', 'RSA-PSS', '--out', path('key.pem'))
  const subject = ['--subject', 'CN=signer']
  await outputOf('cert', 'create', '--key', path('key.pem'), ...subject, '--out', path('cert.pem'))
  writeFileSync(path('image'), 'an image')
}, 60_000)

describe('secret', () => {
  it('put, show, get, list and delete work in Barbican', async () => {
    writeFileSync(path('passphrase'), 'sesame')
    const put = ['secret', 'put', path('passphrase'), '--type', 'passphrase', '--name', 'door']
    const id = await outputOf(...put, '--metadata', 'use=test')
    expect(await askCastellan(testbed(), 'carol', { do: 'get', id })).toEqual({
      ok: true,
      type: 'passphrase',
      payload: Buffer.from('sesame').toString('base64'),
    })
    expect(await outputOf('secret', 'get', id)).toBe('sesame')
    expect(await outputOf('secret', 'show', id)).toMatch(/metadata use +test$/m)
    expect(await outputOf('secret', 'list', '--name', 'door')).toContain(id)
    await outputOf('secret', 'delete', id)
    const gone = await volseal('secret', 'get', id, '--json')
    expect(gone.code).toBe(31)
    expect(JSON.parse(gone.stdout)).toMatchObject({
      ok: false,
      error: { code: 'not-found', http: { service: 'barbican', status: 404 } },
    })
  })

  it('create without the role says which', async () => {
    const { code, stdout, stderr } = await volsealAs('bob', 'secret', 'create')
    expect({ code, stdout }).toEqual({ code: 30, stdout: '' })
    expect(stderr).toMatch(/403 Forbidden.*\nvolseal: hint: .*openstack role add --user/)
  })
})

describe('images', () => {
  it('are signed and verified with a certificate in Barbican', async () => {
    const id = await outputOf('secret', 'put', path('cert.pem'), '--type', 'certificate')
    await outputOf('sign', path('image'), '--key', path('key.pem'), '--cert-id', id)
    const verify = ['verify', path('image'), '--properties', path('image.signature.json')]
    expect(await outputOf(...verify, '--cert-id', id)).toContain('accepted')
    expect(await outputOf(...verify, '--trusted', id)).toContain('accepted')
    const stranger = await volsealAs('dave', ...verify, '--cert-id', id)
    expect(stranger.code).toBe(15)
    expect(stranger.stderr).toContain('openstack acl user add')
  })
})

describe('volumes', () => {
  it('are formatted and opened with a key in Barbican', async () => {
    const id = await outputOf('secret', 'create', '--bits', '256')
    writeFileSync(path('volume'), Buffer.alloc(32 * 1024 * 1024))
    const format = ['luks', 'format', path('volume'), '--provider', 'luks2', '--key-id', id]
    // Barbican has drawn it, and that is known.
    expect(await outputOf(...format)).toContain('pbkdf2-sha256, 1000 iterations')
    expect(await outputOf('luks', 'check', path('volume'), '--key-id', id)).toContain('opens')
    await outputOf('luks', 'rekey', path('volume'), '--key-id', id, '--commit', '/bin/true')
    expect((await volseal('luks', 'check', path('volume'), '--key-id', id)).code).toBe(20)
  })
})

describe("a volume that is cinder's", () => {
  it('gets no other key, because cinder could not be told', async () => {
    const cinder = await openApi(testbed(), 'alice', 'cinder')
    const type = await makeEncryptedType(testbed())
    const volume = await makeResource(cinder, 'volume', { size: 1, volume_type: type })
    const keyId = await keyIdOf(testbed(), 'volume', volume)
    writeFileSync(path('cinders'), Buffer.alloc(32 * 1024 * 1024))
    const format = ['luks', 'format', path('cinders'), '--provider', 'luks2', '--key-id', keyId]
    await outputOf(...format, '--key-is-random')
    const before = readFileSync(path('cinders'))
    const rekey = ['luks', 'rekey', path('cinders'), '--key-id', keyId, '--key-is-random']
    const refused = await volseal(...rekey)
    expect(refused).toMatchObject({ code: 22, stderr: expect.stringContaining(volume) })
    expect(readFileSync(path('cinders')).equals(before)).toBe(true)
    await outputOf(...rekey, '--commit', '/bin/true')
  })
})

describe('which key manager it is', () => {
  const list = async (...args: readonly string[]): Promise<number | null> =>
    (await volseal('secret', 'list', ...args)).code

  it('says the option, or the cloud that is named', async () => {
    expect(await list()).toBe(0)
    expect(await list('--os-cloud', 'carol')).toBe(0)
    expect(await list('--os-cloud', 'nobody')).toBe(31)
    // There is no store in this home.
    expect(await list('--key-manager', 'local')).toBe(31)
    expect(await list('--key-store', path('store'))).toBe(31)
    expect(await list('--key-store', path('store'), '--os-cloud', 'alice')).toBe(2)
    expect(await list('--key-store', path('store'), '--key-manager', 'barbican')).toBe(2)
  })
})
