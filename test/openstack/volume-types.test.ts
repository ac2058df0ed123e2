import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type OpenCloud, openCloud } from '../../src/face/cloud.js'
import {
  type BackEndVerdict,
  checkVolumeType,
  type SpecCheck,
  SpecRefused,
  showVolumeType,
  type TypeEncryption,
} from '../../src/index.js'
import { type CinderResource, untilTrue, volumeFile } from '../harness/cinder.js'
import { openstack, tryOpenstack } from '../harness/openstack.js'
import { type Api, jsonOf, openApi } from '../harness/openstack-api.js'
import { outputOf, runProgram } from '../harness/program.js'
import { CLI } from '../harness/run.js'
import { sharedTestbed } from '../harness/testbed.js'

const testbed = sharedTestbed()
const LONG_MS = 180_000
const PYTHON = '/usr/bin/python3'

let cloud: OpenCloud
let cinder: Api
let adminsCinder: Api

beforeAll(async () => {
  cloud = await cloudOf('admin')
  adminsCinder = await openApi(testbed(), 'admin', 'cinder')
  cinder = await openApi(testbed(), 'alice', 'cinder')
})

const opened: OpenCloud[] = []
afterAll(async () => {
  await Promise.all(opened.map(async (one) => await one.close()))
})

async function cloudOf(user: string): Promise<OpenCloud> {
  const env = { OS_CLIENT_CONFIG_FILE: testbed().clouds }
  const made = await openCloud({ cloud: user, env })
  opened.push(made)
  return made
}

let types = 0

/** A volume type; a cipher or key size that is null is left out. */
async function makeType({
  provider,
  cipher,
  keySize: key_size,
  controlLocation: control_location,
}: TypeEncryption): Promise<string> {
  const name = newName()
  const making = adminsCinder('POST', '/types', { json: { volume_type: { name } } })
  const { volume_type: type } = await jsonOf<{ volume_type: { id: string } }>(making)
  const given = Object.entries({ provider, cipher, key_size, control_location })
  const encryption = Object.fromEntries(given.filter(([, value]) => value !== null))
  await jsonOf(adminsCinder('POST', `/types/${type.id}/encryption`, { json: { encryption } }))
  return name
}

function newName(): string {
  types += 1
  return `spec ${process.pid} ${types}`
}

/** The same as operators make one. */
async function makeTypeByCommand(
  { provider, cipher, keySize, controlLocation }: TypeEncryption,
  ...more: readonly string[]
): Promise<string> {
  const name = newName()
  await openstack(testbed(), 'admin', [
    'volume',
    'type',
    'create',
    '--encryption-provider',
    provider,
    ...(cipher === null ? [] : ['--encryption-cipher', cipher]),
    ...(keySize === null ? [] : ['--encryption-key-size', String(keySize)]),
    '--encryption-control-location',
    controlLocation,
    ...more,
    name,
  ])
  return name
}

function spec(changes: Partial<TypeEncryption> = {}): TypeEncryption {
  return {
    provider: 'luks',
    cipher: 'aes-xts-plain64',
    keySize: 256,
    controlLocation: 'front-end',
    ...changes,
  }
}

async function check(name: string, secretStore?: 'simple_crypto'): Promise<SpecCheck> {
  try {
    return await checkVolumeType(cloud.cinder, name, { backEnds: ['nfs'], secretStore })
  } catch (error) {
    if (error instanceof SpecRefused) return error.report
    throw error
  }
}

interface Made {
  readonly status: string
  /** What cinder says to the user or to its log. */
  readonly said: string
  /** Bits of the volume key of its file. */
  readonly bits: number | undefined
}

/** A volume of that type, as cinder makes it on its NFS back end. */
async function makeVolume(type: string): Promise<Made> {
  const log = testbed().services.cinder?.log ?? ''
  const before = readFileSync(log, 'utf8').length
  const answer = await cinder('POST', '/volumes', {
    json: { volume: { size: 1, volume_type: type } },
  })
  if (answer.status >= 300) return { status: 'refused', said: answer.text, bits: undefined }
  const { volume }: { volume: CinderResource } = JSON.parse(answer.text)
  const show = async (): Promise<CinderResource> =>
    (await jsonOf<{ volume: CinderResource }>(cinder('GET', `/volumes/${volume.id}`))).volume
  const { status } = await untilTrue(show, (one) => !one.status.endsWith('ing'))
  const bits = status === 'available' ? await keyBits(volume.id) : undefined
  await cinder('DELETE', `/volumes/${volume.id}`)
  return { status, said: readFileSync(log, 'utf8').slice(before), bits }
}

/** As qemu describes the LUKS header in a qcow2 file; XTS takes two keys. */
async function keyBits(id: string): Promise<number> {
  const info = await outputOf('qemu-img', ['info', '--output=json', volumeFile(testbed(), id)])
  const { encrypt }: { encrypt: Record<string, string> } = JSON.parse(info)['format-specific'].data
  const bits = Number(encrypt['cipher-alg']?.split('-')[1])
  return encrypt['cipher-mode'] === 'xts' ? bits * 2 : bits
}

function failure({ findings }: BackEndVerdict): string {
  return findings.find(({ effect }) => effect === 'fails')?.message ?? ''
}

const SPECS: readonly Partial<TypeEncryption>[] = [
  {},
  { keySize: 128 },
  { keySize: 192 },
  { keySize: 64 },
  { keySize: 512 },
  { keySize: null },
  { keySize: 0 },
  { cipher: null },
  { cipher: 'aes-xts' },
  { cipher: 'aes-cbc-plain64' },
  { cipher: 'aes-cbc-essiv:sha256' },
  { cipher: 'aes-gcm-random' },
  { cipher: 'serpent-xts-plain64' },
  { provider: 'nova.volume.encryptors.luks.LuksEncryptor' },
  { provider: 'luks2' },
  { provider: 'os_brick.encryptors.luks.Luks2Encryptor' },
  { provider: 'CryptsetupEncryptor' },
  { provider: 'nova.volume.encryptors.nop.NoopEncryptor' },
  { provider: 'frobnicate' },
  { controlLocation: 'back-end' },
]

describe('what a volume type gives', () => {
  it.each(SPECS)('is what cinder makes of it: %j', { timeout: LONG_MS }, async (changes) => {
    const name = await makeType(spec(changes))
    const { spec: read, backEnds } = await check(name, 'simple_crypto')
    expect(read).toEqual(spec(changes))
    const [verdict] = backEnds
    if (verdict === undefined) throw new Error('no verdict')
    const made = await makeVolume(name)
    if (verdict.outcome === 'encrypted') {
      expect(made).toMatchObject({ status: 'available', bits: verdict.volumeKeyBits })
      return
    }
    expect(['error', 'refused']).toContain(made.status)
    expect(made.said).toContain(/"(.*)"/.exec(failure(verdict))?.[1] ?? 'Assertion')
  })

  const ATTACHED: readonly Partial<TypeEncryption>[] = [
    ...SPECS.filter(({ provider, controlLocation }) => provider ?? controlLocation),
    { controlLocation: 'FRONT-END' },
    { provider: 'plain', controlLocation: 'back-end' },
  ]

  /** What os-brick takes for a block device, by the spec as JSON: a class, or the error. */
  let osBrickTakes: Readonly<Record<string, string>>
  beforeAll(async () => {
    const script = `
import json, sys
from os_brick import encryptors
info = {'driver_volume_type': 'iscsi', 'data': {'device_path': '/dev/none', 'volume_id': 'x'}}
def taken(spec):
    try:
        return type(encryptors.get_volume_encryptor('', info, None, **spec)).__name__
    except Exception as error:
        return repr(error)
print(json.dumps({name: taken(spec) for name, spec in json.load(sys.stdin).items()}))`
    const asked = ATTACHED.map((changes) => {
      const { provider, cipher, keySize, controlLocation } = spec(changes)
      const given = { provider, cipher, key_size: keySize, control_location: controlLocation }
      return [JSON.stringify(changes), given]
    })
    const input = JSON.stringify(Object.fromEntries(asked))
    osBrickTakes = JSON.parse(await outputOf(PYTHON, ['-c', script], { input }))
  })

  const CLASSES = { luks1: 'LuksEncryptor', luks2: 'Luks2Encryptor', plain: 'CryptsetupEncryptor' }

  it.each(ATTACHED)('is what os-brick takes for a block device: %j', async (changes) => {
    const { checkEncryptionSpec } = await import('../../src/index.js')
    const verdict = ((): BackEndVerdict | undefined => {
      try {
        return checkEncryptionSpec(spec(changes), { backEnds: ['block'] }).backEnds[0]
      } catch (error) {
        if (error instanceof SpecRefused) return error.report.backEnds[0]
        throw error
      }
    })()
    const taken = osBrickTakes[JSON.stringify(changes)]
    if (verdict?.outcome === 'encrypted') expect(taken).toBe(CLASSES[verdict.format ?? 'luks1'])
    else if (verdict?.outcome === 'clear') expect(taken).toBe('NoOpEncryptor')
    else expect(taken).toContain('Error')
  })

  it('is known of secret stores by their own code', async () => {
    const script = `
from barbican.plugin.crypto import base, p11_crypto, simple_crypto
from barbican.plugin import vault_secret_store
kind = base.PluginSupportTypes.SYMMETRIC_KEY_GENERATION
simple = simple_crypto.SimpleCryptoPlugin.__new__(simple_crypto.SimpleCryptoPlugin)
print([simple.supports(kind, 'aes', bits) for bits in (64, 128, 192, 256, 384, 512)])
print(simple.supports(kind, 'serpent', 256))
print(p11_crypto.P11CryptoPlugin.supports(None, kind, 'serpent', 512))
print(vault_secret_store.VaultSecretStore.generate_supports(None, None))`
    expect(await outputOf(PYTHON, ['-c', script])).toBe(
      '[True, True, True, True, False, False]\nFalse\nTrue\nTrue\n',
    )
  })
})

describe('the commands that are recommended', () => {
  it('set a type better that no volume has, and make another one for a type in use', {
    timeout: LONG_MS,
  }, async () => {
    const name = await makeTypeByCommand(spec({ keySize: 128 }), '--property', "mark=it's one")
    const { inUse, recommended } = await check(name)
    expect(inUse).toBe(false)
    expect(recommended[0]?.commands[0]).toMatch(/^openstack volume type set /)
    const made = cinder('POST', '/volumes', { json: { volume: { size: 1, volume_type: name } } })
    const { volume } = await jsonOf<{ volume: CinderResource }>(made)
    const used = await check(name)
    expect(used.inUse).toBe(true)
    // cinder refuses the one, of which the client says nothing, and takes the other.
    await sh(recommended[0]?.commands[0] ?? '')
    expect((await check(name)).spec.keySize).toBe(128)
    await sh(used.recommended[0]?.commands[0] ?? '')
    const better = await check(`${name}-nfs-256`)
    expect(better).toMatchObject({
      recommended: [],
      type: { extraSpecs: { mark: "it's one" } },
      backEnds: [{ outcome: 'encrypted', effectiveCipher: 'AES-256-XTS' }],
    })
    await cinder('DELETE', `/volumes/${volume.id}`)
    const gone = async (): Promise<boolean> => (await check(name)).inUse === false
    await untilTrue(gone, (isGone) => isGone)
    await sh((await check(name)).recommended[0]?.commands[0] ?? '')
    expect((await check(name)).recommended).toEqual([])
  })

  async function sh(command: string): Promise<string> {
    const env = { OS_CLIENT_CONFIG_FILE: testbed().clouds, OS_CLOUD: 'admin' }
    return await outputOf('sh', ['-c', command], { env })
  }

  it('make the same type again', { timeout: LONG_MS }, async () => {
    const project = testbed().projects['demo'] ?? ''
    const name = await makeTypeByCommand(
      spec({ provider: 'LuksEncryptor', keySize: 192 }),
      '--private',
      '--project',
      project,
      '--description',
      '$(it) "is" \\',
      '--property',
      'a=b c',
    )
    const shown = await showVolumeType(cloud.cinder, name)
    expect(shown).toMatchObject({ type: { isPublic: false }, projects: [project] })
    await openstackDelete(name)
    for (const command of shown.commands) await sh(command)
    const again = await showVolumeType(cloud.cinder, name)
    expect({ ...again, type: { ...again.type, id: shown.type.id } }).toEqual(shown)
  })

  async function openstackDelete(name: string): Promise<void> {
    expect((await tryOpenstack(testbed(), 'admin', ['volume', 'type', 'delete', name])).code).toBe(
      0,
    )
  }
})

describe('a type that cannot be checked', () => {
  it('is one without encryption', async () => {
    await expect(check('__DEFAULT__')).rejects.toMatchObject({ code: 'no-device' })
  })

  it('is one that is not there', async () => {
    await expect(check('nothing of that name')).rejects.toMatchObject({ code: 'not-found' })
  })

  it('is any for who is no administrator', async () => {
    const { cinder: hers } = await cloudOf('alice')
    await expect(checkVolumeType(hers, '__DEFAULT__')).rejects.toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining('alice'),
      http: { status: 403 },
    })
  })
})

describe('the command', () => {
  async function volseal(...args: readonly string[]): ReturnType<typeof runProgram> {
    const env = { OS_CLIENT_CONFIG_FILE: testbed().clouds }
    return await runProgram(process.execPath, [CLI, 'volume-type', ...args], { env })
  }

  it('shows, checks and prints commands', { timeout: LONG_MS }, async () => {
    const name = await makeType(spec({ keySize: 512 }))
    const shown = await volseal('show', name, '--as-commands', '--os-cloud', 'admin')
    expect(shown).toMatchObject({
      code: 0,
      stdout: `openstack volume type create --encryption-provider luks --encryption-cipher aes-xts-plain64 --encryption-key-size 512 --encryption-control-location front-end '${name}'\n`,
    })
    const json = await volseal('show', name, '--json', '--os-cloud', 'admin')
    expect(JSON.parse(json.stdout)).toMatchObject({
      schema: 'volseal/volume-type-show/1',
      ok: true,
      spec: { keySize: 512 },
    })
    const onNfs = await volseal('check', name, '--back-end', 'nfs', '--os-cloud', 'admin')
    expect(onNfs.code).toBe(23)
    expect(onNfs.stdout).toContain("does not accept value 'aes-512'")
    const onBlock = await volseal('check', name, '--back-end', 'block', '--os-cloud', 'admin')
    expect(onBlock).toMatchObject({ code: 0, stderr: '' })
    expect(onBlock.stdout).toContain('AES-256-XTS')
  })
})
