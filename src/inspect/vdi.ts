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

/** VirtualBox's VDICore.h, as QEMU's block/vdi.c has it: numbers are little-endian. */
const HEADER_BYTES = 512
const SIGNATURE_OFFSET = 64
const SIGNATURE = 0xbeda107f
const VERSION_1_1 = 0x00010001

/** Header sizes of version 1.1 in bytes, counted from byte 72: QEMU's, up to a full sector. */
const LEAST_HEADER_SIZE = 0x180
const MOST_HEADER_SIZE = HEADER_BYTES - 72

/** The only size of block that QEMU reads, in bytes. */
const BLOCK_BYTES = 1024 * 1024

/** Image type by number; QEMU knows the first two. */
const TYPES: Readonly<Record<number, string>> = {
  1: 'dynamic',
  2: 'fixed',
  3: 'undo',
  4: 'differencing',
}

/** The fields of a VDI header that matter here. */
interface VdiHeader {
  /** Size of the image in bytes, to measure the rest against. */
  readonly fileSize: number
  readonly version: number
  readonly headerSize: number
  readonly type: number
  readonly mapOffset: number
  readonly dataOffset: number
  readonly sectorSize: number
  readonly diskSize: bigint
  readonly blockSize: number
  readonly blocks: number
  readonly allocated: number
  readonly linked: boolean
}

/** Inspects a VDI of version 1.1: its header, not its block map. */
export async function inspectVdi(image: ImageReader): Promise<Inspected> {
  const bytes = await readStructure(image, 0, HEADER_BYTES, 'VDI header')
  const header = parse(bytes, image.size)
  const subformat = TYPES[header.type]
  const details = subformat === undefined ? {} : { subformat }
  const unreadable = broken(SHAPE, header)
  if (unreadable.length > 0) return refused(unreadable, details)
  // QEMU shows whole sectors, as VirtualBox converts images of odd size.
  const { virtualSize, findings } = checkedSize(((header.diskSize + 511n) / 512n) * 512n)
  findings.push(...broken(VALUES, header), ...placeFindings(header))
  return { virtualSize, details: { ...details, clusterSize: header.blockSize }, findings }
}

/** Whether the bytes start a VDI; the text before the signature can be anything. */
export function isVdi(start: Buffer): boolean {
  return start.length >= 68 && start.readUInt32LE(SIGNATURE_OFFSET) === SIGNATURE
}

function parse(bytes: Buffer, fileSize: number): VdiHeader {
  return {
    fileSize,
    version: bytes.readUInt32LE(68),
    headerSize: bytes.readUInt32LE(72),
    type: bytes.readUInt32LE(76),
    mapOffset: bytes.readUInt32LE(340),
    dataOffset: bytes.readUInt32LE(344),
    sectorSize: bytes.readUInt32LE(360),
    diskSize: bytes.readBigUInt64LE(368),
    blockSize: bytes.readUInt32LE(376),
    blocks: bytes.readUInt32LE(384),
    allocated: bytes.readUInt32LE(388),
    // uuidLinkage and uuidParentModify.
    linked: !isZero(bytes.subarray(424, 456)),
  }
}

const SHAPE: readonly Rule<VdiHeader>[] = [
  {
    when: ({ version }) => version !== VERSION_1_1,
    found: ({ version }) =>
      unsafe(
        'unsupported-version',
        `expected VDI version 1.1, found ${version >>> 16}.${version & 0xffff}, which nobody here can check`,
      ),
  },
  {
    when: ({ headerSize }) => headerSize < LEAST_HEADER_SIZE || headerSize > MOST_HEADER_SIZE,
    found: ({ headerSize }) =>
      damaged(
        `expected a VDI header of ${LEAST_HEADER_SIZE} to ${MOST_HEADER_SIZE} bytes, found ${headerSize}`,
      ),
  },
  {
    when: ({ type, linked }) => type === 3 || type === 4 || linked,
    found: () =>
      unsafe(
        'backing-file',
        'the image is a differencing VDI, so opening it reads its parent, another file of the host',
      ),
  },
  {
    when: ({ type }) => TYPES[type] === undefined,
    found: ({ type }) =>
      unsafe(
        'unsupported-subformat',
        `expected the VDI image type 1 (dynamic) or 2 (fixed), found ${type}, which nobody can read`,
      ),
  },
]

/** QEMU refuses what breaks these as well (vdi_open). */
const VALUES: readonly Rule<VdiHeader>[] = [
  {
    when: ({ sectorSize }) => sectorSize !== 512,
    found: ({ sectorSize }) => damaged(`expected sectors of 512 bytes, found ${sectorSize}`),
  },
  {
    when: ({ blockSize }) => blockSize !== BLOCK_BYTES,
    found: ({ blockSize }) =>
      damaged(`expected blocks of ${BLOCK_BYTES} bytes, found ${blockSize}`),
  },
  {
    when: ({ diskSize, blocks }) => diskSize > BigInt(blocks) * BigInt(BLOCK_BYTES),
    found: ({ diskSize, blocks }) =>
      damaged(`expected blocks for ${diskSize} bytes, found ${blocks} of them`),
  },
  {
    when: ({ allocated, blocks }) => allocated > blocks,
    found: ({ allocated, blocks }) =>
      damaged(`expected at most ${blocks} allocated blocks, found ${allocated}`),
  },
  {
    when: ({ mapOffset, dataOffset }) => mapOffset % 512 !== 0 || dataOffset % 512 !== 0,
    found: ({ mapOffset, dataOffset }) =>
      damaged(
        `expected block map and data at the start of sectors, found them at bytes ${mapOffset} and ${dataOffset}`,
      ),
  },
  {
    when: ({ mapOffset, dataOffset, blocks }) =>
      mapOffset < HEADER_BYTES || dataOffset < mapOffset + blocks * 4,
    found: ({ mapOffset, dataOffset }) =>
      damaged(
        `expected header, block map and data one after the other, found the latter at bytes ${mapOffset} and ${dataOffset}`,
      ),
  },
]

function placeFindings(header: VdiHeader): Finding[] {
  const { mapOffset, dataOffset, blocks, allocated, fileSize } = header
  const content = BigInt(allocated) * BigInt(BLOCK_BYTES)
  return [
    beyondEnd('block map', BigInt(mapOffset), BigInt(blocks) * 4n, fileSize),
    beyondEnd('content', BigInt(dataOffset), content, fileSize),
  ].filter((finding) => finding !== undefined)
}
