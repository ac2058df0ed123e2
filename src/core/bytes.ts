/**
 * Hexadecimal and base64, strictly: what is not the one canonical spelling is refused, unlike
 * `Buffer.from`, which stops silently at the first character that it does not know.
 */

// No groups: V8 counts those on the stack, which a text of some megabytes would fill.
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/
const HEX = /^[0-9a-f]*$/

/** Bytes of canonical base64 (RFC 4648 §4: padded, no line breaks, zero trailing bits), or undefined. */
export function fromBase64(text: string): Buffer | undefined {
  if (text.length % 4 !== 0 || !BASE64.test(text)) return undefined
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}

/** Bytes of lower-case hex, or undefined. */
export function fromHex(text: string): Buffer | undefined {
  return text.length % 2 === 0 && HEX.test(text) ? Buffer.from(text, 'hex') : undefined
}

/**
 * Bytes of lower-case hex that is itself held as bytes, or undefined. For secrets: nothing becomes
 * a string on the way. The caller owns, and wipes, both buffers.
 */
export function fromHexBytes(text: Buffer): Buffer | undefined {
  if (text.length % 2 !== 0) return undefined
  const bytes = Buffer.alloc(text.length / 2)
  for (let index = 0; index < bytes.length; index += 1) {
    const high = hexValue(text[index * 2] ?? 0)
    const low = hexValue(text[index * 2 + 1] ?? 0)
    if (high === undefined || low === undefined) {
      bytes.fill(0)
      return undefined
    }
    bytes[index] = high * 16 + low
  }
  return bytes
}

/** Value of one lower-case hex digit given as its ASCII code. */
function hexValue(code: number): number | undefined {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  if (code >= 0x61 && code <= 0x66) return code - 0x61 + 10
  return undefined
}
