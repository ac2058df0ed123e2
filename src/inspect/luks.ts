import {
  type Finding,
  type ImageReader,
  type Inspected,
  refused,
  unsafe,
  warning,
} from './report.js'
import { beyondEnd, broken, damaged, quoted, type Rule, readStructure } from './structure.js'

/** "LUKS1 On-Disk Format Specification" 1.2.3 and "LUKS2 On-Disk Format Specification" 1.1.1. */
const MAGIC = 'LUKS\xba\xbe'
const SECONDARY_MAGIC = 'SKUL\xba\xbe'
const LUKS1_BYTES = 592
const LUKS2_BYTES = 4096
const SECTOR = 512n

/** Sizes of one LUKS2 header, so also the places of the second: 16 KiB to 4 MiB. */
const LUKS2_HEADER_SIZES: readonly number[] = [16, 32, 64, 128, 256, 512, 1024, 2048, 4096].map(
  (kib) => kib * 1024,
)

/** Inspects a LUKS volume, or what is left of one: the fixed part of its header. */
export async function inspectLuks(image: ImageReader): Promise<Inspected> {
  const start = await readStructure(image, 0, 8, 'LUKS magic')
  if (!isLuks(start)) return await inspectSecondary(image)
  const version = start.readUInt16BE(6)
  if (version === 1) return await inspectLuks1(image)
  if (version === 2) return await inspectLuks2(image)
  const message = `expected LUKS version 1 or 2, found ${version}, which nobody here can check`
  return refused([unsafe('unsupported-version', message)], { version })
}

/** Whether the bytes start a primary LUKS header. */
export function isLuks(start: Buffer): boolean {
  return start.toString('latin1', 0, MAGIC.length) === MAGIC
}

/**
 * Where a second LUKS2 header is, in bytes; undefined when there is none. It must say its own
 * place (hdr_offset), so one that is somebody's content at another place is none.
 */
export async function secondaryHeader(image: ImageReader): Promise<number | undefined> {
  for (const offset of LUKS2_HEADER_SIZES.filter((place) => place < image.size)) {
    const bytes = await image.readAt(offset, 264)
    const magic = bytes.toString('latin1', 0, SECONDARY_MAGIC.length)
    if (bytes.length < 264 || magic !== SECONDARY_MAGIC) continue
    if (bytes.readBigUInt64BE(256) === BigInt(offset)) return offset
  }
  return undefined
}

/** Cryptsetup restores the first header from the second; everybody else sees a raw disk. */
async function inspectSecondary(image: ImageReader): Promise<Inspected> {
  const offset = await secondaryHeader(image)
  const message = `the first LUKS2 header is gone and the second is at byte ${offset}, so cryptsetup sees a volume where other programs see a raw disk`
  return refused([warning('secondary-header-only', message)], { version: 2 })
}

/** The fields of a LUKS1 header that matter here. */
interface Luks1Header {
  readonly cipher: Buffer
  /** In sectors of 512 bytes; 0 in a detached header. */
  readonly payloadOffset: number
  readonly keyBytes: number
}

async function inspectLuks1(image: ImageReader): Promise<Inspected> {
  const bytes = await readStructure(image, 0, LUKS1_BYTES, 'LUKS1 header')
  const header = {
    cipher: bytes.subarray(8, 40),
    payloadOffset: bytes.readUInt32BE(104),
    keyBytes: bytes.readUInt32BE(108),
  }
  const findings = broken(LUKS1_RULES, header)
  const payload = BigInt(header.payloadOffset) * SECTOR
  const missing = beyondEnd('LUKS1 key slots', 0n, payload, image.size)
  if (missing !== undefined) findings.push(missing)
  const known = findings.length === 0 && header.payloadOffset > 0
  const virtualSize = known ? image.size - Number(payload) : null
  return { virtualSize, details: { version: 1 }, findings }
}

const LUKS1_RULES: readonly Rule<Luks1Header>[] = [
  {
    when: ({ keyBytes }) => keyBytes < 1 || keyBytes > 512,
    found: ({ keyBytes }) => damaged(`expected a LUKS1 key of 1 to 512 bytes, found ${keyBytes}`),
  },
  {
    when: ({ cipher }) => !cipher.includes(0) || cipher[0] === 0,
    found: ({ cipher }) => damaged(`expected the name of a LUKS1 cipher, found ${quoted(cipher)}`),
  },
]

/** LUKS2 keeps its payload's place in JSON of up to 4 MiB, which is not read: no virtual size. */
async function inspectLuks2(image: ImageReader): Promise<Inspected> {
  const bytes = await readStructure(image, 0, LUKS2_BYTES, 'LUKS2 header')
  const [headerSize, ownOffset] = [bytes.readBigUInt64BE(8), bytes.readBigUInt64BE(256)]
  const findings = [
    ...luks2Findings(headerSize, ownOffset, image.size),
    warning(
      'openstack-refuses',
      "the volume is LUKS2, which cryptsetup opens, but OpenStack's inspector (oslo.utils) refuses in an image",
    ),
  ]
  return { virtualSize: null, details: { version: 2 }, findings }
}

function luks2Findings(headerSize: bigint, ownOffset: bigint, fileSize: number): Finding[] {
  if (!LUKS2_HEADER_SIZES.includes(Number(headerSize))) {
    return [damaged(`expected a LUKS2 header of 16 KiB to 4 MiB, found ${headerSize} bytes`)]
  }
  if (ownOffset !== 0n) {
    return [damaged(`expected a LUKS2 header for byte 0, found one for byte ${ownOffset}`)]
  }
  const missing = beyondEnd('pair of LUKS2 headers', 0n, 2n * headerSize, fileSize)
  return missing === undefined ? [] : [missing]
}
