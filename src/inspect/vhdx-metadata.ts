import { type Finding, type ImageReader, type Inspected, refused, unsafe } from './report.js'
import {
  broken,
  checkedSize,
  damaged,
  isPowerOfTwo,
  type Rule,
  readStructure,
} from './structure.js'
import type { Region } from './vhdx-regions.js'
import { guid } from './vhdx-structure.js'

/** [MS-VHDX] 2.6: the metadata table, in the first 64 KiB of the metadata region. */
const TABLE_BYTES = 64 * 1024
const SIGNATURE = 'metadata'
const MAX_ENTRIES = 2047
const ENTRY_BYTES = 32
const REQUIRED = 4

/** The known items and their sizes in bytes. QEMU wants all of them but the parent locator. */
const ITEMS = {
  fileParameters: { id: 'caa16737-fa36-4d43-b3b6-33f0aa44e76b', bytes: 8 },
  virtualDiskSize: { id: '2fa54224-cd1b-4876-b211-5dbed83bf4b8', bytes: 8 },
  virtualDiskId: { id: 'beca12ab-b2e6-4523-93ef-c309e000c746', bytes: 16 },
  logicalSectorSize: { id: '8141bf1d-a96f-4709-ba47-f233a8faab5f', bytes: 4 },
  physicalSectorSize: { id: 'cda348c7-445d-4471-9cc9-e9885251c556', bytes: 4 },
} as const
const PARENT_LOCATOR = 'a8d35f2d-b30b-454d-abf7-d3d84834ab0c'

/** Flags of the file parameters. */
const LEAVE_BLOCKS_ALLOCATED = 1
const HAS_PARENT = 2

/** Largest disk of the format in bytes: 64 TiB. */
const MAX_BYTES = 64n * 1024n ** 4n

interface Item {
  readonly id: string
  /** In bytes from the start of the metadata region. */
  readonly offset: number
  readonly length: number
  readonly required: boolean
}

/** Inspects the metadata region. @throws {TruncatedImage} when the image ends before it does. */
export async function inspectMetadata(image: ImageReader, region: Region): Promise<Inspected> {
  if (region.length < TABLE_BYTES) {
    return refused([damaged(`expected VHDX metadata of 64 KiB or more, found ${region.length}`)])
  }
  const table = await readStructure(image, region.offset, TABLE_BYTES, 'VHDX metadata table')
  const count = table.readUInt16LE(10)
  if (table.toString('latin1', 0, 8) !== SIGNATURE || count > MAX_ENTRIES) {
    return refused([damaged('expected a VHDX metadata table of at most 2047 items, found none')])
  }
  const items = Array.from({ length: count }, (_, index) => entry(table, index))
  const findings = itemFindings(items, region)
  if (findings.length > 0) return refused(findings)
  return judged(await readMetadata(image, region, items))
}

function entry(table: Buffer, index: number): Item {
  const at = ENTRY_BYTES + index * ENTRY_BYTES
  return {
    id: guid(table, at),
    offset: table.readUInt32LE(at + 16),
    length: table.readUInt32LE(at + 20),
    required: (table.readUInt32LE(at + 24) & REQUIRED) !== 0,
  }
}

function itemFindings(items: readonly Item[], region: Region): Finding[] {
  const known = Object.values(ITEMS)
  const findings = known
    .filter(({ id }) => items.filter((item) => item.id === id).length !== 1)
    .map(({ id }) => damaged(`expected the VHDX metadata ${id} once, found it missing or repeated`))
  for (const { id, bytes } of known) {
    const misplaced = items.find(
      (item) =>
        item.id === id &&
        (item.length !== bytes || item.offset < TABLE_BYTES || item.offset + bytes > region.length),
    )
    if (misplaced !== undefined) findings.push(misplacedItem(misplaced))
  }
  const strange = items.find(({ id, required }) => required && !isKnown(id))
  return strange === undefined ? findings : [...findings, unknownItem(strange)]
}

function isKnown(id: string): boolean {
  return id === PARENT_LOCATOR || Object.values(ITEMS).some((item) => item.id === id)
}

function misplacedItem({ id, offset, length }: Item): Finding {
  return damaged(
    `expected the VHDX metadata ${id} within its region, found ${length} bytes at byte ${offset}`,
  )
}

function unknownItem({ id }: Item): Finding {
  return unsafe(
    'unknown-features',
    `the image demands the unknown VHDX metadata ${id}, so nobody can say what opening it does`,
  )
}

interface Metadata {
  /** Unit of allocation in bytes. */
  readonly blockSize: number
  readonly flags: number
  readonly hasLocator: boolean
  readonly virtualSize: bigint
  readonly sectorSizes: readonly number[]
}

async function readMetadata(
  image: ImageReader,
  region: Region,
  items: readonly Item[],
): Promise<Metadata> {
  const read = async (name: keyof typeof ITEMS): Promise<Buffer> => {
    const { id, bytes } = ITEMS[name]
    const offset = items.find((item) => item.id === id)?.offset ?? 0
    return await readStructure(image, region.offset + BigInt(offset), bytes, `VHDX ${name}`)
  }
  const parameters = await read('fileParameters')
  const [logical, physical] = [await read('logicalSectorSize'), await read('physicalSectorSize')]
  return {
    blockSize: parameters.readUInt32LE(0),
    flags: parameters.readUInt32LE(4),
    hasLocator: items.some(({ id }) => id === PARENT_LOCATOR),
    virtualSize: (await read('virtualDiskSize')).readBigUInt64LE(0),
    sectorSizes: [logical.readUInt32LE(0), physical.readUInt32LE(0)],
  }
}

function judged(metadata: Metadata): Inspected {
  const { virtualSize, findings } = checkedSize(metadata.virtualSize)
  const subformat = (metadata.flags & LEAVE_BLOCKS_ALLOCATED) === 0 ? 'dynamic' : 'fixed'
  return {
    virtualSize,
    details: { subformat, clusterSize: metadata.blockSize },
    findings: [...findings, ...broken(RULES, metadata)],
  }
}

const RULES: readonly Rule<Metadata>[] = [
  {
    when: ({ flags, hasLocator }) => (flags & HAS_PARENT) !== 0 || hasLocator,
    found: () =>
      unsafe(
        'backing-file',
        'the image is a differencing VHDX, so opening it reads its parent, another file of the host',
      ),
  },
  {
    when: ({ blockSize }) =>
      blockSize < 1024 ** 2 || blockSize > 256 * 1024 ** 2 || !isPowerOfTwo(blockSize),
    found: ({ blockSize }) =>
      damaged(`expected a block size that is a power of two from 1 to 256 MiB, found ${blockSize}`),
  },
  {
    when: ({ sectorSizes }) => sectorSizes.some((size) => size !== 512 && size !== 4096),
    found: ({ sectorSizes }) =>
      damaged(`expected sectors of 512 or 4096 bytes, found ${sectorSizes.join(' and ')}`),
  },
  {
    when: ({ virtualSize }) => virtualSize > MAX_BYTES || virtualSize % 512n !== 0n,
    found: ({ virtualSize }) =>
      damaged(`expected whole sectors of at most ${MAX_BYTES} bytes, found ${virtualSize}`),
  },
]
