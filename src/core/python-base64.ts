/**
 * base64 as the services decode img_signature: oslo.serialization's `decode_as_bytes`, which is
 * Python's `binascii.a2b_base64` without strict mode (CPython 3.11, Modules/binascii.c). `Buffer.from`
 * differs from it in nearly every point that is not canonical.
 */
export type PythonBase64 =
  | { readonly ok: true; readonly bytes: Buffer }
  | { readonly ok: false; readonly fault: 'not-ascii' | 'not-base64' }

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const VALUES: ReadonlyMap<string, number> = new Map(Array.from(ALPHABET, (char, at) => [char, at]))
const ASCII = /^\p{ASCII}*$/u

export function isAscii(text: string): boolean {
  return ASCII.test(text)
}

/** The bytes that Python makes of a text: none at all is no fault of the encoding. */
export function decodePythonBase64(text: string): PythonBase64 {
  if (!isAscii(text)) return { ok: false, fault: 'not-ascii' }
  const values = dataOf(text)
  return values === undefined
    ? { ok: false, fault: 'not-base64' }
    : { ok: true, bytes: bytesOf(values) }
}

/**
 * The 6-bit values up to the end, or up to the padding that ends the data: `=` counts only with two
 * or three characters of a quad pending, and only until the next character of the alphabet. All
 * other characters are skipped. Undefined when a quad is left unfinished.
 */
function dataOf(text: string): number[] | undefined {
  const values: number[] = []
  let padding = 0
  for (const char of text) {
    const pending = values.length % 4
    if (char === '=') {
      if (pending < 2) continue
      padding += 1
      if (pending + padding >= 4) return values
      continue
    }
    const value = VALUES.get(char)
    if (value === undefined) continue
    padding = 0
    values.push(value)
  }
  return values.length % 4 === 0 ? values : undefined
}

function bytesOf(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(Math.floor((values.length * 6) / 8))
  for (let at = 0; at < bytes.length; at += 1) {
    const bit = at * 8
    const first = Math.floor(bit / 6)
    const both = ((values[first] ?? 0) << 6) | (values[first + 1] ?? 0)
    bytes[at] = (both >> (4 - (bit % 6))) & 0xff
  }
  return bytes
}
