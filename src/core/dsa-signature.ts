/**
 * The two forms of a DSA or ECDSA signature: DER (RFC 3279 §2.2.2), which cursive and openssl take,
 * and the two numbers one behind the other (IEEE P1363), which WebCrypto, JWS and many key services
 * make.
 */
export interface DsaSignature {
  readonly der: Buffer
  readonly form: 'der' | 'raw'
  /** Bits of the larger of the two numbers. */
  readonly bits: number
}

/** A signature in either form, as DER; undefined for what is neither. */
export function readDsaSignature(signature: Buffer): DsaSignature | undefined {
  const numbers = numbersOf(signature)
  if (numbers !== undefined) return { der: signature, form: 'der', bits: largest(numbers) }
  if (signature.length === 0 || signature.length % 2 !== 0) return undefined
  const half = signature.length / 2
  const halves = [signature.subarray(0, half), signature.subarray(half)]
  const content = Buffer.concat(halves.map(integer))
  return { der: element(0x30, content), form: 'raw', bits: largest(halves) }
}

/** The two INTEGERs of a DER SEQUENCE that is all there is. */
function numbersOf(der: Buffer): Buffer[] | undefined {
  const outer = split(der)
  if (outer?.tag !== 0x30 || outer.rest.length > 0) return undefined
  const r = split(outer.content)
  const s = r === undefined ? undefined : split(r.rest)
  if (r?.tag !== 0x02 || s?.tag !== 0x02 || s.rest.length > 0) return undefined
  return [r.content, s.content]
}

interface Element {
  readonly tag: number
  readonly content: Buffer
  readonly rest: Buffer
}

/** The DER element that the bytes begin with, of less than 256 bytes (X.690 §8.1). */
function split(der: Buffer): Element | undefined {
  const [tag = 0, first = 0xff, second = 0] = der
  const [length, header] = first === 0x81 ? [second, 3] : [first, 2]
  if (first > 0x81 || der.length < header + length) return undefined
  const end = header + length
  return { tag, content: der.subarray(header, end), rest: der.subarray(end) }
}

function element(tag: number, content: Buffer): Buffer {
  const length = content.length < 0x80 ? [content.length] : [0x81, content.length]
  return Buffer.concat([Buffer.of(tag, ...length), content])
}

/** A number as a positive INTEGER of fewest bytes. */
function integer(bytes: Buffer): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0)
  const short = first === -1 ? Buffer.of(0) : bytes.subarray(first)
  const isNegative = (short[0] ?? 0) >= 0x80
  return element(0x02, isNegative ? Buffer.concat([Buffer.of(0), short]) : short)
}

function largest(numbers: readonly Buffer[]): number {
  return Math.max(
    ...numbers.map((bytes) => BigInt(`0x0${bytes.toString('hex')}`).toString(2).length),
  )
}
