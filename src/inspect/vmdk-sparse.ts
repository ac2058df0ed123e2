import { type Finding, type ImageReader, type Inspected, refused, unsafe } from './report.js'
import {
  beyondEnd,
  broken,
  checkedSize,
  damaged,
  isZero,
  type Rule,
  readStructure,
} from './structure.js'
import { descriptorFindings, readDescriptor } from './vmdk-descriptor.js'

/**
 * VMware's "Virtual Disk Format 5.0", section "Hosted Sparse Extent Header": numbers are
 * little-endian, and places and sizes are in sectors.
 */
const SECTOR = 512

/** Magic of a hosted sparse extent, and of its footer: `VMDK` as a little-endian number. */
export const SPARSE_MAGIC = 'KDMV'

/** gdOffset of a stream: the grain directory's place is in the footer, at the image's end. */
const GD_AT_END = 0xffffffffffffffffn

/** The footer is the last but one sector, between its marker and the end-of-stream marker. */
const FOOTER_SECTORS = 3
const FOOTER_MARKER = 3

/** The fields of a sparse header that matter here. */
interface SparseHeader {
  /** Size of the image in bytes, to measure the rest against. */
  readonly fileSize: number
  readonly version: number
  /** Size of the disk in sectors. */
  readonly capacity: bigint
  readonly grainSize: bigint
  readonly descriptorOffset: bigint
  readonly descriptorSize: bigint
  readonly entriesPerTable: number
  readonly directoryOffset: bigint
  readonly overhead: bigint
  /** 0 none, 1 deflate. */
  readonly compression: number
}

/** Inspects a monolithicSparse or streamOptimized VMDK: header, footer and descriptor. */
export async function inspectSparseVmdk(image: ImageReader): Promise<Inspected> {
  const header = parse(await readStructure(image, 0, SECTOR, 'VMDK header'), image.size)
  const unreadable = broken(SHAPE, header)
  if (unreadable.length > 0) return refused(unreadable, { version: header.version })
  const streamed = header.directoryOffset === GD_AT_END
  const findings = streamed
    ? footerFindings(header, await readFooter(image))
    : directoryFindings(header)
  const descriptor = await readDescriptor(image, Number(header.descriptorSize) * SECTOR)
  findings.push(...descriptorFindings(descriptor))
  const size = checkedSize(header.capacity * BigInt(SECTOR))
  findings.push(...size.findings)
  const subformat = header.compression === 1 ? 'streamOptimized' : 'monolithicSparse'
  const clusterSize = Number(header.grainSize) * SECTOR
  const details = { version: header.version, subformat, clusterSize }
  return { virtualSize: size.virtualSize, details, findings }
}

function parse(sector: Buffer, fileSize: number): SparseHeader {
  return {
    fileSize,
    version: sector.readUInt32LE(4),
    capacity: sector.readBigUInt64LE(12),
    grainSize: sector.readBigUInt64LE(20),
    descriptorOffset: sector.readBigUInt64LE(28),
    descriptorSize: sector.readBigUInt64LE(36),
    entriesPerTable: sector.readUInt32LE(44),
    directoryOffset: sector.readBigUInt64LE(56),
    overhead: sector.readBigUInt64LE(64),
    compression: sector.readUInt16LE(77),
  }
}

const SHAPE: readonly Rule<SparseHeader>[] = [
  {
    when: ({ version }) => version < 1 || version > 3,
    found: ({ version }) =>
      unsafe(
        'unsupported-version',
        `expected VMDK version 1, 2 or 3, found ${version}, which nobody here can check`,
      ),
  },
  {
    // With no capacity QEMU takes the extents from the descriptor (vmdk_open_vmdk4), any file.
    when: ({ capacity }) => capacity === 0n,
    found: () =>
      unsafe(
        'names-other-files',
        'the header claims a disk of no size, which makes programs open the files that the descriptor names',
      ),
  },
  {
    when: ({ grainSize }) => grainSize < 1n || grainSize > 0x200000n,
    found: ({ grainSize }) =>
      damaged(`expected a grain of 1 to 2097152 sectors, found ${grainSize}`),
  },
  {
    when: ({ entriesPerTable }) => entriesPerTable < 1 || entriesPerTable > 512,
    found: ({ entriesPerTable }) =>
      damaged(`expected 1 to 512 entries in a grain table, found ${entriesPerTable}`),
  },
  {
    // QEMU reads the descriptor there whatever the header says; two places would be two truths.
    when: ({ descriptorOffset }) => descriptorOffset !== 1n,
    found: ({ descriptorOffset }) =>
      damaged(`expected the descriptor in sector 1, found it in sector ${descriptorOffset}`),
  },
  {
    when: ({ descriptorSize }) => descriptorSize < 1n || descriptorSize > 2048n,
    found: ({ descriptorSize }) =>
      damaged(`expected a descriptor of 1 to 2048 sectors (1 MiB), found ${descriptorSize}`),
  },
  {
    when: ({ compression }) => compression > 1,
    found: ({ compression }) =>
      unsafe(
        'unknown-features',
        `expected the compression 0 (none) or 1 (deflate), found ${compression}, which nobody can read`,
      ),
  },
]

interface Footer {
  readonly header: SparseHeader
  readonly wellFormed: boolean
}

/** The footer takes precedence over the header, so it is what programs believe. */
async function readFooter(image: ImageReader): Promise<Footer> {
  const length = FOOTER_SECTORS * SECTOR
  const place = Math.max(0, image.size - length)
  const [marker, sector, end] = thirds(await readStructure(image, place, length, 'VMDK footer'))
  const wellFormed =
    image.size % SECTOR === 0 &&
    marker.readUInt32LE(8) === 0 &&
    marker.readUInt32LE(12) === FOOTER_MARKER &&
    sector.toString('latin1', 0, 4) === SPARSE_MAGIC &&
    isZero(end.subarray(0, 16))
  return { header: parse(sector, image.size), wellFormed }
}

function thirds(bytes: Buffer): [Buffer, Buffer, Buffer] {
  return [
    bytes.subarray(0, SECTOR),
    bytes.subarray(SECTOR, 2 * SECTOR),
    bytes.subarray(2 * SECTOR, 3 * SECTOR),
  ]
}

/** What header and footer must say alike: all but the places that are only known at the end. */
const COMMON = [
  'version',
  'capacity',
  'grainSize',
  'descriptorOffset',
  'descriptorSize',
  'entriesPerTable',
  'compression',
] as const satisfies readonly (keyof SparseHeader)[]

function footerFindings(header: SparseHeader, footer: Footer): Finding[] {
  if (!footer.wellFormed) {
    const message =
      'the header sends programs to a footer, but the last three sectors are none, so the image is incomplete or damaged'
    return [unsafe('truncated', message)]
  }
  const endless = footer.header.directoryOffset === GD_AT_END
  const findings = COMMON.filter((field) => header[field] !== footer.header[field]).map((field) =>
    unsafe(
      'footer-disagrees',
      `header and footer disagree in ${field} (${header[field]} and ${footer.header[field]}), so two programs may see two disks`,
    ),
  )
  if (endless) findings.push(damaged('the footer sends programs to yet another footer'))
  return findings.length > 0 ? findings : directoryFindings(footer.header)
}

/** The grain directory has one entry of 4 bytes for each grain table. */
function directoryFindings(header: SparseHeader): Finding[] {
  const covered = header.grainSize * BigInt(header.entriesPerTable)
  const entries = (header.capacity + covered - 1n) / covered
  const sector = BigInt(SECTOR)
  return [
    beyondEnd('grain directory', header.directoryOffset * sector, entries * 4n, header.fileSize),
    beyondEnd('metadata before the first grain', 0n, header.overhead * sector, header.fileSize),
  ].filter((finding) => finding !== undefined)
}
