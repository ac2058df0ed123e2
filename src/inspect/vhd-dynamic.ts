import { type Finding, type ImageReader, unsafe } from './report.js'
import {
  beyondEnd,
  broken,
  damaged,
  isPowerOfTwo,
  isZero,
  type Rule,
  readStructure,
} from './structure.js'

/** "Virtual Hard Disk Image Format Specification" 1.0, "Dynamic Disk Header Format". */
const HEADER_BYTES = 1024
const COOKIE = 'cxsparse'

/** The fields of a dynamic disk's header that matter here. */
export interface DynamicHeader {
  /** Size of the image in bytes, to measure the table against. */
  readonly fileSize: number
  readonly cookie: string
  readonly tableOffset: bigint
  readonly tableEntries: number
  /** Unit of allocation in bytes. */
  readonly blockSize: number
  /** Whether a parent's id or a place to find it is given. */
  readonly namesParent: boolean
}

/**
 * Reads the header of a dynamic disk.
 *
 * @throws {TruncatedImage} when it is not within the image.
 */
export async function readDynamicHeader(
  image: ImageReader,
  offset: bigint,
): Promise<DynamicHeader> {
  const bytes = await readStructure(image, offset, HEADER_BYTES, 'dynamic disk header')
  return {
    fileSize: image.size,
    cookie: bytes.toString('latin1', 0, 8),
    tableOffset: bytes.readBigUInt64BE(16),
    tableEntries: bytes.readUInt32BE(28),
    blockSize: bytes.readUInt32BE(32),
    namesParent: !isZero(bytes.subarray(40, 56)) || !isZero(bytes.subarray(576, 768)),
  }
}

/** What is wrong with the header of a dynamic disk of `diskSize` bytes. */
export function dynamicFindings(header: DynamicHeader, diskSize: bigint): Finding[] {
  const findings = broken(RULES, header)
  if (findings.length > 0) return findings
  const { tableOffset, tableEntries, blockSize, fileSize } = header
  const table = BigInt(tableEntries) * 4n
  const missing = beyondEnd('block allocation table', tableOffset, table, fileSize)
  if (missing !== undefined) findings.push(missing)
  const covered = BigInt(tableEntries) * BigInt(blockSize)
  if (covered < diskSize) {
    findings.push(damaged(`expected blocks for ${diskSize} bytes, found them for ${covered}`))
  }
  return findings
}

const RULES: readonly Rule<DynamicHeader>[] = [
  {
    when: ({ cookie }) => cookie !== COOKIE,
    found: () => damaged('expected a dynamic disk header where the VHD footer says, found none'),
  },
  {
    when: ({ blockSize }) => blockSize < 512 || !isPowerOfTwo(blockSize),
    found: ({ blockSize }) =>
      damaged(`expected a block size that is a power of two from 512 on, found ${blockSize}`),
  },
  {
    when: ({ namesParent }) => namesParent,
    found: () =>
      unsafe(
        'backing-file',
        'the dynamic VHD names a parent disk, so a program may read another file of the host',
      ),
  },
]
