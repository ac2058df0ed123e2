import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { inspectImage, isUnsafe } from '../../src/inspect/index.js'
import { type Edit, edited } from './edits.js'
import {
  codes,
  inspectBytes,
  madeImage,
  memoryImage,
  qemuSize,
  scratchDirectory,
} from './images.js'

let directory: string
let qcow2: Buffer
let vdi: Buffer
let fixed: Buffer
beforeAll(async () => {
  directory = await scratchDirectory()
  qcow2 = await madeImage(directory, '-f', 'qcow2', 'made.qcow2', '1M')
  vdi = await madeImage(directory, '-f', 'vdi', 'made.vdi', '1M')
  fixed = await madeImage(directory, '-f', 'vpc', '-o', 'subformat=fixed', 'made.vhd', '1M')
})

/** Writes optical descriptors: from sector 16 on, one identifier in each. */
function optical(...identifiers: string[]): Edit {
  return (bytes) => {
    for (const [index, identifier] of identifiers.entries()) {
      bytes.write(`\x01${identifier}\x01`, 32768 + index * 2048, 'latin1')
    }
  }
}

function secondaryLuks(bytes: Buffer): void {
  bytes.write('SKUL\xba\xbe\0\x02', 0x4000, 'latin1')
  bytes.writeBigUInt64BE(0x4000n, 0x4000 + 256)
}

describe('several formats in one', () => {
  test.each([
    ['qcow2, iso', () => edited(qcow2, optical('CD001'))],
    ['qcow2, iso', () => edited(qcow2, optical('BEA01', 'NSR03', 'TEA01'))],
    ['qcow2, vhd', () => Buffer.concat([qcow2, fixed.subarray(-512)])],
    ['qcow2, vdi', () => edited(vdi, (bytes) => qcow2.copy(bytes, 0, 0, 16))],
    ['vmdk, vdi', () => edited(vdi, (bytes) => bytes.write('KDMV', 0))],
    ['vdi, luks', () => edited(vdi, (bytes) => bytes.write('LUKS\xba\xbe\0\x01', 0, 'latin1'))],
    ['qcow2, luks', () => edited(qcow2, secondaryLuks)],
    ['vhd, iso', () => edited(fixed, optical('CD001'))],
    ['vdi, qed', () => edited(vdi, (bytes) => bytes.write('QED\0', 0))],
    ['qcow2, vhd, iso', () => Buffer.concat([edited(qcow2, optical('CD001')), fixed])],
  ] as const)('%s', async (names, image) => {
    const report = await inspectBytes(image())
    expect(codes(report)).toEqual(['several-formats'])
    expect(report.findings[0]?.message).toContain(`(${names})`)
    expect(report.virtualSize).toBeNull()
    expect(isUnsafe(report)).toBe(true)
  })

  test('is no theory: QEMU opens the qcow2 that is an ISO too', async () => {
    await writeFile(join(directory, 'both'), edited(qcow2, optical('CD001')))
    expect(await qemuSize(directory, 'qcow2', 'both')).toBe(1024 * 1024)
  })

  test('is not what the images are made of', async () => {
    for (const image of [qcow2, vdi, fixed]) expect(codes(await inspectBytes(image))).toEqual([])
  })
})

describe('optical images', () => {
  const empty = Buffer.alloc(65536)
  test.each([
    ['CD001'],
    ['NSR02'],
    ['NSR03'],
    ['BEA01', 'NSR02', 'TEA01'],
    ['BEA01', 'BOOT2', 'NSR03'],
  ])('%s %s', async (...identifiers) => {
    const report = await inspectBytes(edited(empty, optical(...identifiers)))
    expect(report).toMatchObject({ format: 'iso', virtualSize: 65536, findings: [] })
  })
  test.each([['CD002'], ['BEA01', 'TEA01'], ['BEA01', 'other', 'NSR02']])(
    'none: %s %s',
    async (...identifiers) => {
      const report = await inspectBytes(edited(empty, optical(...identifiers)))
      expect(report).toMatchObject({ format: 'raw', findings: [] })
    },
  )
  test('a descriptor that is cut', async () => {
    const report = await inspectBytes(edited(empty, optical('CD001')).subarray(0, 34815))
    expect(codes(report)).toEqual(['truncated'])
  })
})

/** A boot sector with one partition entry of the type. */
function bootSector(type: number, flag = 0x80): Edit {
  return (bytes) => {
    bytes.writeUInt8(flag, 446)
    bytes.writeUInt8(type, 450)
    bytes.writeUInt16LE(0xaa55, 510)
  }
}

describe('raw disks', () => {
  const empty = Buffer.alloc(1024 * 1024)
  test.each([
    ['nothing', () => undefined, undefined],
    ['an MBR', bootSector(0x83), 'mbr'],
    ['a boot sector without partitions', bootSector(0), undefined],
    ['a boot sector with code for entries', bootSector(0x83, 0x55), undefined],
    ['a GPT', (bytes) => bytes.write('EFI PART', 512), 'gpt'],
    ['a GPT of large sectors', (bytes) => bytes.write('EFI PART', 4096), 'gpt'],
  ] as [string, Edit, string | undefined][])('with %s', async (_, edit, table) => {
    const report = await inspectBytes(edited(empty, edit))
    expect(report).toMatchObject({ format: 'raw', virtualSize: empty.length })
    expect(report.details.partitionTable).toBe(table)
    expect(codes(report, 'info')).toEqual(table === undefined ? [] : ['partition-table'])
    expect(isUnsafe(report)).toBe(false)
  })

  test.each([0, 1, 7, 511, 512, 513])('of %i bytes', async (size) => {
    const report = await inspectBytes(Buffer.alloc(size))
    expect(report).toEqual({ format: 'raw', size, virtualSize: size, details: {}, findings: [] })
  })
})

describe('formats that are only recognised', () => {
  test.each([
    ['qcow', 'QFI\xfb\0\0\0\x01'],
    ['qed', 'QED\0'],
    ['parallels', 'WithoutFreeSpace'],
    ['parallels', 'WithouFreSpacExt'],
    ['bochs', 'Bochs Virtual HD Image'],
    ['cloop', '#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0'],
  ])('%s', async (format, magic) => {
    const report = await inspectBytes(Buffer.from(magic.padEnd(2048, '\0'), 'latin1'))
    expect(report.format).toBe(format)
    expect(codes(report)).toEqual(['unsupported-format'])
    const less = Buffer.from(magic, 'latin1').subarray(1)
    expect(await inspectBytes(less)).toMatchObject({ format: 'raw', findings: [] })
  })
})

describe('readers', () => {
  test("a reader's own error is not hidden", async () => {
    const failure = new Error('the disk is on fire')
    const reader = { size: 100, readAt: () => Promise.reject(failure) }
    await expect(inspectImage(reader)).rejects.toBe(failure)
  })
  test('an image that shrank is truncated', async () => {
    const report = await inspectImage(memoryImage(qcow2.subarray(0, 80), qcow2.length))
    expect(codes(report)).toEqual(['truncated'])
    expect(report.findings[0]?.message).toContain('byte 80')
  })
  test('a report is its own JSON', async () => {
    const report = await inspectBytes(edited(qcow2, optical('CD001')))
    expect(JSON.parse(JSON.stringify(report))).toEqual(report)
  })
})
