const DIGITS = Buffer.from(
  'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/',
  'latin1',
)
const PADDING = 0x3d

/** Base64 (RFC 4648 §4) as ASCII bytes: Node makes a string of it, which nobody can wipe. */
export function base64Bytes(bytes: Uint8Array): Buffer {
  const text = Buffer.alloc(Math.ceil(bytes.length / 3) * 4, PADDING)
  for (let from = 0, to = 0; from < bytes.length; from += 3, to += 4) {
    const [first = 0, second = 0, third = 0] = bytes.subarray(from, from + 3)
    const group = (first << 16) | (second << 8) | third
    // One digit more than there are bytes; the rest stays padding.
    const digits = Math.min(4, bytes.length - from + 1)
    for (let index = 0; index < digits; index += 1) {
      text[to + index] = DIGITS[(group >> (18 - 6 * index)) & 63] ?? PADDING
    }
  }
  return text
}
