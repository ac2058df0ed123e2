import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  readConnection,
  readEncryption,
  requireDevicePath,
} from '../../src/encryptor/attach/connection.js'
import { ownedLinkDevice, removeLink, swapLink } from '../../src/encryptor/attach/device-link.js'
import { encryptionOf, formatOf } from '../../src/encryptor/attach/encryption.js'
import { mappingName, mappingOf, possibleNames } from '../../src/encryptor/attach/mapping-name.js'
import { openPlainArgs } from '../../src/encryptor/attach/plain.js'
import { type Mapping, parseTable } from '../../src/encryptor/mapper.js'
import { createEncryptor, type SecretInfo } from '../../src/index.js'
import { scratchDirectory } from '../harness/run.js'

const NO_KEYS = {
  fetch: async (id: string): Promise<never> =>
    await Promise.reject(new Error(`nobody should ask for ${id satisfies SecretInfo['id']}`)),
  describe: async () => await Promise.reject(new Error('nobody may ask for a key here')),
}

describe('providers', () => {
  it.each([
    ['luks', 'luks'],
    ['luks2', 'luks2'],
    ['plain', 'plain'],
    ['nova.volume.encryptors.luks.LuksEncryptor', 'luks'],
    ['os_brick.encryptors.luks.LuksEncryptor', 'luks'],
    ['LuksEncryptor', 'luks'],
    ['nova.volume.encryptors.cryptsetup.CryptsetupEncryptor', 'plain'],
    ['os_brick.encryptors.cryptsetup.CryptsetupEncryptor', 'plain'],
    ['CryptsetupEncryptor', 'plain'],
    ['nova.volume.encryptors.nop.NoopEncryptor', 'none'],
    ['os_brick.encryptors.nop.NoopEncryptor', 'none'],
    ['NoOpEncryptor', 'none'],
  ])('%s is %s', (provider, format) => {
    expect(formatOf(provider)).toBe(format)
  })

  it.each(['LUKS', '', 'com.example.Encryptor', 'constructor', '__proto__', 'toString'])(
    '%j is refused, and never loaded',
    (provider) => {
      expect(() => formatOf(provider)).toThrow(/there is no encryption provider/)
    },
  )
})

describe('what cinder says', () => {
  const data = { device_path: '/dev/disk/by-id/os-brick+dev+vdb', volume_id: 'vol-1' }
  const formatFor = (connection: object, encryption: object) =>
    encryptionOf(readConnection({ data: connection }), readEncryption(encryption))

  it('an encrypted volume is encrypted, however its provider is called', () => {
    const metadata = { provider: 'LuksEncryptor', control_location: 'Front-End', key_size: '256' }
    expect(formatFor({ ...data, encrypted: true }, metadata)).toBe('luks')
    expect(formatFor(data, { provider: 'luks2' })).toBe('luks2')
    expect(readEncryption(metadata)).toMatchObject({ key_size: 256, cipher: undefined })
  })

  it.each([
    ['back-end', { provider: 'luks', control_location: 'back-end' }],
    ['elsewhere', { provider: 'luks', control_location: 'moon' }],
    ['without a provider', { encryption_key_id: 'id', control_location: 'front-end' }],
    ['by nothing', { provider: 'NoOpEncryptor', control_location: 'front-end' }],
    ['back-end, provider null', { provider: null, control_location: 'back-end' }],
  ])('encryption %s is an error, never the bare device', (_, metadata) => {
    expect(() => formatFor({ ...data, encrypted: true }, metadata)).toThrow(
      expect.objectContaining({ code: 'no-device' }),
    )
  })

  it.each([
    ['a key that was given', { data }, {}, { keyId: 'id' }],
    ['a first use', { data }, {}, { firstUse: { volumeId: 'vol-1', evidence: 'blank' } }],
    ['a cipher', { data }, { cipher: 'aes-xts-plain64', key_size: 256 }, {}],
    ['a control location', { data }, { control_location: 'back-end' }, {}],
    ['encrypted: 1', { data: { ...data, encrypted: 1 } }, {}, {}],
  ] as const)('%s alone is no reason to hand the bare device on', (_, info, metadata, options) => {
    expect(() => createEncryptor(info, metadata, NO_KEYS, options)).toThrow(/is to be encrypted/)
  })

  it.each([
    ['no data', { driver_volume_type: 'iscsi', encrypted: true }, {}],
    ['wrapped connection_info', { connection_info: { data } }, {}],
    ['wrapped encryption', { data }, { encryption: { provider: 'luks' } }],
    ['a relative path', { data: { device_path: 'vdb' } }, {}],
    ['a path with a newline', { data: { device_path: '/dev/x\nvolseal: hint: run' } }, {}],
  ])('%s is a usage error', (_, info, metadata) => {
    expect(() => createEncryptor(info, metadata, NO_KEYS)).toThrow(
      expect.objectContaining({ code: 'usage' }),
    )
  })

  it('a volume that is not encrypted is left as it is', async () => {
    const encryptor = createEncryptor({ data }, {}, NO_KEYS)
    const left = { encrypted: false, path: data.device_path }
    expect(await encryptor.attach()).toEqual(left)
    expect(await encryptor.extend()).toEqual(left)
    expect(await encryptor.detach()).toEqual(left)
  })

  it.each([
    ['rbd', /do_local_attach/],
    ['nfs', /qcow2/],
    ['iscsi', /names no device_path/],
    ['constructor', /names no device_path/],
  ])('a volume of %s without a device is refused with the reason', (type, reason) => {
    const info = { driver_volume_type: type, serial: 'vol-1', data: { device_path: null } }
    const read = () => requireDevicePath(readConnection(info))
    expect(read).toThrow(`Volume encryption is not supported for ${type} volume vol-1`)
    expect(read).toThrow(reason)
    // A file handle, as rbd's connector gives it.
    const handle = readConnection({ data: { device_path: {} } })
    expect(() => requireDevicePath(handle)).toThrow('Volume encryption is not supported')
  })

  it.each([null, [], 'x', { data: [] }, { data: { volume_id: 1 } }])(
    '%j is a usage error',
    (value) => {
      expect(() => readConnection(value)).toThrow(expect.objectContaining({ code: 'usage' }))
    },
  )
})

describe('names', () => {
  it('are those of os-brick, and of os-brick before 2016', () => {
    const path = '/dev/disk/by-id/os-brick+dev+vdb'
    expect(mappingName(path)).toBe('crypt-os-brick+dev+vdb')
    expect(possibleNames({ path, multipathId: '36001' })).toEqual([
      'crypt-os-brick+dev+vdb',
      'os-brick+dev+vdb',
      '36001',
    ])
  })

  it.each(['/dev/a b', `/dev/${'x'.repeat(130)}`, '/dev/ü', '/'])('%j gives none', (path) => {
    expect(() => mappingName(path)).toThrow(expect.objectContaining({ code: 'usage' }))
  })

  it('a multipath device is not taken for an encrypted one of old', () => {
    const mapping = (name: string, uuid: string): Mapping => ({
      name,
      uuid,
      kernelName: 'dm-0',
      number: '253:0',
      size: 1,
      suspended: false,
      slaves: [],
      holders: [],
    })
    const names = { path: '/dev/mapper/mpatha', multipathId: '36001' }
    expect(mappingOf(names, [mapping('mpatha', 'mpath-36001')])).toBeUndefined()
    const old = mapping('36001', 'CRYPT-LUKS1-1-36001')
    expect(mappingOf(names, [mapping('mpatha', 'mpath-36001'), old])).toBe(old)
  })
})

describe('links', () => {
  const directory = scratchDirectory()
  const link = join(directory, 'volume')

  it('are made and swapped in one step, and nothing else is left', async () => {
    await swapLink(link, '/dev/vdb')
    await swapLink(link, '/dev/mapper/crypt-volume')
    expect(readlinkSync(link)).toBe('/dev/mapper/crypt-volume')
    expect(readdirSync(directory)).toEqual(['volume'])
  })

  it('are removed only when they lead where they should', async () => {
    expect(await removeLink(link, '/dev/vdb')).toBe(false)
    expect(await removeLink(link, '/dev/mapper/crypt-volume')).toBe(true)
    expect(readdirSync(directory)).toEqual([])
  })

  it('never take the place of anything else', async () => {
    const file = join(directory, 'file')
    writeFileSync(file, 'node')
    mkdirSync(join(directory, 'directory'))
    for (const name of ['file', 'directory']) {
      await expect(swapLink(join(directory, name), '/dev/vdb')).rejects.toMatchObject({
        code: 'no-device',
      })
    }
    expect(lstatSync(file).isFile()).toBe(true)
    const away = swapLink(join(directory, 'nowhere', 'link'), '/dev/vdb')
    await expect(away).rejects.toMatchObject({ code: 'not-found' })
  })

  it("of os-brick's connectors say which device they were made for", () => {
    expect(ownedLinkDevice('/dev/disk/by-id/os-brick+dev+nvme0n1')).toBe('/dev/nvme0n1')
    expect(ownedLinkDevice('/dev/disk/by-id/virtio-os-brick+dev')).toBeUndefined()
    symlinkSync('/dev/vdb', join(directory, 'os-brick+dev+vdb'))
    expect(ownedLinkDevice(join(directory, 'os-brick+dev+vdb'))).toBeUndefined()
  })
})

it('reads the tables of dm-crypt, and of nothing else', () => {
  const key = ':64:logon:cryptsetup:7c1-d0'
  expect(
    parseTable(`0 65536 crypt aes-xts-plain64 ${key} 0 254:16 32768 1 allow_discards`),
  ).toEqual({
    cipher: 'aes-xts-plain64',
    device: '254:16',
    offset: 32_768 * 512,
    length: 65_536 * 512,
    options: ['allow_discards'],
  })
  expect(parseTable('0 65536 linear 254:16 0')).toBeUndefined()
  expect(parseTable('0 65536 crypt')).toBeUndefined()
})

it('plain dm-crypt is always told all that its defaults once were', () => {
  const settings = { cipher: 'aes-cbc-essiv:sha256', keySize: 256, hash: 'ripemd160' }
  expect(openPlainArgs('/dev/vdb', 'crypt-vdb', settings, {}).join(' ')).toBe(
    'open --type plain --key-file=- --cipher aes-cbc-essiv:sha256 --key-size 256 --hash ripemd160 /dev/vdb crypt-vdb',
  )
})
