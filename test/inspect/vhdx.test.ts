import { beforeAll, describe, expect, test } from 'vitest'
import { crc32c } from '../../src/inspect/crc32c.js'
import { cut, type Edit, edited, littleEndian, testRefusals } from './edits.js'
import { inspectBytes, madeImage, scratchDirectory } from './images.js'

const { u32, u64 } = littleEndian

const HEADERS = [0x10000, 0x20000] as const
const TABLES = [0x30000, 0x40000] as const

let plain: Buffer
beforeAll(async () => {
  plain = await madeImage(await scratchDirectory(), '-f', 'vhdx', 'made.vhdx', '64M')
})

/** Changes both copies of a structure, and sets their checksums. */
function both(places: readonly number[], length: number, change: Edit): Edit {
  return (bytes) => {
    for (const at of places) sealed(length, change)(bytes.subarray(at, at + length))
  }
}

function sealed(length: number, change: Edit): Edit {
  return (bytes) => {
    const part = bytes.subarray(0, length)
    change(part)
    part.writeUInt32LE(0, 4)
    part.writeUInt32LE(crc32c(part), 4)
  }
}

const headers = (change: Edit): Edit => both(HEADERS, 4096, change)
const tables = (change: Edit): Edit => both(TABLES, 65536, change)

/** Where in the region table the entry of the id is; ids as they are in the file. */
function entryOf(bytes: Buffer, id: string): number {
  return bytes.indexOf(Buffer.from(id, 'hex'))
}

const METADATA_REGION = '06a27c8b90479a4bb8fe575f050f886e'
const FILE_PARAMETERS = '3767a1ca36fa434db3b633f0aa44e76b'
const VIRTUAL_SIZE = '2442a52f1bcd7648b2115dbed83bf4b8'
const LOGICAL_SECTOR = '1dbf41816fa90947ba47f233a8faab5f'
const PARENT_LOCATOR = '2d5fd3a80bb34d45abf7d3d84834ab0c'

function metadataAt(bytes: Buffer): number {
  return Number(bytes.readBigUInt64LE(entryOf(bytes, METADATA_REGION) + 16))
}

/** Changes the value of a metadata item. */
function item(id: string, change: Edit): Edit {
  return (bytes) => {
    const region = metadataAt(bytes)
    const entry = bytes.indexOf(Buffer.from(id, 'hex'), region)
    change(bytes.subarray(region + bytes.readUInt32LE(entry + 16)))
  }
}

/** Changes an item's entry in the metadata table. */
function itemEntry(id: string, change: Edit): Edit {
  return (bytes) => {
    change(bytes.subarray(bytes.indexOf(Buffer.from(id, 'hex'), metadataAt(bytes))))
  }
}

/** Adds an entry to the metadata table. */
function addedItem(id: string, flags: number): Edit {
  return (bytes) => {
    const region = metadataAt(bytes)
    const count = bytes.readUInt16LE(region + 10)
    const at = region + 32 + count * 32
    bytes.write(id, at, 'hex')
    bytes.writeUInt32LE(flags, at + 24)
    bytes.writeUInt16LE(count + 1, region + 10)
  }
}

/** Adds an entry to both region tables. */
function addedRegion(id: string, flags: number): Edit {
  return tables((table) => {
    const count = table.readUInt32LE(8)
    const at = 16 + count * 32
    table.write(id, at, 'hex')
    table.writeUInt32LE(flags, at + 28)
    table.writeUInt32LE(count + 1, 8)
  })
}

const UNKNOWN_ID = '000102030405060708090a0b0c0d0e0f'

describe('headers', () => {
  testRefusals(
    () => plain,
    [
      {
        name: 'two headers with a wrong checksum',
        refused: (bytes) => {
          for (const at of HEADERS) bytes.writeUInt8(1, at + 100)
        },
        code: 'damaged-header',
        accepted: (bytes) => bytes.writeUInt8(1, HEADERS[0] + 100),
      },
      {
        name: 'version 2',
        refused: headers((header) => header.writeUInt16LE(2, 66)),
        code: 'unsupported-version',
        accepted: headers((header) => header.writeUInt16LE(1, 66)),
      },
      {
        name: 'a pending log',
        refused: headers(u32(48, 1)),
        code: 'dirty',
        accepted: headers(u32(16, 1)),
      },
      {
        name: 'a pending log in the newer header',
        refused: (bytes) => {
          const newer = bytes.subarray(HEADERS[1])
          sealed(4096, u64(8, 2n ** 60n))(newer)
          sealed(4096, u32(48, 1))(newer)
        },
        code: 'dirty',
        accepted: (bytes) => {
          sealed(4096, u64(8, 2n ** 60n))(bytes.subarray(HEADERS[1]))
          sealed(4096, u32(48, 1))(bytes.subarray(HEADERS[0]))
        },
      },
      {
        name: 'an image of 8 bytes',
        refused: cut(8),
        code: 'truncated',
      },
    ],
  )
})

describe('region table', () => {
  testRefusals(
    () => plain,
    [
      {
        name: 'a wrong checksum',
        refused: (bytes) => {
          for (const at of TABLES) bytes.writeUInt8(1, at + 60000)
        },
        code: 'damaged-header',
        accepted: tables((table) => table.writeUInt8(1, 60000)),
      },
      {
        name: 'two tables that differ',
        refused: (bytes) => sealed(65536, u32(60000, 1))(bytes.subarray(TABLES[1])),
        code: 'damaged-header',
        accepted: tables(u32(60000, 1)),
      },
      { name: 'too many regions', refused: tables(u32(8, 2048)), code: 'damaged-header' },
      { name: 'no regions', refused: tables(u32(8, 0)), code: 'damaged-header' },
      {
        name: 'metadata twice',
        refused: addedRegion(METADATA_REGION, 1),
        code: 'damaged-header',
      },
      {
        name: 'an unknown region that is required',
        refused: addedRegion(UNKNOWN_ID, 1),
        code: 'unknown-features',
        accepted: addedRegion(UNKNOWN_ID, 0),
      },
      {
        name: 'metadata outside',
        refused: tables((table) => {
          table.writeBigUInt64LE(2n ** 40n, entryOf(table, METADATA_REGION) + 16)
        }),
        code: 'truncated',
      },
      {
        name: 'metadata in the headers',
        refused: tables((table) => {
          table.writeBigUInt64LE(0n, entryOf(table, METADATA_REGION) + 16)
        }),
        code: 'damaged-header',
      },
      {
        name: 'an image cut within its regions',
        refused: (bytes) => bytes.subarray(0, bytes.length / 4),
        code: 'truncated',
      },
    ],
  )
})

describe('metadata', () => {
  testRefusals(
    () => plain,
    [
      {
        name: 'the flag of a parent',
        refused: item(FILE_PARAMETERS, u32(4, 2)),
        code: 'backing-file',
        accepted: item(FILE_PARAMETERS, u32(4, 1)),
      },
      {
        name: 'the place of a parent',
        refused: addedItem(PARENT_LOCATOR, 0),
        code: 'backing-file',
        accepted: addedItem(UNKNOWN_ID, 0),
      },
      {
        name: 'an unknown item that is required',
        refused: addedItem(UNKNOWN_ID, 4),
        code: 'unknown-features',
        accepted: addedItem(UNKNOWN_ID, 0),
      },
      { name: 'an item twice', refused: addedItem(VIRTUAL_SIZE, 0), code: 'damaged-header' },
      {
        name: 'an item out of its region',
        refused: itemEntry(VIRTUAL_SIZE, u32(16, 0xffffff00)),
        code: 'damaged-header',
      },
      {
        name: 'an item of wrong length',
        refused: itemEntry(VIRTUAL_SIZE, u32(20, 4)),
        code: 'damaged-header',
      },
      {
        name: 'no signature',
        refused: (bytes) => bytes.writeUInt8(0, metadataAt(bytes)),
        code: 'damaged-header',
      },
      {
        name: 'too many items',
        refused: (bytes) => bytes.writeUInt16LE(2048, metadataAt(bytes) + 10),
        code: 'damaged-header',
      },
      {
        name: 'blocks of 512 MiB',
        refused: item(FILE_PARAMETERS, u32(0, 2 ** 29)),
        code: 'damaged-header',
        accepted: item(FILE_PARAMETERS, u32(0, 2 ** 28)),
      },
      {
        name: 'sectors of 1024 bytes',
        refused: item(LOGICAL_SECTOR, u32(0, 1024)),
        code: 'damaged-header',
        accepted: item(LOGICAL_SECTOR, u32(0, 4096)),
      },
      {
        name: 'a disk over 64 TiB',
        refused: item(VIRTUAL_SIZE, u64(0, 2n ** 46n + 512n)),
        code: 'damaged-header',
        accepted: item(VIRTUAL_SIZE, u64(0, 2n ** 46n)),
      },
      {
        name: 'a disk beyond 2^63',
        refused: item(VIRTUAL_SIZE, u64(0, 2n ** 63n)),
        code: 'virtual-size',
      },
    ],
  )
})

test('a fixed disk is told from a dynamic one', async () => {
  expect(await inspectBytes(plain)).toMatchObject({ details: { subformat: 'dynamic' } })
  const fixed = edited(plain, item(FILE_PARAMETERS, u32(4, 1)))
  expect(await inspectBytes(fixed)).toMatchObject({ details: { subformat: 'fixed' } })
})
