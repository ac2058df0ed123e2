import type { FileHandle } from 'node:fs/promises'
import { VolsealError } from '../../core/errors.js'
import type { Device } from '../device.js'
import { damagedHeader } from '../format/content.js'
import { parseMarker } from '../format/marker.js'
import { readArea } from '../format/scan.js'
import { LUKS1_HEADER_BYTES, type Luks1Header, parseLuks1Header } from './luks1-header.js'
import {
  BINARY_BYTES,
  COPY_SIZES,
  FIRST_MAGIC,
  type Luks2Header,
  luks2Reach,
  parseLuks2Header,
  SECOND_MAGIC,
} from './luks2-header.js'

/** A header as it was read once, and taken apart. */
export type FoundHeader =
  | { readonly version: 1; readonly header: Luks1Header; readonly bytes: Buffer }
  | { readonly version: 2; readonly header: Luks2Header }

const VERSION_AT = FIRST_MAGIC.length
const LAST_SECOND = Math.max(...COPY_SIZES)

/**
 * Reads the header of a volume, and no more of the device.
 *
 * @throws {VolsealError} `not-found` for what is no LUKS volume, `header-damaged`, `io`
 */
export async function readHeader(file: FileHandle, device: Device): Promise<FoundHeader> {
  const start = await readArea(file, device, 0, BINARY_BYTES)
  if (!hasFirstMagic(start)) throw await withoutFirst(file, device)
  const isLonger = start.length >= LUKS1_HEADER_BYTES && start.readUInt16BE(VERSION_AT) === 2
  const head = isLonger ? await readArea(file, device, 0, luks2Reach(start)) : start
  try {
    return parseHeader(head)
  } catch (error) {
    // The parser and its guards know what is wrong, but not on which device.
    if (error instanceof VolsealError) throw damagedHeader(device, error.message)
    throw error
  }
}

function hasFirstMagic(head: Buffer): boolean {
  return head.subarray(0, VERSION_AT).equals(FIRST_MAGIC)
}

/**
 * The header that bytes begin with.
 *
 * @throws {VolsealError} what is wrong with it, for the caller to say of which device
 */
export function parseHeader(head: Buffer): FoundHeader {
  if (!hasFirstMagic(head)) throw damaged('it does not begin as one')
  if (head.length < LUKS1_HEADER_BYTES) throw damaged('it is cut short')
  const version = head.readUInt16BE(VERSION_AT)
  if (version === 2) return { version, header: parseLuks2Header(head) }
  const bytes = head.subarray(0, LUKS1_HEADER_BYTES)
  const header = parseLuks1Header(bytes)
  if (version === 1 && header !== undefined) return { version, header, bytes }
  throw damaged(`a LUKS header of the unknown version ${version}`)
}

function damaged(what: string): VolsealError {
  return new VolsealError('header-damaged', what)
}

/** Somebody wrote over the start of a volume, or there is none, or not yet. */
async function withoutFirst(file: FileHandle, device: Device): Promise<VolsealError> {
  const head = await readArea(file, device, 0, LAST_SECOND + SECOND_MAGIC.length)
  const begun = parseMarker(head)
  if (begun !== undefined) {
    const what = `formatting it was begun for the volume ${begun.volumeId}`
    return new VolsealError('not-found', `there is no LUKS volume on ${device.path} yet: ${what}`)
  }
  const second = COPY_SIZES.find((offset) =>
    head.subarray(offset, offset + SECOND_MAGIC.length).equals(SECOND_MAGIC),
  )
  if (second === undefined) {
    return new VolsealError('not-found', `there is no LUKS volume on ${device.path}`)
  }
  return damagedHeader(device, `the second LUKS2 header at byte ${second}, but not the first one`)
}
