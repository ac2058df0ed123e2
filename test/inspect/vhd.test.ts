import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { bigEndian, cut, type Edit, edited, testRefusals } from './edits.js'
import { codes, inspectBytes, madeImage, qemuSize, scratchDirectory } from './images.js'

const { u32, u64 } = bigEndian

let directory: string
let dynamic: Buffer
let fixed: Buffer
beforeAll(async () => {
  directory = await scratchDirectory()
  const exact = 'force_size=on'
  dynamic = await madeImage(directory, '-f', 'vpc', '-o', exact, 'made.dynamic', '65M')
  fixed = await madeImage(directory, '-f', 'vpc', '-o', `subformat=fixed,${exact}`, 'made.f', '3M')
})

/** Sets the right checksum of a footer. */
function seal(footer: Buffer): void {
  footer.writeUInt32BE(0, 64)
  const sum = footer.reduce((total, byte) => total + byte, 0)
  footer.writeUInt32BE(~sum >>> 0, 64)
}

/** Changes the footer at the end, and its copy, and their checksums. */
function footers(change: Edit): Edit {
  return (bytes) => {
    const places = bytes.toString('latin1', 0, 8) === 'conectix' ? [0] : []
    for (const at of [...places, bytes.length - 512]) {
      const footer = bytes.subarray(at, at + 512)
      change(footer)
      seal(footer)
    }
  }
}

const FOOTER: Parameters<typeof testRefusals>[1] = [
  {
    name: 'another version',
    refused: footers(u32(12, 0x20000)),
    code: 'unsupported-version',
    accepted: footers(u32(8, 3)),
  },
  {
    name: 'a differencing disk',
    refused: footers(u32(60, 4)),
    code: 'backing-file',
    accepted: footers(u32(24, 4)),
  },
  {
    name: 'a disk type that is not known',
    refused: footers(u32(60, 5)),
    code: 'unsupported-subformat',
    accepted: footers(u32(24, 5)),
  },
  {
    name: 'a disk over 2040 GiB',
    refused: footers(u64(48, 2041n * 1024n ** 3n)),
    code: 'damaged-header',
    accepted: footers(u64(48, 1024n ** 2n)),
  },
  {
    name: 'a disk beyond 2^53',
    refused: footers(u64(48, 2n ** 62n)),
    code: 'virtual-size',
  },
]

describe('dynamic disk', () => {
  testRefusals(
    () => dynamic,
    [
      ...FOOTER,
      {
        name: 'a wrong checksum',
        refused: u32(24, 0),
        code: 'damaged-header',
        accepted: footers(u32(24, 0)),
      },
      {
        name: 'a footer that differs from its copy',
        refused: (bytes) => {
          bytes.writeUInt32BE(0, 24)
          seal(bytes.subarray(0, 512))
        },
        code: 'footer-disagrees',
        accepted: footers(u32(24, 0)),
      },
      {
        name: 'no footer at the end',
        refused: (bytes) => bytes.fill(0, bytes.length - 512),
        code: 'truncated',
      },
      {
        name: 'a fixed disk with a copy of its footer',
        refused: footers(u32(60, 2)),
        code: 'damaged-header',
      },
      {
        name: 'a header outside',
        refused: footers(u64(16, 2n ** 40n)),
        code: 'truncated',
      },
      {
        name: 'a header without its magic',
        refused: (bytes) => bytes.fill(0, 512, 520),
        code: 'damaged-header',
      },
      { name: 'a block table outside', refused: u64(512 + 16, 2n ** 40n), code: 'truncated' },
      { name: 'too few blocks', refused: u32(512 + 28, 32), code: 'damaged-header' },
      { name: 'blocks of odd size', refused: u32(512 + 32, 3000000), code: 'damaged-header' },
      { name: 'blocks of no size', refused: u32(512 + 32, 0), code: 'damaged-header' },
      { name: 'the id of a parent', refused: u32(512 + 40, 1), code: 'backing-file' },
      { name: 'the place of a parent', refused: u32(512 + 576, 1), code: 'backing-file' },
      {
        name: 'an image of 8 bytes',
        refused: cut(8),
        code: 'truncated',
      },
    ],
  )
})

describe('fixed disk', () => {
  testRefusals(
    () => fixed,
    [
      ...FOOTER,
      {
        name: 'less content than announced',
        refused: (bytes) => bytes.subarray(512),
        code: 'truncated',
        accepted: (bytes) => Buffer.concat([Buffer.alloc(512), bytes]),
      },
      {
        name: 'a dynamic disk without the copy of its footer',
        refused: footers(u32(60, 3)),
        code: 'damaged-header',
      },
    ],
  )

  test('with an old footer of 511 bytes', async () => {
    const old = await inspectBytes(fixed.subarray(0, fixed.length - 1))
    expect(old).toMatchObject({ format: 'vhd', virtualSize: 3 * 1024 * 1024, findings: [] })
  })

  test('without its footer is raw', async () => {
    const report = await inspectBytes(fixed.subarray(0, fixed.length - 512))
    expect(report).toMatchObject({ format: 'raw', findings: [] })
  })
})

test('a suspended machine is a warning', async () => {
  const suspended = edited(
    dynamic,
    footers((footer) => footer.writeUInt8(1, 84)),
  )
  expect(codes(await inspectBytes(suspended), 'warning')).toEqual(['dirty'])
})

describe('the size of a disk is what QEMU makes of it', () => {
  const CREATORS = ['win ', 'qem2', 'd2v ', 'tap\0', 'CTXS', 'vpc ', 'qemu', 'vbox']
  const GEOMETRIES = [
    [1000, 4, 17],
    [65535, 16, 255],
    [0, 0, 0],
  ] as const
  test.each(CREATORS)('creator %j', async (creator) => {
    for (const [cylinders, heads, sectors] of GEOMETRIES) {
      const bytes = edited(
        dynamic,
        footers((footer) => {
          footer.write(creator, 28, 'latin1')
          footer.writeUInt16BE(cylinders, 56)
          footer.writeUInt8(heads, 58)
          footer.writeUInt8(sectors, 59)
        }),
      )
      await writeFile(join(directory, 'creator'), bytes)
      const report = await inspectBytes(bytes)
      expect(report.virtualSize).toBe(await qemuSize(directory, 'vpc', 'creator'))
    }
  })
})
