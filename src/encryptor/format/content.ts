import type { FileHandle } from 'node:fs/promises'
import { pathOfFd } from '../../core/command.js'
import { VolsealError } from '../../core/errors.js'
import type { Device } from '../device.js'
import { probeContent } from './libblkid.js'
import { type Marker, parseMarker } from './marker.js'
import { firstNonZero, HEAD_BYTES, nonZeroBehindHead, readArea, type ScanOptions } from './scan.js'
import {
  type FoundSignature,
  findSignature,
  LUKS_MAGIC,
  LUKS2_SECOND_MAGIC,
  LUKS2_SECOND_PLACES,
} from './signatures.js'

/**
 * What a device holds, by positive evidence: `blank` is said only of areas that were read without
 * error and found to be zero. `cryptsetup isLuks` and its exit codes are no evidence: they say "no"
 * for a read error too, which is how other tools have formatted volumes that held data.
 */
export type Content =
  | { readonly kind: 'blank' }
  | { readonly kind: 'luks'; readonly version: 1 | 2 }
  | { readonly kind: 'luks-damaged'; readonly what: string }
  /**
   * A formatting that has not come to its end: there is a marker, and nothing known of anybody else;
   * `at` is the first byte behind the header that is not zero, if there is any.
   */
  | ({ readonly kind: 'begun'; readonly at: number | undefined } & Marker)
  | { readonly kind: 'data'; readonly what: string; readonly at: number }

/**
 * Reads the areas that matter, or all of it, and says what is there.
 *
 * @throws {VolsealError} `io` when any of them cannot be read: then nothing is known
 */
export async function examineContent(
  file: FileHandle,
  device: Device,
  options: ScanOptions = {},
): Promise<Content> {
  const head = await readArea(file, device, 0, HEAD_BYTES)
  const marker = parseMarker(head)
  if (marker !== undefined) return await begunContent(file, device, marker, options)
  const luks = luksContent(head)
  if (luks !== undefined) return luks
  const at = firstNonZero(head) ?? (await nonZeroBehindHead(file, device, options))
  return at === undefined
    ? { kind: 'blank' }
    : { kind: 'data', what: await nameContent(file, device), at }
}

/**
 * What lies behind a marker is ours as far as a header reaches, unless it is known to be somebody
 * else's (RAID leaves sector 0). Behind that, nothing may have been written yet: a marker that came
 * back from a cache or a copy must not cost the volume that was used since.
 */
async function begunContent(
  file: FileHandle,
  device: Device,
  marker: Marker,
  options: ScanOptions,
): Promise<Content> {
  const mark = `behind the mark of a formatting begun for ${marker.volumeId}`
  const found = await findSignature(file, device, { luks: false })
  if (found !== undefined) return { kind: 'data', what: `${dataOf(found)} ${mark}`, at: found.at }
  const rest = await readArea(file, device, marker.headerBytes, HEAD_BYTES - marker.headerBytes)
  const near = firstNonZero(rest)
  const at =
    near === undefined ? await nonZeroBehindHead(file, device, options) : marker.headerBytes + near
  return { kind: 'begun', ...marker, at }
}

function luksContent(head: Buffer): Content | undefined {
  if (head.toString('latin1', 0, LUKS_MAGIC.length) === LUKS_MAGIC) {
    const version = head.length < 8 ? 0 : head.readUInt16BE(LUKS_MAGIC.length)
    if (version === 1 || version === 2) return { kind: 'luks', version }
    return { kind: 'luks-damaged', what: `a LUKS header of the unknown version ${version}` }
  }
  const second = LUKS2_SECOND_PLACES.find(
    (offset) =>
      head.toString('latin1', offset, offset + LUKS2_SECOND_MAGIC.length) === LUKS2_SECOND_MAGIC,
  )
  if (second === undefined) return undefined
  return {
    kind: 'luks-damaged',
    what: `the second LUKS2 header at byte ${second}, but not the first one`,
  }
}

/** Only serves the message, never the decision. */
async function nameContent(file: FileHandle, device: Device): Promise<string> {
  const named = await probeContent(pathOfFd(file.fd)).catch(() => undefined)
  if (named !== undefined) return `${named} data`
  const found = await findSignature(file, device)
  return found === undefined ? 'data of an unknown kind' : dataOf(found)
}

/** `xfs data`, `the remains of a LUKS1 header`. */
export function dataOf({ name, luks }: Pick<FoundSignature, 'name' | 'luks'>): string {
  return luks ? name : `${name} data`
}

/** What a device holds, as a refusal says it. */
export function describeContent(content: Content): string {
  if (content.kind === 'blank') return 'nothing'
  if (content.kind === 'luks') return `a LUKS${content.version} volume`
  if (content.kind === 'luks-damaged') return content.what
  if (content.kind === 'begun') return `the beginning of the LUKS volume ${content.volumeId}`
  return `${content.what}, the first at byte ${content.at}`
}

/** The refusal of a device whose LUKS header is there but cannot be used. */
export function damagedHeader(device: Device, what: string): VolsealError {
  return new VolsealError('header-damaged', `${device.path} holds a damaged LUKS header: ${what}`, {
    hint: `nothing was changed; try cryptsetup repair ${device.path}, or restore a header backup`,
  })
}
