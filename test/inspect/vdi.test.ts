import { beforeAll, describe, expect, test } from 'vitest'
import { cut, edited, littleEndian, testRefusals } from './edits.js'
import { codes, inspectBytes, madeImage, scratchDirectory } from './images.js'

const { u32, u64 } = littleEndian

let plain: Buffer
beforeAll(async () => {
  plain = await madeImage(await scratchDirectory(), '-f', 'vdi', 'made.vdi', '64M')
})

describe('header', () => {
  testRefusals(
    () => plain,
    [
      { name: 'version 1.2', refused: u32(68, 0x10002), code: 'unsupported-version' },
      {
        name: 'a header too small',
        refused: u32(72, 0x17f),
        code: 'damaged-header',
        accepted: u32(72, 0x180),
      },
      {
        name: 'a header too large',
        refused: u32(72, 0x200),
        code: 'damaged-header',
        accepted: u32(72, 0x190),
      },
      {
        name: 'a differencing image',
        refused: u32(76, 4),
        code: 'backing-file',
        accepted: u32(76, 2),
      },
      { name: 'an undo image', refused: u32(76, 3), code: 'backing-file', accepted: u32(76, 1) },
      { name: 'a type that is not known', refused: u32(76, 5), code: 'unsupported-subformat' },
      { name: 'a block map outside', refused: u32(384, 2 ** 24), code: 'damaged-header' },
      { name: 'a block map that is not aligned', refused: u32(340, 520), code: 'damaged-header' },
      { name: 'a block map in the header', refused: u32(340, 0), code: 'damaged-header' },
      { name: 'data in the block map', refused: u32(344, 512), code: 'damaged-header' },
      { name: 'sectors of 4096 bytes', refused: u32(360, 4096), code: 'damaged-header' },
      { name: 'blocks of 2 MiB', refused: u32(376, 2 ** 21), code: 'damaged-header' },
      {
        name: 'a disk larger than its blocks',
        refused: u64(368, 64n * 1024n ** 2n + 1n),
        code: 'damaged-header',
        accepted: u64(368, 64n * 1024n ** 2n - 1n),
      },
      {
        name: 'a disk beyond 2^63',
        refused: u64(368, 2n ** 64n - 1n),
        code: 'virtual-size',
      },
      { name: 'too many blocks', refused: u32(384, 0x40000000), code: 'damaged-header' },
      { name: 'more blocks in use than there are', refused: u32(388, 65), code: 'damaged-header' },
      {
        name: 'a content that is cut',
        refused: u32(388, 1),
        code: 'truncated',
        accepted: (bytes) => {
          bytes.writeUInt32LE(1, 388)
          return Buffer.concat([bytes, Buffer.alloc(1024 * 1024)])
        },
      },
      {
        name: 'the id of a link',
        refused: u32(424, 1),
        code: 'backing-file',
        accepted: u32(408, 1),
      },
      {
        name: 'the id of a parent',
        refused: u32(452, 1),
        code: 'backing-file',
        accepted: u32(392, 1),
      },
      {
        name: 'an image of 68 bytes',
        refused: cut(68),
        code: 'truncated',
      },
      {
        name: 'an image cut within its block map',
        refused: cut(600),
        code: 'truncated',
      },
    ],
  )
})

test('an image of 67 bytes is no VDI yet', async () => {
  const report = await inspectBytes(plain.subarray(0, 67))
  expect(report).toMatchObject({ format: 'raw', virtualSize: 67 })
  expect(codes(report)).toEqual([])
})

test('a disk of odd size is shown in whole sectors, as QEMU does', async () => {
  const report = await inspectBytes(edited(plain, u64(368, 1025n)))
  expect(report.virtualSize).toBe(1536)
})
