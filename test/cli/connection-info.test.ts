import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { expectSuccess, leftovers, makeScene, onlyJson, type Scene, shell } from './scene.js'

const LONG = { timeout: 120_000 }
const VOLUME = 'a2c1f0de-7b3c-4e3a-8f58-0d8d3e1f6a11'
const DEVICE = '/dev/disk/by-id/os-brick+dev+vdb'

/** What cinder answers for an attachment, with all that volseal has no use for. */
function connection(type: string, data: Record<string, unknown>): Record<string, unknown> {
  return {
    driver_volume_type: type,
    data: {
      target_discovered: false,
      qos_specs: null,
      access_mode: 'rw',
      encrypted: true,
      cacheable: false,
      volume_id: VOLUME,
      auth_password: 'never-to-be-seen',
      ...data,
    },
    serial: VOLUME,
  }
}

const ISCSI = connection('iscsi', { target_lun: 1, device_path: DEVICE })
const RBD = connection('rbd', { name: `volumes/volume-${VOLUME}`, hosts: ['::1'], ports: ['6789'] })
const NFS = connection('nfs', { export: '10.0.0.1:/srv', name: `volume-${VOLUME}`, format: 'raw' })

const KEY_ID = '3d0c7b0a-16a4-4a7e-a5c8-6a83d4c6f1e2'
const LUKS = {
  encryption_key_id: KEY_ID,
  provider: 'luks',
  control_location: 'front-end',
  cipher: 'aes-xts-plain64',
  key_size: 256,
}

/** Connection, encryption, and what the refusal says of them. */
const REFUSED: readonly (readonly [string, object, object, RegExp])[] = [
  [
    'a back-end control location',
    ISCSI,
    { ...LUKS, control_location: 'back-end' },
    /to be encrypted .* but control_location is "back-end"/,
  ],
  [
    'an unknown provider',
    ISCSI,
    { ...LUKS, provider: 'com.example.Encryptor' },
    /^there is no encryption provider "com\.example\.Encryptor": expected luks, luks2, plain$/,
  ],
  [
    'a provider that encrypts nothing',
    ISCSI,
    { ...LUKS, provider: 'NoOpEncryptor' },
    /to be encrypted .* but the provider NoOpEncryptor encrypts nothing/,
  ],
  ['no encryption at all', ISCSI, {}, /\(connection_info says so\), but no provider is named/],
  ['RBD', RBD, LUKS, /not supported for rbd volume .*QEMU decrypt it instead/],
  [
    'RBD with a file handle as its path',
    connection('rbd', { device_path: {} }),
    LUKS,
    /not supported for rbd volume .*no block device unless do_local_attach/,
  ],
  [
    'NFS',
    NFS,
    LUKS,
    /not supported for nfs volume .*a file, which cinder encrypts inside of qcow2/,
  ],
  [
    'iSCSI without a path',
    connection('iscsi', { target_lun: 1 }),
    LUKS,
    /not supported for iscsi volume .*names no device_path/,
  ],
]

let scene: Scene
beforeAll(async () => {
  scene = makeScene()
  await expectSuccess(shell(scene, 'volseal secret create'))
}, LONG.timeout)

async function answer(verb: string, info: object, encryption?: object): Promise<object> {
  writeFileSync(join(scene.work, 'connection.json'), JSON.stringify(info))
  const given = encryption === undefined ? '' : '--encryption encryption.json'
  writeFileSync(join(scene.work, 'encryption.json'), JSON.stringify(encryption ?? {}))
  const line = `volseal ${verb} --connection-info connection.json ${given} --json`
  const ended = await shell(scene, line)
  expect(ended.stdout + ended.stderr).not.toContain('never-to-be-seen')
  expect(leftovers(scene)).toEqual([])
  return { code: ended.code, ...onlyJson(ended) }
}

describe.each(['attach', 'extend'])('%s of an encrypted volume', (verb) => {
  it.each(REFUSED)('is refused for %s', LONG, async (_, info, encryption, reason) => {
    expect(await answer(verb, info, encryption)).toMatchObject({
      code: 23,
      ok: false,
      error: { code: 'no-device', message: expect.stringMatching(reason) },
    })
  })

  it('that is not to be encrypted hands the path on as it is', LONG, async () => {
    const info = connection('iscsi', { device_path: DEVICE, encrypted: false })
    const bare = { code: 0, encrypted: false, path: DEVICE }
    expect(await answer(verb, info, {})).toMatchObject(bare)
    expect(await answer(verb, info, { provider: 'NoOpEncryptor' })).toMatchObject(bare)
  })
})

it.each([
  ['RBD', RBD],
  ['NFS', NFS],
])('detach of an encrypted volume is refused for %s', LONG, async (_, info) => {
  const message = expect.stringContaining('Volume encryption is not supported')
  expect(await answer('detach', info)).toMatchObject({ code: 23, error: { message } })
})
