/**
 * An ECDSA or DSA signature is two numbers, r and s. The services want them in DER (RFC 3279
 * §2.2.3); PKCS#11 (v3.0 §2.3.1) and some key services give them one after the other, each as long as
 * the group's order (IEEE P1363).
 */

const SEQUENCE = 0x30
const INTEGER = 0x02
/** Two numbers of sect571, whose order is the largest of all key types. */
const MOST_BYTES = 144

/** The signature in DER, whichever of the two it came in; anything else is returned as it is. */
export function derSignature(bytes: Buffer): Buffer {
  const isPair = bytes.length > 0 && bytes.length <= MOST_BYTES && bytes.length % 2 === 0
  if (isDer(bytes) || !isPair) return bytes
  const half = bytes.length / 2
  const numbers = [bytes.subarray(0, half), bytes.subarray(half)].map((number) =>
    element(INTEGER, signedForm(number)),
  )
  return element(SEQUENCE, Buffer.concat(numbers))
}

/** Ecdsa-Sig-Value ::= SEQUENCE { r INTEGER, s INTEGER }, and nothing behind it. */
function isDer(bytes: Buffer): boolean {
  const numbers = contentOf(bytes, SEQUENCE)
  if (numbers === undefined || numbers.rest.length > 0) return false
  const r = contentOf(numbers.content, INTEGER)
  const s = r === undefined ? undefined : contentOf(r.rest, INTEGER)
  return s?.rest.length === 0
}

/** The content of the element that `der` begins with (X.690 §8.1), and what follows it. */
function contentOf(der: Buffer, tag: number): { content: Buffer; rest: Buffer } | undefined {
  const [found, first = 0, second = 0] = der
  if (found !== tag || first > 0x81) return undefined
  const [start, length] = first === 0x81 ? [3, second] : [2, first]
  if (start + length > der.length) return undefined
  return { content: der.subarray(start, start + length), rest: der.subarray(start + length) }
}

/** Without needless zeros, and with the one that keeps a number positive (X.690 §8.3). */
function signedForm(number: Buffer): Buffer {
  const first = number.findIndex((byte) => byte !== 0)
  const bare = first === -1 ? Buffer.of(0) : number.subarray(first)
  return (bare[0] ?? 0) < 0x80 ? bare : Buffer.concat([Buffer.of(0), bare])
}

/** The content of a pair is at most 150 bytes: one byte says its length, or two. */
function element(tag: number, content: Buffer): Buffer {
  const length = content.length < 0x80 ? [content.length] : [0x81, content.length]
  return Buffer.concat([Buffer.of(tag, ...length), content])
}
