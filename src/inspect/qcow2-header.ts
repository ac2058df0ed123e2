import type { ImageReader } from './report.js'
import { readStructure } from './structure.js'

/** QEMU docs/interop/qcow2.txt: numbers are big-endian; 72 bytes in version 2, 104 or more in 3. */
export const V2_BYTES = 72
export const V3_BYTES = 104

/** Bits of incompatible_features; a program must not open an image with any other. */
export const FEATURES: Readonly<
  Record<'dirty' | 'corrupt' | 'dataFile' | 'compressionType' | 'extendedL2', bigint>
> = {
  dirty: 1n << 0n,
  corrupt: 1n << 1n,
  dataFile: 1n << 2n,
  compressionType: 1n << 3n,
  extendedL2: 1n << 4n,
}

/** The fields of a qcow2 header that matter here; version 2 has the defaults of the document. */
export interface Qcow2Header {
  /** Size of the image in bytes, to measure the tables against. */
  readonly fileSize: number
  readonly version: number
  readonly backingOffset: bigint
  readonly backingName: Buffer
  readonly clusterBits: number
  readonly virtualSize: bigint
  readonly cryptMethod: number
  readonly l1Entries: number
  readonly l1Offset: bigint
  readonly refcountOffset: bigint
  readonly refcountClusters: number
  readonly snapshots: number
  readonly snapshotsOffset: bigint
  readonly incompatible: bigint
  readonly refcountOrder: number
  readonly headerLength: number
  /** 0 zlib, 1 zstd. */
  readonly compressionType: number
}

/** Whether the incompatible feature is on. */
export function has(header: Qcow2Header, feature: keyof typeof FEATURES): boolean {
  return (header.incompatible & FEATURES[feature]) !== 0n
}

/**
 * Reads the fixed header; `start` is its first 72 bytes, of version 2 or 3.
 *
 * @throws {TruncatedImage} when the image is shorter than its header.
 */
export async function readHeader(
  image: ImageReader,
  start: Buffer,
  version: number,
): Promise<Qcow2Header> {
  const rest = version === 2 ? VERSION_2_REST : await readVersion3(image)
  const backingOffset = start.readBigUInt64BE(8)
  return {
    fileSize: image.size,
    version,
    backingOffset,
    backingName: await readBackingName(image, backingOffset, start.readUInt32BE(16)),
    clusterBits: start.readUInt32BE(20),
    virtualSize: start.readBigUInt64BE(24),
    cryptMethod: start.readUInt32BE(32),
    l1Entries: start.readUInt32BE(36),
    l1Offset: start.readBigUInt64BE(40),
    refcountOffset: start.readBigUInt64BE(48),
    refcountClusters: start.readUInt32BE(56),
    snapshots: start.readUInt32BE(60),
    snapshotsOffset: start.readBigUInt64BE(64),
    ...rest,
  }
}

type Version3Fields = Pick<
  Qcow2Header,
  'incompatible' | 'refcountOrder' | 'headerLength' | 'compressionType'
>

const VERSION_2_REST: Version3Fields = {
  incompatible: 0n,
  refcountOrder: 4,
  headerLength: V2_BYTES,
  compressionType: 0,
}

async function readVersion3(image: ImageReader): Promise<Version3Fields> {
  const bytes = await readStructure(image, 0, V3_BYTES, 'qcow2 version 3 header')
  const headerLength = bytes.readUInt32BE(100)
  // A field exists only when header_length reaches beyond its offset ("Additional fields").
  const hasType = headerLength > V3_BYTES
  const type = hasType ? await readStructure(image, V3_BYTES, 1, 'compression type') : undefined
  return {
    incompatible: bytes.readBigUInt64BE(72),
    refcountOrder: bytes.readUInt32BE(96),
    headerLength,
    compressionType: type?.readUInt8(0) ?? 0,
  }
}

/** The name is only shown, so whatever can be read of it is enough. */
async function readBackingName(
  image: ImageReader,
  offset: bigint,
  length: number,
): Promise<Buffer> {
  if (offset === 0n || offset >= BigInt(image.size)) return Buffer.alloc(0)
  return await image.readAt(Number(offset), Math.min(length, 1023))
}
