import type { FileHandle } from 'node:fs/promises'
import { runCommand } from '../core/command.js'
import { fromSystem, VolsealError } from '../core/errors.js'
import { readAt } from '../core/files.js'
import type { Device } from './device.js'
import { COPY_SIZES, FIRST_MAGIC, SECOND_MAGIC } from './luks2-header.js'

/**
 * What a device holds, by positive evidence: `blank` is said only of areas that were read without
 * error and found to be zero. `cryptsetup isLuks` and its exit codes are no evidence: they say "no"
 * for a read error too, which is how other tools have formatted volumes that held data.
 */
export type Content =
  | { readonly kind: 'blank' }
  | { readonly kind: 'luks'; readonly version: 1 | 2 }
  | { readonly kind: 'luks-damaged'; readonly what: string }
  | { readonly kind: 'data'; readonly what: string; readonly at: number }

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
const BTRFS_MIRRORS: readonly number[] = [64 * MIB, 256 * 1024 * MIB]

/**
 * Reads the areas that matter and says what is there.
 *
 * @throws {VolsealError} `io` when any of them cannot be read: then nothing is known
 */
export async function examineContent(file: FileHandle, device: Device): Promise<Content> {
  const head = await readArea(file, device, 0, HEAD_BYTES)
  const luks = luksContent(head)
  if (luks !== undefined) return luks
  const at = firstNonZero(head) ?? (await nonZeroBehind(file, device))
  return at === undefined
    ? { kind: 'blank' }
    : { kind: 'data', what: await nameContent(device), at }
}

function luksContent(head: Buffer): Content | undefined {
  if (head.subarray(0, 6).equals(FIRST_MAGIC)) {
    const version = head.readUInt16BE(6)
    if (version === 1 || version === 2) return { kind: 'luks', version }
    return { kind: 'luks-damaged', what: `a LUKS header of the unknown version ${version}` }
  }
  const second = COPY_SIZES.find((offset) => head.subarray(offset, offset + 6).equals(SECOND_MAGIC))
  if (second === undefined) return undefined
  return {
    kind: 'luks-damaged',
    what: `the second LUKS2 header at byte ${second}, but not the first one`,
  }
}

async function nonZeroBehind(file: FileHandle, device: Device): Promise<number | undefined> {
  for (const [offset, length] of areasBehindHead(device.size)) {
    const at = firstNonZero(await readArea(file, device, offset, length))
    if (at !== undefined) return offset + at
  }
  return undefined
}

function areasBehindHead(size: number): [offset: number, length: number][] {
  const rest = size - HEAD_BYTES
  if (rest <= 0) return []
  if (size <= WHOLE_BYTES) return piecesOf(HEAD_BYTES, rest)
  const stride = Math.floor((rest - TAIL_BYTES) / SAMPLES)
  const samples = Array.from({ length: SAMPLES }, (_, index): [number, number] => [
    HEAD_BYTES + index * stride,
    SAMPLE_BYTES,
  ])
  const mirrors = BTRFS_MIRRORS.filter((offset) => offset < size).map(
    (offset): [number, number] => [offset, SAMPLE_BYTES],
  )
  return [[size - TAIL_BYTES, TAIL_BYTES], ...mirrors, ...samples]
}

function piecesOf(start: number, length: number): [offset: number, length: number][] {
  return Array.from({ length: Math.ceil(length / MIB) }, (_, index) => [start + index * MIB, MIB])
}

/**
 * Reads an area as far as the device reaches; a short read is an error, not an end.
 *
 * @throws {VolsealError} `io`
 */
export async function readArea(
  file: FileHandle,
  device: Device,
  offset: number,
  length: number,
): Promise<Buffer> {
  const expected = Math.max(0, Math.min(length, device.size - offset))
  try {
    const area = await readAt(file.fd, offset, expected)
    if (area.length === expected) return area
  } catch (error) {
    throw fromSystem(error, `cannot read ${device.path} at byte ${offset}`)
  }
  throw new VolsealError('io', `${device.path} ends before its size of ${device.size} bytes`)
}

const ZEROS = Buffer.alloc(MIB)

function firstNonZero(bytes: Buffer): number | undefined {
  for (let offset = 0; offset < bytes.length; offset += MIB) {
    const part = bytes.subarray(offset, offset + MIB)
    if (!part.equals(ZEROS.subarray(0, part.length))) {
      return offset + part.findIndex((byte) => byte !== 0)
    }
  }
  return undefined
}

/** What libblkid calls the content; it only serves the message, never the decision. */
async function nameContent(device: Device): Promise<string> {
  const probe = ['--probe', '--output', 'export', device.realPath]
  const result = await runCommand('blkid', probe).catch(() => undefined)
  const named = /^(?:TYPE|PTTYPE)=(.+)$/m.exec(result?.stdout ?? '')?.[1]
  return named === undefined ? 'data of an unknown kind' : `${named} data`
}

/** The refusal of a device whose LUKS header is there but cannot be used. */
export function damagedHeader(device: Device, what: string): VolsealError {
  return new VolsealError('header-damaged', `${device.path} holds a damaged LUKS header: ${what}`, {
    hint: `nothing was changed; try cryptsetup repair ${device.path}, or restore a header backup`,
  })
}
