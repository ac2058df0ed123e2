/** Polynomial of CRC-32C (Castagnoli; RFC 3720, appendix B.4), bits reversed. */
const POLYNOMIAL = 0x82f63b78

const TABLE: Uint32Array = Uint32Array.from({ length: 256 }, (_, byte) => shiftedOut(byte))

/** CRC-32C of the bytes. node:zlib only has the other CRC-32. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) crc = (TABLE[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8)
  return ~crc >>> 0
}

function shiftedOut(byte: number): number {
  let rest = byte
  for (let bit = 0; bit < 8; bit += 1) rest = (rest >>> 1) ^ (rest & 1 ? POLYNOMIAL : 0)
  return rest
}
