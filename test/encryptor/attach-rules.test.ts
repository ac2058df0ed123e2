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
import { openLuksArgs } from '../../src/encryptor/attach/open-mapping.js'
import { openPlainArgs, plainSettings } from '../../src/encryptor/attach/plain.js'
import { type Mapping, parseTable } from '../../src/encryptor/mapper.js'
import { attachRequestOf, type EncryptorOptions, volumeOf } from '../../src/face/attach.js'
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

describe('what an attach tells cryptsetup', () => {
  /** The arguments for a volume that cinder names, without the ones that all have. */
  function argsFor(data: object, encryption: object, options: EncryptorOptions = {}): string {
    const device_path = '/dev/disk/by-id/os-brick+dev+vdb'
    const connection = readConnection({ data: { device_path, encrypted: true, ...data } })
    const metadata = { control_location: 'front-end', ...encryption }
    const volume = volumeOf(connection, metadata, NO_KEYS, options)
    if (volume === undefined) throw new Error('expected an encrypted volume')
    expect(volume).toMatchObject({ device: device_path, link: device_path })
    const { activation = {}, ...request } = attachRequestOf(volume)
    const [from, to] = ['/dev/vdb', mappingName(request.path)]
    const args =
      request.format === 'plain'
        ? openPlainArgs(from, to, plainSettings(request), activation)
        : openLuksArgs(from, to, { version: request.format === 'luks' ? 1 : 2 }, activation)
    expect([args[0], ...args.slice(-2)]).toEqual(['open', from, 'crypt-os-brick+dev+vdb'])
    return args.slice(1, -2).join(' ')
  }

  const LUKS1 = '--type luks1 --key-file=-'
  const LUKS2 = '--type luks2 --key-file=-'
  const luks1 = { provider: 'luks' }
  const luks2 = { provider: 'luks2' }

  it.each<[unknown, boolean]>([
    [true, true],
    ['true', true],
    ['True', true],
    [1, true],
    [false, false],
    ['false', false],
    ['False', false],
    [0, false],
    [null, false],
    ['', false],
    [undefined, false],
  ])('discard of connection_info: %j', (discard, isAllowed) => {
    const more = isAllowed ? ' --allow-discards' : ''
    expect(argsFor({ discard }, luks1)).toBe(`${LUKS1}${more}`)
    expect(argsFor({ discard }, luks2)).toBe(`${LUKS2}${more}`)
  })

  const QUEUES = '--perf-no_read_workqueue --perf-no_write_workqueue'

  it.each<[object, EncryptorOptions, string]>([
    [{ discard: true }, { discard: false }, LUKS2],
    [{ discard: false }, { discard: true }, `${LUKS2} --allow-discards`],
    [{}, { noReadWorkqueue: true }, `${LUKS2} --perf-no_read_workqueue`],
    [{}, { noWriteWorkqueue: true }, `${LUKS2} --perf-no_write_workqueue`],
    [
      { discard: true },
      { noReadWorkqueue: true, noWriteWorkqueue: true },
      `${LUKS2} --allow-discards ${QUEUES}`,
    ],
    [{ discard: true }, { noReadWorkqueue: false }, `${LUKS2} --allow-discards`],
  ])('the caller has the last word: %j and %j', (data, options, expected) => {
    expect(argsFor(data, luks2, options)).toBe(expected)
  })

  const PLAIN = '--type plain --key-file=-'
  const OLD = '--cipher aes-cbc-essiv:sha256 --key-size 256 --hash ripemd160'
  const xts = { cipher: 'aes-xts-plain64', key_size: 512 }

  it.each<[string, object, object, EncryptorOptions, string]>([
    ['nothing else', {}, {}, {}, OLD],
    [
      'its cipher and key size',
      {},
      xts,
      {},
      '--cipher aes-xts-plain64 --key-size 512 --hash ripemd160',
    ],
    ['nulls', { discard: null }, { cipher: null, key_size: null }, {}, OLD],
    [
      'a hash of the caller',
      {},
      {},
      { plain: { hash: 'sha256' } },
      OLD.replace('ripemd160', 'sha256'),
    ],
    ['discard', { discard: true }, {}, {}, `${OLD} --allow-discards`],
    ['work queues', {}, {}, { noReadWorkqueue: true, noWriteWorkqueue: true }, `${OLD} ${QUEUES}`],
  ])('plain dm-crypt with %s', (_, data, metadata, options, expected) => {
    expect(argsFor(data, { provider: 'plain', ...metadata }, options)).toBe(`${PLAIN} ${expected}`)
  })

  it('cipher and key size of LUKS are compared with its header, not told to cryptsetup', () => {
    expect(argsFor({}, { ...luks2, ...xts })).toBe(LUKS2)
    const connection = readConnection({ data: { device_path: '/dev/vdb', encrypted: true } })
    const volume = volumeOf(connection, { ...luks2, ...xts }, NO_KEYS)
    const expected = { cipher: xts.cipher, keySize: xts.key_size }
    expect(volume && attachRequestOf(volume).expected).toEqual(expected)
  })
})
