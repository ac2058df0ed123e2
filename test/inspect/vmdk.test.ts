import { beforeAll, describe, expect, test } from 'vitest'
import { cut, type Edit, edited, littleEndian, testRefusals } from './edits.js'
import { codes, inspectBytes, madeImage, scratchDirectory } from './images.js'

const { u16, u32, u64 } = littleEndian

let sparse: Buffer
let streamed: Buffer
beforeAll(async () => {
  const directory = await scratchDirectory()
  sparse = await madeImage(directory, '-f', 'vmdk', 'made.vmdk', '64M')
  const options = 'subformat=streamOptimized'
  streamed = await madeImage(directory, '-f', 'vmdk', '-o', options, 'made.stream', '64M')
})

function descriptorOf(bytes: Buffer): string {
  return bytes.toString('latin1', 512, bytes.indexOf(0, 512))
}

/** Changes the descriptor's text; the 20 sectors of the descriptor are filled with NULs. */
function text(change: (old: string) => string): Edit {
  return (bytes) => {
    const old = descriptorOf(bytes)
    bytes.fill(0, 512, 512 * 21)
    bytes.write(change(old), 512, 'latin1')
  }
}

const added = (line: string): Edit => text((old) => `${old}${line}\n`)
const replaced = (from: string | RegExp, to: string): Edit => text((old) => old.replace(from, to))

describe('sparse header', () => {
  testRefusals(
    () => sparse,
    [
      { name: 'version 4', refused: u32(4, 4), code: 'unsupported-version', accepted: u32(4, 3) },
      { name: 'version 0', refused: u32(4, 0), code: 'unsupported-version', accepted: u32(4, 2) },
      {
        name: 'a disk of no size, as QEMU opens the extents of its descriptor then',
        refused: u64(12, 0n),
        code: 'names-other-files',
        accepted: u64(12, 1n),
      },
      {
        name: 'a disk beyond 2^53',
        refused: u64(12, 2n ** 60n),
        code: 'virtual-size',
        accepted: u64(12, 4096n),
      },
      { name: 'grains of no size', refused: u64(20, 0n), code: 'damaged-header' },
      { name: 'grains over 1 GiB', refused: u64(20, 0x200001n), code: 'damaged-header' },
      { name: 'no descriptor', refused: u64(28, 0n), code: 'damaged-header' },
      { name: 'a descriptor elsewhere', refused: u64(28, 2n), code: 'damaged-header' },
      { name: 'a descriptor of no size', refused: u64(36, 0n), code: 'damaged-header' },
      { name: 'a descriptor over 1 MiB', refused: u64(36, 2049n), code: 'damaged-header' },
      { name: 'a descriptor out of the image', refused: u64(36, 2048n), code: 'truncated' },
      { name: 'empty grain tables', refused: u32(44, 0), code: 'damaged-header' },
      { name: 'large grain tables', refused: u32(44, 513), code: 'damaged-header' },
      { name: 'a grain directory outside', refused: u64(56, 2n ** 40n), code: 'truncated' },
      { name: 'metadata outside', refused: u64(64, 129n), code: 'truncated' },
      {
        name: 'an unknown compression',
        refused: u16(77, 2),
        code: 'unknown-features',
        accepted: u16(77, 1),
      },
      {
        name: 'an image of 511 bytes',
        refused: cut(511),
        code: 'truncated',
      },
      { name: 'an image of 4 bytes', refused: cut(4), code: 'truncated' },
      {
        name: 'an image cut within its metadata',
        refused: (bytes) => bytes.subarray(0, bytes.length - 1),
        code: 'truncated',
      },
    ],
  )
})

/** Makes the descriptor one of so many lines, the last of which is empty. */
function lines(count: number): Edit {
  return (bytes) => {
    const old = descriptorOf(bytes)
    const comments = '#\n'.repeat(count - (old.split('\n').length - 1))
    bytes.write(old + comments, 512, 'latin1')
  }
}

describe('embedded descriptor', () => {
  testRefusals(
    () => sparse,
    [
      {
        name: 'a flat extent',
        refused: replaced(/SPARSE "(.*)"/, 'FLAT "$1" 0'),
        code: 'names-other-files',
        accepted: replaced(/SPARSE "(.*)"/, 'sparse "$1"'),
      },
      {
        name: 'an absolute path',
        refused: replaced('made.vmdk', '/etc/shadow'),
        code: 'names-other-files',
        accepted: replaced('made.vmdk', 'shadow'),
      },
      {
        name: 'a path of Windows',
        refused: replaced('made.vmdk', '..\\x'),
        code: 'names-other-files',
      },
      {
        name: 'a second extent',
        refused: added('RW 1 SPARSE "b.vmdk"'),
        code: 'names-other-files',
        accepted: added('# RW 1 SPARSE "b.vmdk"'),
      },
      {
        name: 'no extent',
        refused: replaced(/^RW .*$/m, ''),
        code: 'malformed-descriptor',
        accepted: replaced(/^RW /m, 'RDONLY '),
      },
      {
        name: 'a createType of several files',
        refused: replaced('monolithicSparse', 'twoGbMaxExtentSparse'),
        code: 'unsupported-subformat',
        accepted: replaced('monolithicSparse', 'MONOLITHICSPARSE'),
      },
      {
        name: 'no createType',
        refused: replaced(/^createType=.*$/m, ''),
        code: 'unsupported-subformat',
      },
      {
        name: 'a second createType',
        refused: added('createType="monolithicFlat"'),
        code: 'malformed-descriptor',
        accepted: added('ddb.comment = "x"'),
      },
      {
        name: 'a parent',
        refused: added('parentFileNameHint="/etc/shadow"'),
        code: 'backing-file',
        accepted: added('ddb.parent = "/etc/shadow"'),
      },
      {
        name: 'a parent in a comment, where QEMU finds it',
        refused: added('# parentFileNameHint="/etc/shadow"'),
        code: 'backing-file',
        accepted: added('# parent="/etc/shadow"'),
      },
      {
        name: 'the id of a parent',
        refused: replaced('parentCID=ffffffff', 'parentCID=12345678'),
        code: 'backing-file',
        accepted: replaced('parentCID=ffffffff', 'parentCID=FFFFFFFF'),
      },
      {
        name: 'too many lines',
        refused: lines(4096),
        code: 'malformed-descriptor',
        accepted: lines(4095),
      },
      {
        name: 'a line of no known kind',
        refused: added('include /etc/shadow'),
        code: 'malformed-descriptor',
        accepted: added('  \t'),
      },
      {
        name: 'a carriage return within a line',
        refused: added('a=b\rRW 1 FLAT "/etc/shadow" 0'),
        code: 'malformed-descriptor',
        accepted: text((old) => old.replaceAll('\n', '\r\n')),
      },
      {
        name: 'text behind the first NUL',
        refused: (bytes) => bytes.write('RW 1 FLAT "/etc/shadow" 0', 5000),
        code: 'malformed-descriptor',
      },
      {
        name: 'text that goes on behind its announced size, where QEMU reads it',
        refused: (bytes) => {
          const padded = descriptorOf(bytes).padEnd(1024, '\n')
          bytes.write(`${padded}parentFileNameHint="/etc/shadow"\n`, 512, 'latin1')
          bytes.writeBigUInt64LE(2n, 36)
        },
        code: 'backing-file',
        accepted: (bytes) => {
          bytes.write(descriptorOf(bytes).padEnd(1024, '\n'), 512, 'latin1')
          bytes.writeBigUInt64LE(2n, 36)
        },
      },
    ],
  )
})

/** Turns a streamOptimized image into one whose grain directory's place is in a footer. */
function withFooter(change: Edit = () => undefined): Edit {
  return (bytes) => {
    const marker = Buffer.alloc(512)
    marker.writeUInt32LE(3, 12)
    const tail = Buffer.concat([marker, bytes.subarray(0, 512), Buffer.alloc(512)])
    change(tail)
    bytes.writeBigUInt64LE(0xffffffffffffffffn, 56)
    return Buffer.concat([bytes, tail])
  }
}

describe('footer', () => {
  testRefusals(
    () => streamed,
    [
      {
        name: 'no footer',
        refused: u64(56, 0xffffffffffffffffn),
        code: 'truncated',
        accepted: withFooter(),
      },
      {
        name: 'a footer of another disk',
        refused: withFooter(u64(512 + 12, 8n)),
        code: 'footer-disagrees',
        accepted: withFooter(),
      },
      {
        name: 'a footer with another descriptor',
        refused: withFooter(u64(512 + 28, 100n)),
        code: 'footer-disagrees',
        accepted: withFooter(u64(512 + 48, 100n)),
      },
      {
        name: 'a footer that has a footer',
        refused: withFooter(u64(512 + 56, 0xffffffffffffffffn)),
        code: 'damaged-header',
        accepted: withFooter(),
      },
      {
        name: 'a footer whose grain directory is outside',
        refused: withFooter(u64(512 + 56, 2n ** 40n)),
        code: 'truncated',
        accepted: withFooter(),
      },
      {
        name: 'no marker before the footer',
        refused: withFooter(u32(12, 2)),
        code: 'truncated',
        accepted: withFooter(),
      },
      {
        name: 'no end of stream',
        refused: withFooter(u32(1024 + 12, 1)),
        code: 'truncated',
        accepted: withFooter(),
      },
      {
        name: 'a footer without its magic',
        refused: withFooter(u32(512, 0)),
        code: 'truncated',
        accepted: withFooter(),
      },
      {
        name: 'a byte behind the footer',
        refused: (bytes) => Buffer.concat([edited(bytes, withFooter()), Buffer.alloc(1)]),
        code: 'truncated',
        accepted: withFooter(),
      },
    ],
  )
})

describe('what is only a part of a disk', () => {
  test('an ESX copy-on-write extent', async () => {
    const report = await inspectBytes(Buffer.concat([Buffer.from('COWD'), Buffer.alloc(2044)]))
    expect(report).toMatchObject({ format: 'vmdk', details: { subformat: 'vmfsSparse' } })
    expect(codes(report)).toEqual(['unsupported-subformat'])
  })
  test.each([
    '# Disk DescriptorFile\nversion=1\n',
    '#disk descriptorfile\n',
    '# comment\n\n  \nversion=3\r\nRW 1 FLAT "/etc/shadow" 0\n',
    'version=2\n',
  ])('a descriptor %j', async (descriptor) => {
    const report = await inspectBytes(Buffer.from(descriptor))
    expect(report.format).toBe('vmdk')
    expect(codes(report)).toEqual(['names-other-files'])
  })
  test.each(['version=4\n', '# comment\nx\nversion=1\n', 'my version=1\n', '#\n'])(
    'no descriptor %j',
    async (descriptor) => {
      expect(await inspectBytes(Buffer.from(descriptor))).toMatchObject({ format: 'raw' })
    },
  )
})
