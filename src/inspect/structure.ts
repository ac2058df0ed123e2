import { type Finding, type ImageReader, unsafe } from './report.js'

/** A structure that should be in the image, but lies behind its end. `inspectImage` reports it. */
export class TruncatedImage extends Error {
  readonly finding: Finding

  constructor(finding: Finding) {
    super(finding.message)
    this.name = 'TruncatedImage'
    this.finding = finding
  }
}

/**
 * All bytes of one structure. Offsets come from headers and are taken as they stand, up to 2^64:
 * what cannot be in the image is never asked for.
 *
 * @param name what it is, for the finding: `grain directory`.
 * @throws {TruncatedImage} when the image ends before the structure does.
 */
export async function readStructure(
  image: ImageReader,
  offset: number | bigint,
  length: number,
  name: string,
): Promise<Buffer> {
  const missing = beyondEnd(name, BigInt(offset), BigInt(length), image.size)
  if (missing !== undefined) throw new TruncatedImage(missing)
  const bytes = await image.readAt(Number(offset), length)
  if (bytes.length >= length) return bytes
  // The reader promised more: the file shrank after its size was taken.
  const end = Number(offset) + bytes.length
  throw new TruncatedImage(truncated(name, BigInt(offset), BigInt(length), end))
}

/** The finding for a structure that does not lie within the image's bytes; undefined if it does. */
export function beyondEnd(
  name: string,
  offset: bigint,
  length: bigint,
  size: number,
): Finding | undefined {
  return offset + length > BigInt(size) ? truncated(name, offset, length, size) : undefined
}

function truncated(name: string, offset: bigint, length: bigint, end: number): Finding {
  return unsafe(
    'truncated',
    `expected the ${name} in bytes ${offset} to ${offset + length}, but the image ends at byte ${end}, so it is incomplete or its header lies`,
  )
}

/** Something that a header may be guilty of. */
export interface Rule<Header> {
  readonly when: (header: Header) => boolean
  readonly found: (header: Header) => Finding
}

/** What the rules find in the header, in the order of the rules. */
export function broken<Header>(rules: readonly Rule<Header>[], header: Header): Finding[] {
  return rules.filter((rule) => rule.when(header)).map((rule) => rule.found(header))
}

/** A virtual size as a number, or the reason why it cannot be one. */
export function checkedSize(size: bigint): { virtualSize: number | null; findings: Finding[] } {
  if (size <= BigInt(Number.MAX_SAFE_INTEGER)) return { virtualSize: Number(size), findings: [] }
  const message = `the header claims a disk of ${size} bytes, which no host can hold and which overflows the counters of programs that open it`
  return { virtualSize: null, findings: [unsafe('virtual-size', message)] }
}

/** A header value that is impossible, or that contradicts another. */
export function damaged(message: string): Finding {
  return unsafe('damaged-header', message)
}

/** Whether every byte is zero. */
export function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0)
}

export function isPowerOfTwo(value: number): boolean {
  return value > 0 && Number.isInteger(Math.log2(value))
}

/** Text from the image in quotes, cut and freed of everything that could steer a terminal. */
export function quoted(text: Buffer | string): string {
  const latin1 = typeof text === 'string' ? text : text.toString('latin1')
  const shown = latin1.slice(0, 80).replace(/[^ -~]/g, '?')
  return latin1.length > 80 ? `"${shown}…"` : `"${shown}"`
}
