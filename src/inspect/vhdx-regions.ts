import { type Finding, type ImageReader, unsafe } from './report.js'
import { beyondEnd, damaged, readStructure } from './structure.js'
import { guid, hasChecksum } from './vhdx-structure.js'

/** [MS-VHDX] 2.2.3: the region table, twice, in 64 KiB each. */
const TABLE_OFFSETS = [192 * 1024, 256 * 1024] as const
const TABLE_BYTES = 64 * 1024
const SIGNATURE = 'regi'
const MAX_ENTRIES = 2047
const FIRST_ENTRY = 16
const ENTRY_BYTES = 32
const REQUIRED = 1
const MIB = 1024n * 1024n

/** The known regions. */
const BLOCK_TABLE = '2dc27766-f623-4200-9d64-115e9bfd4a08'
const METADATA = '8b7ca206-4790-4b9a-b8fe-575f050f886e'

/** A part of the image. */
export interface Region {
  readonly id: string
  /** In bytes from the image's start. */
  readonly offset: bigint
  /** In bytes. */
  readonly length: number
  readonly required: boolean
}

/** What the region table says; `metadata` is undefined when it cannot be read. */
export interface Regions {
  readonly metadata: Region | undefined
  readonly findings: readonly Finding[]
}

/**
 * Reads the region table. QEMU reads the first, Hyper-V either: they must be the same.
 *
 * @throws {TruncatedImage} when the image ends before the tables do.
 */
export async function readRegions(image: ImageReader): Promise<Regions> {
  const table = await readStructure(image, TABLE_OFFSETS[0], TABLE_BYTES, 'region table')
  const copy = await readStructure(image, TABLE_OFFSETS[1], TABLE_BYTES, 'second region table')
  const count = table.readUInt32LE(8)
  const fault = tableFault(table, copy, count)
  if (fault !== undefined) return { metadata: undefined, findings: [fault] }
  const regions = Array.from({ length: count }, (_, index) => entry(table, index))
  const findings = regionFindings(regions, image.size)
  const metadata = findings.length > 0 ? undefined : regions.find(({ id }) => id === METADATA)
  return { metadata, findings }
}

function tableFault(table: Buffer, copy: Buffer, count: number): Finding | undefined {
  if (table.toString('latin1', 0, 4) !== SIGNATURE || !hasChecksum(table)) {
    return damaged('expected a VHDX region table with a correct checksum, found none')
  }
  if (!table.equals(copy)) {
    return damaged('the two VHDX region tables differ, so two programs may see two disks')
  }
  if (count <= MAX_ENTRIES) return undefined
  return damaged(`expected at most ${MAX_ENTRIES} VHDX regions, found ${count}`)
}

function entry(table: Buffer, index: number): Region {
  const at = FIRST_ENTRY + index * ENTRY_BYTES
  return {
    id: guid(table, at),
    offset: table.readBigUInt64LE(at + 16),
    length: table.readUInt32LE(at + 24),
    required: (table.readUInt32LE(at + 28) & REQUIRED) !== 0,
  }
}

function regionFindings(regions: readonly Region[], fileSize: number): Finding[] {
  const known = [BLOCK_TABLE, METADATA]
  const findings = known
    .filter((id) => regions.filter((region) => region.id === id).length !== 1)
    .map((id) => damaged(`expected the VHDX region ${id} once, found it missing or repeated`))
  for (const region of regions.filter(({ id }) => known.includes(id))) {
    findings.push(...placeFindings(region, fileSize))
  }
  const unknown = regions.find(({ id, required }) => required && !known.includes(id))
  return unknown === undefined ? findings : [...findings, unknownRegion(unknown)]
}

function placeFindings({ id, offset, length }: Region, fileSize: number): Finding[] {
  if (offset < MIB || offset % MIB !== 0n) {
    return [damaged(`expected the VHDX region ${id} at a whole MiB, found it at byte ${offset}`)]
  }
  const missing = beyondEnd(`VHDX region ${id}`, offset, BigInt(length), fileSize)
  return missing === undefined ? [] : [missing]
}

function unknownRegion({ id }: Region): Finding {
  return unsafe(
    'unknown-features',
    `the image demands the unknown VHDX region ${id}, so nobody can say what opening it does`,
  )
}
