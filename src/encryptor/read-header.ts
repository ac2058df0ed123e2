import type { FileHandle } from 'node:fs/promises'
import { VolsealError } from '../core/errors.js'
import { damagedHeader } from './content.js'
import type { Device } from './device.js'
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
import { readArea } from './scan.js'

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
  if (!start.subarray(0, VERSION_AT).equals(FIRST_MAGIC)) throw await withoutFirst(file, device)
  if (start.length < LUKS1_HEADER_BYTES) throw damagedHeader(device, 'it is cut short')
  const version = start.readUInt16BE(VERSION_AT)
  if (version === 1) return readLuks1(start, device)
  if (version === 2) return await readLuks2(file, start, device)
  throw damagedHeader(device, `a LUKS header of the unknown version ${version}`)
}

function readLuks1(start: Buffer, device: Device): FoundHeader {
  const bytes = start.subarray(0, LUKS1_HEADER_BYTES)
  const header = parseLuks1Header(bytes)
  if (header === undefined) throw damagedHeader(device, 'it is cut short')
  return { version: 1, header, bytes }
}

async function readLuks2(file: FileHandle, start: Buffer, device: Device): Promise<FoundHeader> {
  const head = await readArea(file, device, 0, luks2Reach(start))
  try {
    return { version: 2, header: parseLuks2Header(head) }
  } catch (error) {
    // The parser and its guards know what is wrong, but not on which device.
    if (error instanceof VolsealError) throw damagedHeader(device, error.message)
    throw error
  }
}

/** Somebody wrote over the start of a volume, or there is none. */
async function withoutFirst(file: FileHandle, device: Device): Promise<VolsealError> {
  const head = await readArea(file, device, 0, LAST_SECOND + SECOND_MAGIC.length)
  const second = COPY_SIZES.find((offset) =>
    head.subarray(offset, offset + SECOND_MAGIC.length).equals(SECOND_MAGIC),
  )
  if (second === undefined) {
    return new VolsealError('not-found', `there is no LUKS volume on ${device.path}`)
  }
  return damagedHeader(device, `the second LUKS2 header at byte ${second}, but not the first one`)
}
