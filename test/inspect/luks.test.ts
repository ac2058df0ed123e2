import { readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { bigEndian, cut, edited, testRefusals } from './edits.js'
import { codes, cryptsetup, inspectBytes, scratchDirectory } from './images.js'

const { u16, u32, u64 } = bigEndian

let luks1: Buffer
let luks2: Buffer
beforeAll(async () => {
  const directory = await scratchDirectory()
  luks1 = await volume(join(directory, 'luks1'), '--type', 'luks1')
  luks2 = await volume(join(directory, 'luks2'), '--type', 'luks2')
})

async function volume(path: string, ...argv: string[]): Promise<Buffer> {
  await writeFile(path, '')
  await truncate(path, 20 * 1024 * 1024)
  const fast = ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000']
  await cryptsetup('luksFormat', ...argv, ...fast, path, '-')
  return await readFile(path)
}

describe('LUKS1', () => {
  testRefusals(
    () => luks1,
    [
      { name: 'version 3', refused: u16(6, 3), code: 'unsupported-version', accepted: u16(6, 1) },
      {
        name: 'a payload outside',
        refused: u32(104, 0xffffffff),
        code: 'truncated',
        accepted: u32(104, 4096),
      },
      { name: 'a key of no bytes', refused: u32(108, 0), code: 'damaged-header' },
      {
        name: 'a key of 513 bytes',
        refused: u32(108, 513),
        code: 'damaged-header',
        accepted: u32(108, 32),
      },
      { name: 'no cipher', refused: (bytes) => bytes.fill(0, 8, 40), code: 'damaged-header' },
      {
        name: 'a cipher without end',
        refused: (bytes) => bytes.fill('a', 8, 40),
        code: 'damaged-header',
        accepted: (bytes) => bytes.fill('a', 8, 39),
      },
      { name: 'an image of 6 bytes', refused: cut(6), code: 'truncated' },
      { name: 'an image of 591 bytes', refused: cut(591), code: 'truncated' },
      { name: 'an image cut within its key slots', refused: cut(4096), code: 'truncated' },
    ],
  )

  test('a detached header has no virtual size', async () => {
    const report = await inspectBytes(edited(luks1, u32(104, 0)))
    expect(report).toMatchObject({ format: 'luks', virtualSize: null, findings: [] })
  })
})

describe('LUKS2', () => {
  testRefusals(
    () => luks2,
    [
      {
        name: 'a header of 8 KiB',
        refused: u64(8, 0x2000n),
        code: 'damaged-header',
        accepted: u64(8, 0x8000n),
      },
      { name: 'a header of 2^63 bytes', refused: u64(8, 2n ** 63n), code: 'damaged-header' },
      { name: 'a header for elsewhere', refused: u64(256, 0x4000n), code: 'damaged-header' },
      { name: 'an image of 4095 bytes', refused: cut(4095), code: 'truncated' },
      { name: 'an image cut within its second header', refused: cut(0x7fff), code: 'truncated' },
    ],
  )
})

describe('a second LUKS2 header', () => {
  test('is found where its first is gone, and says where it is', async () => {
    const report = await inspectBytes(edited(luks2, (bytes) => bytes.fill(0, 0, 4096)))
    expect(report.format).toBe('luks')
    expect(codes(report, 'warning')).toEqual(['secondary-header-only'])
    expect(codes(report)).toEqual([])
  })
  test.each([
    ['gone too', (bytes: Buffer) => bytes.fill(0, 0, 0x8000)],
    ['without its magic', (bytes: Buffer) => bytes.fill(0, 0, 4096).writeUInt8(1, 0x4000)],
    ['cut', (bytes: Buffer) => bytes.fill(0, 0, 4096).subarray(0, 0x4000 + 263)],
    ['for another place', (bytes: Buffer) => bytes.fill(0, 0, 4096).writeUInt8(1, 0x4000 + 256)],
    ['elsewhere', (bytes: Buffer) => Buffer.concat([Buffer.alloc(512), bytes]).fill(0, 0, 4608)],
  ] as const)('is none when it is %s', async (_, edit) => {
    expect(await inspectBytes(edited(luks2, edit))).toMatchObject({ format: 'raw', findings: [] })
  })
})
