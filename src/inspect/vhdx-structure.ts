import { crc32c } from './crc32c.js'

/** Whether the CRC-32C at byte 4 is that of the bytes with zeroes in its place ([MS-VHDX] 2.2). */
export function hasChecksum(bytes: Buffer): boolean {
  const blank = Buffer.from(bytes)
  blank.writeUInt32LE(0, 4)
  return crc32c(blank) === bytes.readUInt32LE(4)
}

/** The GUID at the offset, in lower case; its first three groups are little-endian numbers. */
export function guid(bytes: Buffer, at: number): string {
  const number = (offset: number, length: number): string =>
    bytes
      .readUIntLE(at + offset, length)
      .toString(16)
      .padStart(length * 2, '0')
  const rest = bytes.toString('hex', at + 8, at + 16)
  return `${number(0, 4)}-${number(4, 2)}-${number(6, 2)}-${rest.slice(0, 4)}-${rest.slice(4)}`
}
