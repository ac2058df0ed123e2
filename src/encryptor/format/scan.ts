import type { FileHandle } from 'node:fs/promises'
import { fromSystem, throwIfAborted, VolsealError } from '../../core/errors.js'
import { readAt } from '../../core/files.js'
import type { Device } from '../device.js'

/** How much of a device is read for something that is not zero. */
export type Scan = 'sample' | 'full'

export const SCANS: readonly Scan[] = ['sample', 'full']

export interface ScanOptions {
  /** `sample` when not given. */
  readonly scan?: Scan | undefined
  readonly signal?: AbortSignal | undefined
  /** Told after every piece of a full scan. */
  readonly onProgress?: ((bytes: number, total: number) => void) | undefined
}

const MIB = 1024 * 1024

/**
 * The start, with both LUKS2 headers and their key material (16 MiB), a LUKS1 header (2 MiB), and
 * nearly every file system's and volume manager's signature.
 */
export const HEAD_BYTES: number = 16 * MIB + 64 * 1024
/** The end: GPT's second copy, MD metadata 0.9 and 1.0, ZFS labels, VHD footers. */
export const TAIL_BYTES: number = MIB
/** Read whole up to that size; it takes a fraction of a second. */
const WHOLE_BYTES = 256 * MIB
/** Larger ones in so many samples, evenly spread: a disk whose start alone was wiped is not blank. */
const SAMPLES = 64
const SAMPLE_BYTES = 64 * 1024
/** btrfs keeps copies of its superblock there (btrfs on-disk format, "Superblock"). */
export const BTRFS_MIRRORS: readonly number[] = [64 * MIB, 256 * 1024 * MIB]

type Area = readonly [offset: number, length: number]

/**
 * Where the first byte that is not zero lies behind the head, or undefined when all that was looked
 * at is zero.
 *
 * @throws {VolsealError} `io` at what cannot be read: then nothing is known
 */
export async function nonZeroBehindHead(
  file: FileHandle,
  device: Device,
  { scan, signal, onProgress }: ScanOptions,
): Promise<number | undefined> {
  const areas = scan === 'full' ? piecesOf(HEAD_BYTES, device.size) : samplesOf(device.size)
  const buffer = Buffer.alloc(MIB)
  for (const [offset, length] of areas) {
    throwIfAborted(signal)
    const at = firstNonZero(await readArea(file, device, offset, length, buffer))
    if (at !== undefined) return offset + at
    if (scan === 'full') onProgress?.(Math.min(device.size, offset + length), device.size)
  }
  return undefined
}

/** @throws {VolsealError} `io` when any of the samples cannot be read, whatever they hold */
export async function requireReadable(file: FileHandle, device: Device): Promise<void> {
  for (const [offset, length] of samplesOf(device.size)) {
    await readArea(file, device, offset, length)
  }
}

/** Made as they are read: a list of the pieces of a large device would be large itself. */
function* piecesOf(start: number, end: number): Generator<Area> {
  for (let offset = start; offset < end; offset += MIB) yield [offset, MIB]
}

function samplesOf(size: number): Iterable<Area> {
  if (size <= WHOLE_BYTES) return piecesOf(HEAD_BYTES, size)
  const stride = Math.floor((size - HEAD_BYTES - TAIL_BYTES) / SAMPLES)
  const samples = Array.from(
    { length: SAMPLES },
    (_, index): Area => [HEAD_BYTES + index * stride, SAMPLE_BYTES],
  )
  const mirrors = BTRFS_MIRRORS.filter((offset) => offset < size).map(
    (offset): Area => [offset, SAMPLE_BYTES],
  )
  return [[size - TAIL_BYTES, TAIL_BYTES], ...mirrors, ...samples]
}

/**
 * Reads an area as far as the device reaches; a short read is an error, not an end.
 *
 * @param buffer for what is read, instead of memory of its own
 */
export async function readArea(
  file: FileHandle,
  device: Device,
  offset: number,
  length: number,
  buffer?: Buffer,
): Promise<Buffer> {
  const expected = Math.max(0, Math.min(length, device.size - offset))
  try {
    const area = await readAt(file.fd, offset, expected, buffer)
    if (area.length === expected) return area
  } catch (error) {
    throw fromSystem(error, `cannot read ${device.path} at byte ${offset}`)
  }
  throw new VolsealError('io', `${device.path} ends before its size of ${device.size} bytes`)
}

const ZEROS = Buffer.alloc(MIB)

/** Where the first byte that is not zero lies, or undefined. */
export function firstNonZero(bytes: Buffer): number | undefined {
  for (let offset = 0; offset < bytes.length; offset += MIB) {
    const part = bytes.subarray(offset, offset + MIB)
    if (!part.equals(ZEROS.subarray(0, part.length))) {
      return offset + part.findIndex((byte) => byte !== 0)
    }
  }
  return undefined
}
