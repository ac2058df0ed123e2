import { beforeAll, describe, expect, test } from 'vitest'
import { bigEndian, cut, type Edit, edited, testRefusals } from './edits.js'
import { codes, inspectBytes, madeImage, scratchDirectory } from './images.js'

const { u8, u32, u64 } = bigEndian

let plain: Buffer
let zstd: Buffer
let encrypted: Buffer
beforeAll(async () => {
  const directory = await scratchDirectory()
  plain = await madeImage(directory, '-f', 'qcow2', 'made.plain', '100M')
  zstd = await madeImage(directory, '-f', 'qcow2', '-o', 'compression_type=zstd', 'made.z', '1M')
  const options = 'encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10'
  const secret = ['--object', 'secret,id=key,data=key']
  encrypted = await madeImage(directory, ...secret, '-f', 'qcow2', '-o', options, 'made.e', '1M')
})

/** Puts one header extension before those that are there. */
function extension(type: number, data: string): Edit {
  return (bytes) => {
    const padded = Buffer.alloc(8 + Math.ceil(data.length / 8) * 8)
    padded.writeUInt32BE(type, 0)
    padded.writeUInt32BE(data.length, 4)
    padded.write(data, 8)
    const start = bytes.readUInt32BE(100)
    bytes.copy(bytes, start + padded.length, start, 60000)
    padded.copy(bytes, start)
  }
}

describe('header', () => {
  testRefusals(
    () => plain,
    [
      {
        name: 'a version that is not known',
        refused: u32(4, 4),
        code: 'unsupported-version',
        accepted: u32(4, 3),
      },
      {
        name: 'a backing file',
        refused: u64(8, 0x2000n),
        code: 'backing-file',
        accepted: u32(16, 5),
      },
      {
        name: 'a backing file far outside',
        refused: u64(8, 2n ** 64n - 1n),
        code: 'backing-file',
      },
      { name: 'clusters too small', refused: u32(20, 8), code: 'damaged-header' },
      { name: 'clusters too large', refused: u32(20, 22), code: 'damaged-header' },
      { name: 'clusters absurd', refused: u32(20, 0xffffffff), code: 'damaged-header' },
      {
        name: 'a virtual size beyond 2^63',
        refused: u64(24, 2n ** 63n + 512n),
        code: 'virtual-size',
        accepted: u64(24, 2n ** 29n),
      },
      {
        name: 'a virtual size beyond the L1 table',
        refused: u64(24, 2n ** 29n + 1n),
        code: 'damaged-header',
        accepted: u64(24, 2n ** 29n),
      },
      {
        name: 'an encryption method that is not known',
        refused: u32(32, 3),
        code: 'unknown-features',
        accepted: u32(32, 1),
      },
      { name: 'encryption without its header', refused: u32(32, 2), code: 'damaged-header' },
      { name: 'an L1 table over 32 MiB', refused: u32(36, 0x400001), code: 'damaged-header' },
      {
        name: 'an L1 table outside',
        refused: u64(40, 0x100000n),
        code: 'truncated',
        accepted: u64(40, 0x20000n),
      },
      {
        name: 'an L1 table outside 2^63',
        refused: u64(40, 2n ** 64n - 65536n),
        code: 'truncated',
      },
      { name: 'an L1 table that is not aligned', refused: u64(40, 512n), code: 'damaged-header' },
      { name: 'a refcount table outside', refused: u64(48, 2n ** 40n), code: 'truncated' },
      { name: 'no refcount table', refused: u32(56, 0), code: 'damaged-header' },
      { name: 'a refcount table over 8 MiB', refused: u32(56, 129), code: 'damaged-header' },
      { name: 'too many snapshots', refused: u32(60, 65537), code: 'damaged-header' },
      {
        name: 'a snapshot table outside',
        refused: (bytes) => {
          bytes.writeUInt32BE(1, 60)
          bytes.writeBigUInt64BE(2n ** 40n, 64)
        },
        code: 'truncated',
        accepted: (bytes) => {
          bytes.writeUInt32BE(1, 60)
          bytes.writeBigUInt64BE(0x20000n, 64)
        },
      },
      {
        name: 'a snapshot table that is not aligned',
        refused: (bytes) => {
          bytes.writeUInt32BE(1, 60)
          bytes.writeBigUInt64BE(513n, 64)
        },
        code: 'damaged-header',
        accepted: u64(64, 513n),
      },
      {
        name: 'the corrupt bit',
        refused: u64(72, 2n),
        code: 'corrupt',
        accepted: u64(72, 1n),
      },
      {
        name: 'the data file bit',
        refused: u64(72, 4n),
        code: 'data-file',
        accepted: u64(80, 4n),
      },
      {
        name: 'an unknown incompatible bit',
        refused: u64(72, 32n),
        code: 'unknown-features',
        accepted: u64(80, 32n),
      },
      {
        name: 'the highest incompatible bit',
        refused: u64(72, 2n ** 63n),
        code: 'unknown-features',
        accepted: u64(88, 2n ** 63n),
      },
      {
        name: 'refcounts of 128 bits',
        refused: u32(96, 7),
        code: 'damaged-header',
        accepted: u32(96, 6),
      },
      { name: 'a header of 96 bytes', refused: u32(100, 96), code: 'damaged-header' },
      { name: 'a header of odd length', refused: u32(100, 107), code: 'damaged-header' },
      { name: 'a header over one cluster', refused: u32(100, 65544), code: 'damaged-header' },
      {
        name: 'the compression bit without a type',
        refused: u64(72, 8n),
        code: 'damaged-header',
      },
      { name: 'a type without the compression bit', refused: u8(104, 1), code: 'damaged-header' },
      {
        name: 'an image of 71 bytes',
        refused: cut(71),
        code: 'truncated',
      },
      {
        name: 'an image of 103 bytes',
        refused: cut(103),
        code: 'truncated',
      },
      {
        name: 'an image cut before its L1 table',
        refused: (bytes) => bytes.subarray(0, bytes.length - 1),
        code: 'truncated',
      },
    ],
  )
})

describe('header extensions', () => {
  testRefusals(
    () => plain,
    [
      {
        name: 'a data file without its bit',
        refused: extension(0x44415441, '/etc/shadow'),
        code: 'data-file',
        accepted: extension(0x12345678, '/etc/shadow'),
      },
      {
        name: 'an encryption header without encryption',
        refused: extension(0x0537be77, '0123456789abcdef'),
        code: 'damaged-header',
      },
      {
        name: 'a data file before the end of the extensions',
        refused: (bytes) => {
          bytes.fill(0, 112, 65536)
          extension(0x44415441, 'behind')(bytes)
        },
        code: 'data-file',
        accepted: (bytes) => {
          bytes.fill(0, 112, 65536)
          extension(0x44415441, 'behind')(bytes)
          extension(0, '')(bytes)
        },
      },
      {
        name: 'extensions without end',
        refused: (bytes) => bytes.fill(1, 112, 65536),
        code: 'damaged-header',
        accepted: (bytes) => bytes.fill(0, 112, 65536),
      },
      {
        name: 'an extension out of the cluster',
        refused: (bytes) => bytes.writeUInt32BE(65536, 116),
        code: 'damaged-header',
      },
    ],
  )
  testRefusals(
    () => encrypted,
    [
      {
        name: 'a LUKS header outside',
        refused: (bytes) => bytes.writeBigUInt64BE(2n ** 40n, 120),
        code: 'truncated',
      },
      {
        name: 'an encryption header that is cut',
        refused: (bytes) => bytes.writeUInt32BE(8, 116),
        code: 'damaged-header',
      },
    ],
  )
  test('of an encrypted image', async () => {
    expect(encrypted.readUInt32BE(112)).toBe(0x0537be77)
    const report = await inspectBytes(encrypted)
    expect(report).toMatchObject({ virtualSize: 2 ** 20, details: { encryption: 'luks' } })
    expect(report.findings.map(({ level, code }) => `${level} ${code}`)).toEqual([
      'info encryption',
    ])
  })
})

describe('compression type', () => {
  testRefusals(
    () => zstd,
    [{ name: 'a type that is not known', refused: u8(104, 2), code: 'unknown-features' }],
  )
})

test('a dirty image, and one with legacy encryption, are accepted with a warning', async () => {
  const dirty = await inspectBytes(edited(plain, u64(72, 1n)))
  expect(codes(dirty, 'warning')).toEqual(['dirty'])
  const aes = await inspectBytes(edited(plain, u32(32, 1)))
  expect(aes.details.encryption).toBe('aes')
  expect(codes(aes, 'warning')).toEqual(['encryption'])
  expect(codes(await inspectBytes(plain), 'warning')).toEqual([])
})

test('extended L2 entries need clusters of 16 KiB', async () => {
  const report = await inspectBytes(
    edited(plain, (bytes) => {
      bytes.writeBigUInt64BE(16n, 72)
      bytes.writeUInt32BE(13, 20)
      bytes.writeBigUInt64BE(1024n, 24)
    }),
  )
  expect(codes(report)).toEqual(['damaged-header'])
})

test('the name of the backing file is shown, and cannot steer a terminal', async () => {
  const report = await inspectBytes(
    edited(plain, (bytes) => {
      const name = '/etc/\x1b]0;passwd\x9b'
      bytes.writeBigUInt64BE(0x1000n, 8)
      bytes.writeUInt32BE(name.length, 16)
      bytes.write(name, 0x1000, 'latin1')
    }),
  )
  expect(report.findings[0]?.message).toContain('"/etc/?]0;passwd?"')
})

test('old images have the name of their backing file where extensions would be', async () => {
  const report = await inspectBytes(
    edited(plain, (bytes) => {
      bytes.writeUInt32BE(2, 4)
      bytes.fill(0, 72, 65536)
      bytes.writeBigUInt64BE(72n, 8)
      bytes.writeUInt32BE(11, 16)
      bytes.write('/etc/shadow', 72)
    }),
  )
  expect(codes(report)).toEqual(['backing-file'])
  expect(report.findings[0]?.message).toContain('"/etc/shadow"')
})

test('a size that no number holds is refused, the largest number is not', async () => {
  const huge = await inspectBytes(edited(plain, u64(24, 2n ** 53n)))
  expect(huge.virtualSize).toBeNull()
  expect(codes(huge)).toContain('virtual-size')
  const large = await inspectBytes(edited(plain, u64(24, 2n ** 53n - 1n)))
  expect(large.virtualSize).toBe(Number.MAX_SAFE_INTEGER)
  expect(codes(large)).toEqual(['damaged-header'])
})
