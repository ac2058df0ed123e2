import {
  type Finding,
  type ImageReader,
  type Inspected,
  refused,
  unsafe,
  warning,
} from './report.js'
import { beyondEnd, broken, checkedSize, damaged, type Rule, readStructure } from './structure.js'
import { dynamicFindings, readDynamicHeader } from './vhd-dynamic.js'

/** Microsoft's "Virtual Hard Disk Image Format Specification" 1.0: numbers are big-endian. */
const FOOTER_BYTES = 512
/** Footers written before Virtual PC 2004 lack the last byte. */
const OLD_FOOTER_BYTES = 511
const COOKIE = 'conectix'
const FORMAT_VERSION = 0x00010000
const CHECKSUM_OFFSET = 64

/** QEMU's limit in bytes (block/vpc.c, VHD_MAX_SECTORS): 2040 GiB. */
const MAX_BYTES = 2040n * 1024n ** 3n
/** 65535 cylinders of 16 heads of 255 sectors: geometry cannot say more, so it says nothing. */
const MAX_GEOMETRY = 65535 * 16 * 255

/**
 * Creators whose size field is the size of the disk; that of all others is its geometry, because
 * Virtual PC showed its guests no more (block/vpc.c, vpc_open). The last, Azure, is one to newer
 * QEMUs only, but its field is right.
 */
const SIZE_CREATORS = ['win ', 'qem2', 'd2v ', 'tap\0', 'CTXS', 'wa\0\0']

/** Disk type by number. */
const TYPES: Readonly<Record<number, 'fixed' | 'dynamic' | 'differencing'>> = {
  2: 'fixed',
  3: 'dynamic',
  4: 'differencing',
}

/** The fields of a VHD footer that matter here. */
interface Footer {
  readonly bytes: Buffer
  readonly version: number
  /** Where the dynamic disk's header is, in bytes. */
  readonly headerOffset: bigint
  readonly creator: string
  readonly currentSize: bigint
  readonly geometrySectors: number
  readonly type: number
  readonly checksum: number
  readonly savedState: boolean
}

/** Inspects a VHD: a fixed disk by its footer, a dynamic one by footer, copy and header. */
export async function inspectVhd(image: ImageReader): Promise<Inspected> {
  const start = await image.readAt(0, FOOTER_BYTES)
  const copied = hasCookie(start)
  const footer = copied
    ? parse(await readStructure(image, 0, FOOTER_BYTES, 'VHD footer copy'))
    : parse(await readEnd(image))
  const subformat = TYPES[footer.type]
  const details = subformat === undefined ? {} : { subformat }
  const unreadable = broken(SHAPE, footer)
  if (subformat === 'differencing') unreadable.push(differencing())
  if (unreadable.length > 0) return refused(unreadable, details)
  const { virtualSize, findings } = checkedSize(diskSize(footer))
  findings.push(...broken(VALUES, footer))
  if (!copied) {
    findings.push(...fixedFindings(image, footer))
    return { virtualSize, details, findings }
  }
  findings.push(...copyFindings(footer, await readEnd(image)))
  const header = await readDynamicHeader(image, footer.headerOffset)
  findings.push(...dynamicFindings(header, diskSize(footer)))
  return { virtualSize, details: { ...details, clusterSize: header.blockSize }, findings }
}

/** Whether the bytes start with a footer, as they do at the start of a dynamic disk. */
export function hasCookie(bytes: Buffer): boolean {
  return bytes.toString('latin1', 0, COOKIE.length) === COOKIE
}

/** Whether the last 512 bytes of an image end in a footer, new or old. */
export function endsInFooter(end: Buffer): boolean {
  return hasCookie(end) || hasCookie(end.subarray(FOOTER_BYTES - OLD_FOOTER_BYTES))
}

/** The last 512 bytes; an old footer is moved to their start, and its missing byte is zero. */
async function readEnd(image: ImageReader): Promise<Buffer> {
  const place = Math.max(0, image.size - FOOTER_BYTES)
  const end = await readStructure(image, place, FOOTER_BYTES, 'VHD footer')
  const old = end.subarray(FOOTER_BYTES - OLD_FOOTER_BYTES)
  return !hasCookie(end) && hasCookie(old) ? Buffer.concat([old, Buffer.alloc(1)]) : end
}

function parse(bytes: Buffer): Footer {
  return {
    bytes,
    version: bytes.readUInt32BE(12),
    headerOffset: bytes.readBigUInt64BE(16),
    creator: bytes.toString('latin1', 28, 32),
    currentSize: bytes.readBigUInt64BE(48),
    geometrySectors: bytes.readUInt16BE(56) * bytes.readUInt8(58) * bytes.readUInt8(59),
    type: bytes.readUInt32BE(60),
    checksum: bytes.readUInt32BE(CHECKSUM_OFFSET),
    savedState: bytes.readUInt8(84) !== 0,
  }
}

/** Size of the disk in bytes, as QEMU sees it. */
function diskSize({ creator, currentSize, geometrySectors }: Footer): bigint {
  const bySize = SIZE_CREATORS.includes(creator) || geometrySectors === MAX_GEOMETRY
  return bySize ? (currentSize / 512n) * 512n : BigInt(geometrySectors) * 512n
}

/** One's complement of the sum of all bytes but the checksum itself. */
function checksum(bytes: Buffer): number {
  const sum = bytes.reduce((total, byte) => total + byte, 0)
  const own = bytes.subarray(CHECKSUM_OFFSET, CHECKSUM_OFFSET + 4)
  return ~(sum - own.reduce((total, byte) => total + byte, 0)) >>> 0
}

const SHAPE: readonly Rule<Footer>[] = [
  {
    when: (footer) => checksum(footer.bytes) !== footer.checksum,
    found: (footer) =>
      damaged(
        `expected the VHD footer checksum ${checksum(footer.bytes)}, found ${footer.checksum}, so the footer was altered`,
      ),
  },
  {
    when: ({ version }) => version !== FORMAT_VERSION,
    found: ({ version }) =>
      unsafe(
        'unsupported-version',
        `expected VHD version 0x10000, found 0x${version.toString(16)}, which nobody here can check`,
      ),
  },
  {
    when: ({ type }) => TYPES[type] === undefined,
    found: ({ type }) =>
      unsafe(
        'unsupported-subformat',
        `expected the VHD disk type 2 (fixed) or 3 (dynamic), found ${type}, which nobody can read`,
      ),
  },
]

const VALUES: readonly Rule<Footer>[] = [
  {
    when: (footer) => diskSize(footer) > MAX_BYTES,
    found: (footer) =>
      damaged(`expected a VHD of at most ${MAX_BYTES} bytes, found ${diskSize(footer)}`),
  },
  {
    when: ({ savedState }) => savedState,
    found: () =>
      warning(
        'dirty',
        'the disk belongs to a virtual machine that was suspended, so its file systems may be inconsistent',
      ),
  },
]

function differencing(): Finding {
  return unsafe(
    'backing-file',
    'the image is a differencing VHD, so opening it reads its parent, another file of the host',
  )
}

function fixedFindings(image: ImageReader, footer: Footer): Finding[] {
  if (TYPES[footer.type] !== 'fixed') {
    const message = `expected a copy of the footer at the start of a VHD of disk type ${footer.type}, found none`
    return [damaged(message)]
  }
  // The content is whole sectors, so one byte more or less of footer makes no difference.
  const missing = beyondEnd('content', 0n, diskSize(footer), image.size - OLD_FOOTER_BYTES)
  return missing === undefined ? [] : [missing]
}

/** The copy at the start is what programs read; a footer that differs is another disk. */
function copyFindings(copy: Footer, end: Buffer): Finding[] {
  if (TYPES[copy.type] !== 'dynamic') {
    return [damaged('expected a footer at the start of dynamic disks only, found a fixed disk')]
  }
  if (!hasCookie(end)) {
    const message =
      'expected a VHD footer in the last 512 bytes, found none, so the image is incomplete'
    return [unsafe('truncated', message)]
  }
  if (end.equals(copy.bytes)) return []
  const message = 'the footer and its copy at the start differ, so two programs may see two disks'
  return [unsafe('footer-disagrees', message)]
}
