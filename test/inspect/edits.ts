import { describe, expect, test } from 'vitest'
import type { FindingCode } from '../../src/inspect/index.js'
import { codes, inspectBytes } from './images.js'

/** Ways to damage real images, and what must come of it. */

/** A change to an image's bytes; one that returns a buffer replaces them. */
export type Edit = (bytes: Buffer) => Buffer | undefined | number | void

/** A copy of the image, changed. */
export function edited(image: Buffer, edit: Edit = () => undefined): Buffer {
  const copy = Buffer.from(image)
  const result = edit(copy)
  return Buffer.isBuffer(result) ? result : copy
}

/** Changes of one field at an offset. */
interface Fields {
  u8: (at: number, value: number) => Edit
  u16: (at: number, value: number) => Edit
  u32: (at: number, value: number) => Edit
  u64: (at: number, value: bigint) => Edit
}

export const bigEndian: Fields = {
  u8: (at, value) => (bytes) => bytes.writeUInt8(value, at),
  u16: (at, value) => (bytes) => bytes.writeUInt16BE(value, at),
  u32: (at, value) => (bytes) => bytes.writeUInt32BE(value, at),
  u64: (at, value) => (bytes) => bytes.writeBigUInt64BE(value, at),
}

export const littleEndian: Fields = {
  u8: (at, value) => (bytes) => bytes.writeUInt8(value, at),
  u16: (at, value) => (bytes) => bytes.writeUInt16LE(value, at),
  u32: (at, value) => (bytes) => bytes.writeUInt32LE(value, at),
  u64: (at, value) => (bytes) => bytes.writeBigUInt64LE(value, at),
}

/** Leaves only the first bytes. */
export function cut(length: number): Edit {
  return (bytes) => bytes.subarray(0, length)
}

/** A damage that must be refused, and what is just not that damage. */
export interface Refusal {
  readonly name: string
  readonly refused: Edit
  readonly code: FindingCode
  /** The image as it is, when not given. */
  readonly accepted?: Edit
}

/** Tests that each damage is refused for the named reason, and its neighbour is not refused. */
export function testRefusals(image: () => Buffer, refusals: readonly Refusal[]): void {
  describe.each(refusals)('$name', ({ refused, code, accepted }) => {
    test(`is refused as ${code}`, async () => {
      const report = await inspectBytes(edited(image(), refused))
      expect(codes(report)).toContain(code)
    })
    test('is accepted when it is not so', async () => {
      const report = await inspectBytes(edited(image(), accepted))
      expect(codes(report)).toEqual([])
    })
  })
}
