/**
 * The LUKS1 header (LUKS On-Disk Format Specification 1.2.3, figure 1), which cryptsetup 2.6 shows
 * only as text. All numbers are big-endian.
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
  readonly digestIterations: number
  readonly uuid: string
  readonly slots: readonly Luks1Slot[]
}

export interface Luks1Slot {
  readonly number: number
  readonly iterations: number
}

/** Bytes that the header itself takes, key material not counted. */
export const LUKS1_HEADER_BYTES = 592

const MAGIC = Buffer.from('4c554b53babe0001', 'hex')
const SECTOR = 512
const SLOTS_AT = 208
const SLOT_BYTES = 48
const SLOTS = 8
const SLOT_ACTIVE = 0x00ac71f3

/** Parses a header; undefined when the bytes are none, or are cut short. */
export function parseLuks1Header(bytes: Buffer): Luks1Header | undefined {
  if (bytes.length < LUKS1_HEADER_BYTES || !bytes.subarray(0, 8).equals(MAGIC)) return undefined
  return {
    cipher: text(bytes, 8, 32),
    mode: text(bytes, 40, 32),
    hash: text(bytes, 72, 32),
    payloadOffset: bytes.readUInt32BE(104) * SECTOR,
    keySize: bytes.readUInt32BE(108) * 8,
    digestIterations: bytes.readUInt32BE(164),
    uuid: text(bytes, 168, 40),
    slots: slotNumbers()
      .filter((number) => bytes.readUInt32BE(SLOTS_AT + number * SLOT_BYTES) === SLOT_ACTIVE)
      .map((number) => ({
        number,
        iterations: bytes.readUInt32BE(SLOTS_AT + number * SLOT_BYTES + 4),
      })),
  }
}

const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/

/** What is impossible about a header on a device of `size` bytes; undefined when nothing is. */
export function luks1Fault(header: Luks1Header, size: number): string | undefined {
  const { payloadOffset, keySize, uuid } = header
  if (payloadOffset < LUKS1_HEADER_BYTES) return `the payload begins at byte ${payloadOffset}`
  if (payloadOffset > size) return `the payload begins behind the end, at byte ${payloadOffset}`
  if (keySize === 0 || keySize > 8192) return `a volume key of ${keySize} bits`
  return UUID.test(uuid) ? undefined : `the uuid ${JSON.stringify(uuid)}`
}

function slotNumbers(): number[] {
  return Array.from({ length: SLOTS }, (_, number) => number)
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
