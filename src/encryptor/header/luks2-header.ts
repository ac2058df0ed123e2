import { createHash } from 'node:crypto'
import { VolsealError } from '../../core/errors.js'
import { type Luks2Metadata, parseLuks2Metadata } from './luks2-metadata.js'

/**
 * A LUKS2 header (LUKS2 On-Disk Format 1.1.3, §2): two copies, each a binary header of 4096 bytes
 * and a JSON area, one right behind the other. An update writes the first and then the second, so
 * that after a power loss one of them is whole.
 */
export interface Luks2Header {
  /** Bytes of one copy. */
  readonly size: number
  /** Counts the updates. */
  readonly sequence: bigint
  readonly label: string
  readonly subsystem: string
  readonly uuid: string
  readonly metadata: Luks2Metadata
  /** Sentences about the other copy, when it is not as it should be. */
  readonly warnings: readonly string[]
}

export const BINARY_BYTES = 4096
/** Sizes that a copy can have, which are the places of the second one (§2.3, table 1). */
export const COPY_SIZES: readonly number[] = [16, 32, 64, 128, 256, 512, 1024, 2048, 4096].map(
  (kib) => kib * 1024,
)
const CHECKSUM = 'sha256'
const LARGEST = 2 * 4096 * 1024

export const FIRST_MAGIC: Buffer = Buffer.from('4c554b53babe', 'hex')
export const SECOND_MAGIC: Buffer = Buffer.from('534b554cbabe', 'hex')

type Field = readonly [offset: number, length: number]

/** The fields of the binary header (§2.2, figure 2). All numbers are big-endian. */
export const FIELDS: Readonly<
  Record<
    | 'magic'
    | 'version'
    | 'size'
    | 'sequence'
    | 'label'
    | 'checksumName'
    | 'salt'
    | 'uuid'
    | 'subsystem'
    | 'offset'
    | 'checksum',
    Field
  >
> = {
  magic: [0, 6],
  version: [6, 2],
  size: [8, 8],
  sequence: [16, 8],
  label: [24, 48],
  checksumName: [72, 32],
  salt: [104, 64],
  uuid: [168, 40],
  subsystem: [208, 48],
  offset: [256, 8],
  checksum: [448, 64],
}

/** A copy whose checksum is right. */
interface Copy {
  readonly size: number
  readonly sequence: bigint
  readonly binary: Buffer
  readonly json: Buffer
}

/** How many bytes from the start of a device `parseLuks2Header` needs, told by its first 4096. */
export function luks2Reach(start: Buffer): number {
  const size = start.length < BINARY_BYTES ? 0 : sizeOf(start)
  const copy = COPY_SIZES.find((bytes) => bytes === size)
  return copy === undefined ? LARGEST : 2 * copy
}

/**
 * Reads the copy that cryptsetup would take: the newer one of two that are whole, the first when
 * they are of the same age, and the whole one when the other is torn. The first must have its
 * magic: where that is overwritten, so may be more.
 *
 * @param head begins with the first header's magic and reaches as far as `luks2Reach` says
 * @throws {VolsealError} what is wrong, for the caller to say of which device
 */
export function parseLuks2Header(head: Buffer): Luks2Header {
  const first = readCopy(head, 0)
  if (typeof first === 'string') {
    const second = firstWhole(head)
    if (second === undefined) throw damaged(`its first copy ${first}, and there is no second one`)
    return parseCopy(second, [`its first copy ${first}; the second one is used`])
  }
  const second = readCopy(head, first.size)
  if (typeof second === 'string') return parseCopy(first, [`its second copy ${second}`])
  return chooseByAge(first, second)
}

function chooseByAge(first: Copy, second: Copy): Luks2Header {
  if (first.sequence > second.sequence) {
    return parseCopy(first, ['its second copy is older than the first one'])
  }
  if (first.sequence === second.sequence) {
    if (content(first).equals(content(second))) return parseCopy(first, [])
    throw damaged('its two copies differ, although they say that they are of the same age')
  }
  if (uuidOf(first.binary) === uuidOf(second.binary)) {
    return parseCopy(second, ['its first copy is older than the second one, which is used'])
  }
  throw damaged('its second copy is newer than the first one, and of another volume')
}

/** What must be the same in both copies: all but magic, salt, offset and checksum. */
function content({ binary, json }: Copy): Buffer {
  const { label, salt, uuid, offset } = FIELDS
  return Buffer.concat([
    binary.subarray(label[0], salt[0]),
    binary.subarray(uuid[0], offset[0]),
    json,
  ])
}

function parseCopy({ size, sequence, binary, json }: Copy, warnings: string[]): Luks2Header {
  const metadata = parseLuks2Metadata(json)
  if (metadata.config.jsonSize !== json.length) {
    throw damaged(`its JSON area has ${json.length} bytes, but says ${metadata.config.jsonSize}`)
  }
  const uuid = uuidOf(binary)
  const label = textOf(binary, FIELDS.label)
  const subsystem = textOf(binary, FIELDS.subsystem)
  return { size, sequence, label, subsystem, uuid, metadata, warnings }
}

function firstWhole(head: Buffer): Copy | undefined {
  for (const offset of COPY_SIZES) {
    const copy = readCopy(head, offset)
    if (typeof copy !== 'string') return copy
  }
  return undefined
}

/** The copy at that place, or what is wrong with it. */
function readCopy(head: Buffer, offset: number): Copy | string {
  const binary = head.subarray(offset, offset + BINARY_BYTES)
  if (binary.length < BINARY_BYTES) return 'is cut short'
  const magic = offset === 0 ? FIRST_MAGIC : SECOND_MAGIC
  if (!binary.subarray(0, magic.length).equals(magic)) return 'is not there'
  const version = binary.readUInt16BE(FIELDS.version[0])
  if (version !== 2) return `says that it is of version ${version}`
  const size = COPY_SIZES.find((bytes) => bytes === sizeOf(binary))
  if (size === undefined) return `says that it has ${binary.readBigUInt64BE(FIELDS.size[0])} bytes`
  const place = binary.readBigUInt64BE(FIELDS.offset[0])
  if (place !== BigInt(offset) || (offset !== 0 && offset !== size)) {
    return `says that it lies at byte ${place}`
  }
  const json = head.subarray(offset + BINARY_BYTES, offset + size)
  if (json.length < size - BINARY_BYTES) return 'is cut short'
  if (!hasRightChecksum(binary, json)) return 'has a wrong checksum'
  return { size, sequence: binary.readBigUInt64BE(FIELDS.sequence[0]), binary, json }
}

function sizeOf(binary: Buffer): number {
  return Number(binary.readBigUInt64BE(FIELDS.size[0]))
}

/** §2.2: over the binary header with the checksum as zeros, and the whole JSON area. */
function hasRightChecksum(binary: Buffer, json: Buffer): boolean {
  const [at, length] = FIELDS.checksum
  const sum = checksum(textOf(binary, FIELDS.checksumName), binary, json)
  if (sum === undefined || sum.length > length) return false
  return binary.subarray(at, at + length).equals(Buffer.concat([sum], length))
}

/** Undefined for a hash that node:crypto does not know. */
function checksum(name: string, binary: Buffer, json: Buffer): Buffer | undefined {
  const [at, length] = FIELDS.checksum
  const blank = Buffer.from(binary)
  blank.fill(0, at, at + length)
  try {
    return createHash(name).update(blank).update(json).digest()
  } catch {
    return undefined
  }
}

/**
 * Writes a header with its two copies, the same but for what tells them apart; undefined when the
 * JSON does not fit.
 */
export function writeLuks2Header(
  header: Pick<Luks2Header, 'size' | 'sequence' | 'label' | 'subsystem' | 'uuid'> & {
    readonly json: Readonly<Record<string, unknown>>
  },
): Buffer | undefined {
  const json = Buffer.alloc(header.size - BINARY_BYTES)
  const text = Buffer.from(JSON.stringify(header.json))
  if (text.length >= json.length) return undefined
  json.set(text)
  const copies = [FIRST_MAGIC, SECOND_MAGIC].flatMap((magic, index) => {
    const binary = Buffer.alloc(BINARY_BYTES)
    magic.copy(binary)
    binary.writeUInt16BE(2, FIELDS.version[0])
    binary.writeBigUInt64BE(BigInt(header.size), FIELDS.size[0])
    binary.writeBigUInt64BE(header.sequence, FIELDS.sequence[0])
    binary.writeBigUInt64BE(BigInt(index * header.size), FIELDS.offset[0])
    putText(binary, FIELDS.label, header.label)
    putText(binary, FIELDS.subsystem, header.subsystem)
    putText(binary, FIELDS.uuid, header.uuid)
    putText(binary, FIELDS.checksumName, CHECKSUM)
    checksum(CHECKSUM, binary, json)?.copy(binary, FIELDS.checksum[0])
    return [binary, json]
  })
  return Buffer.concat(copies)
}

function putText(binary: Buffer, [offset, length]: Field, text: string): void {
  binary.write(text, offset, length - 1, 'utf8')
}

export function uuidOf(binary: Buffer): string {
  return textOf(binary, FIELDS.uuid)
}

/** A zero-terminated field. */
function textOf(binary: Buffer, [offset, length]: Field): string {
  const field = binary.subarray(offset, offset + length)
  const end = field.indexOf(0)
  return field.subarray(0, end === -1 ? length - 1 : end).toString('utf8')
}

function damaged(what: string): VolsealError {
  return new VolsealError('header-damaged', what)
}
