import type { Random } from './random.js'

/** An input to start from, and where in it there is something to change. */
export interface Seed {
  readonly bytes: Buffer
  /** Offsets of the blocks that are not all zero. */
  readonly blocks: readonly number[]
}

/** Changes a copy of the bytes in place, or returns others. */
type Mutation = (bytes: Buffer, at: number, random: Random, other: Buffer) => Buffer

const BLOCK_BYTES = 16
/** Inputs do not grow beyond this. */
const MOST_BYTES = 12 * 1024 * 1024
const WIDTHS = [1, 2, 4, 8] as const

export function makeSeed(bytes: Buffer): Seed {
  const blocks: number[] = []
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES) {
    if (bytes.subarray(at, at + BLOCK_BYTES).some((byte) => byte !== 0)) blocks.push(at)
  }
  return { bytes, blocks }
}

/** A seed with one to eight mutations. */
export function mutate(seeds: readonly [Seed, ...Seed[]], random: Random): Buffer {
  const seed = random.pick(seeds)
  let bytes: Buffer = Buffer.from(seed.bytes)
  const rounds = 1 + random.below(random.pick([1, 3, 8]))
  for (let round = 0; round < rounds; round += 1) {
    const other = random.pick(seeds).bytes
    bytes = random.pick(MUTATIONS)(bytes, placeIn(seed, bytes.length, random), random, other)
  }
  return bytes
}

/** Most headers are small, and much else of an image is zero: mostly near what is not. */
function placeIn(seed: Seed, length: number, random: Random): number {
  const block = seed.blocks[random.below(seed.blocks.length)]
  if (block === undefined || random.below(8) === 0) return random.below(length)
  return Math.min(block + random.below(BLOCK_BYTES), Math.max(0, length - 1))
}

/** Plain changes stand more than once, so that they are the most frequent ones. */
const MUTATIONS: readonly [Mutation, ...Mutation[]] = [
  flipBit,
  flipBit,
  setByte,
  setByte,
  setNumber,
  setNumber,
  addToNumber,
  copyBlock,
  deleteBlock,
  insertBlock,
  repeatBlock,
  splice,
  truncate,
]

function flipBit(bytes: Buffer, at: number, random: Random): Buffer {
  bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8))
  return bytes
}

function setByte(bytes: Buffer, at: number, random: Random): Buffer {
  bytes[at] = random.below(256)
  return bytes
}

/** 0, 1, the ends of the signed and unsigned ranges and what lies beside them, in either order. */
function setNumber(bytes: Buffer, at: number, random: Random): Buffer {
  const width = random.pick(WIDTHS)
  const bits = BigInt(8 * width)
  const edge = random.pick([0n, 1n, 1n << (bits - 1n), 1n << bits])
  return writeNumber(bytes, at, width, edge + BigInt(random.below(3) - 1), random)
}

function addToNumber(bytes: Buffer, at: number, random: Random): Buffer {
  const width = random.pick(WIDTHS)
  const field = Buffer.alloc(width)
  bytes.copy(field, 0, at)
  const value = BigInt(`0x${field.toString('hex')}`)
  return writeNumber(bytes, at, width, value + random.pick([-1n, 1n, 8n, 512n]), random)
}

function writeNumber(
  bytes: Buffer,
  at: number,
  width: number,
  value: bigint,
  random: Random,
): Buffer {
  const digits = BigInt.asUintN(8 * width, value).toString(16)
  const field = Buffer.from(digits.padStart(2 * width, '0'), 'hex')
  if (random.below(2) === 0) field.reverse()
  field.copy(bytes, at)
  return bytes
}

/** A length that is mostly short. */
function lengthOf(random: Random): number {
  return 1 + random.below(random.pick([4, 16, 64, 512, 4096]))
}

function copyBlock(bytes: Buffer, at: number, random: Random): Buffer {
  const from = random.below(bytes.length)
  bytes.copy(bytes, at, from, from + lengthOf(random))
  return bytes
}

function deleteBlock(bytes: Buffer, at: number, random: Random): Buffer {
  return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + lengthOf(random))])
}

function insertBlock(bytes: Buffer, at: number, random: Random): Buffer {
  const from = random.below(bytes.length)
  return limited(bytes, at, bytes.subarray(from, from + lengthOf(random)))
}

/** The same again and again, which costs code that is more than linear too much time. */
function repeatBlock(bytes: Buffer, at: number, random: Random): Buffer {
  const block = bytes.subarray(at, at + lengthOf(random))
  const times = random.pick([2, 16, 256, 65_536])
  const most = Math.max(1, Math.floor((512 * 1024) / Math.max(1, block.length)))
  return limited(bytes, at, Buffer.concat(Array<Buffer>(Math.min(times, most)).fill(block)))
}

/** The beginning of one input and the end of another. */
function splice(bytes: Buffer, at: number, random: Random, other: Buffer): Buffer {
  const from = random.below(2) === 0 ? at : random.below(other.length)
  return Buffer.concat([bytes.subarray(0, at), other.subarray(from)]).subarray(0, MOST_BYTES)
}

function truncate(bytes: Buffer, at: number): Buffer {
  return bytes.subarray(0, at)
}

function limited(bytes: Buffer, at: number, inserted: Buffer): Buffer {
  if (bytes.length + inserted.length > MOST_BYTES) return bytes
  return Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(at)])
}
