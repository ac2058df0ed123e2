/**
 * The LUKS1 header (LUKS On-Disk Format Specification 1.2.3, figure 1). All numbers are big-endian.
 * What is read here is only taken apart; whether it is acceptable says `judge-luks1.ts`.
 */
export interface Luks1Header {
  readonly cipher: string
  /** Such as `xts-plain64`. */
  readonly mode: string
  readonly hash: string
  /** Where the ciphertext begins, in bytes. */
  readonly payloadOffset: number
  /** Volume key, in bits. */
  readonly keySize: number
  /** Of the volume key. */
  readonly digest: Buffer
  readonly digestIterations: number
  readonly uuid: string
  /** All eight. */
  readonly slots: readonly Luks1Slot[]
}

export interface Luks1Slot {
  readonly number: number
  /** Undefined for a mark that is neither of the two that there are. */
  readonly active: boolean | undefined
  readonly iterations: number
  /** Of its key material, in bytes. */
  readonly offset: number
  readonly stripes: number
}

/** Bytes that the header itself takes, key material not counted. */
export const LUKS1_HEADER_BYTES = 592

const MAGIC = Buffer.from('4c554b53babe0001', 'hex')
const SECTOR = 512
const SLOTS_AT = 208
const SLOT_BYTES = 48
const SLOTS = 8
const MARKS: ReadonlyMap<number, boolean> = new Map([
  [0x00ac71f3, true],
  [0x0000dead, false],
])

/** Parses a header; undefined when the bytes are none, or are cut short. */
export function parseLuks1Header(bytes: Buffer): Luks1Header | undefined {
  if (bytes.length < LUKS1_HEADER_BYTES || !bytes.subarray(0, 8).equals(MAGIC)) return undefined
  return {
    cipher: text(bytes, 8, 32),
    mode: text(bytes, 40, 32),
    hash: text(bytes, 72, 32),
    payloadOffset: bytes.readUInt32BE(104) * SECTOR,
    keySize: bytes.readUInt32BE(108) * 8,
    digest: Buffer.from(bytes.subarray(112, 132)),
    digestIterations: bytes.readUInt32BE(164),
    uuid: text(bytes, 168, 40),
    slots: Array.from({ length: SLOTS }, (_, number) => parseSlot(bytes, number)),
  }
}

function parseSlot(bytes: Buffer, number: number): Luks1Slot {
  const at = SLOTS_AT + number * SLOT_BYTES
  return {
    number,
    active: MARKS.get(bytes.readUInt32BE(at)),
    iterations: bytes.readUInt32BE(at + 4),
    offset: bytes.readUInt32BE(at + 40) * SECTOR,
    stripes: bytes.readUInt32BE(at + 44),
  }
}

/** A zero-terminated field; what is not printable ASCII is shown as `?`. */
function text(bytes: Buffer, offset: number, length: number): string {
  const field = bytes.subarray(offset, offset + length)
  const end = field.indexOf(0)
  return field
    .subarray(0, end === -1 ? length : end)
    .toString('latin1')
    .replaceAll(/[^\x20-\x7e]/g, '?')
}
