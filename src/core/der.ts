/**
 * Reading DER (X.690 §8, §10): strict, without recursion, and in one pass over bytes that anybody may
 * have made. Nothing is decoded that nobody asks for, so the time is linear in the input.
 */

/** Bytes that are not the DER that was expected; callers say whose bytes they were. */
export class DerFault extends Error {}

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  enumerated: 0x0a,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const

/** `[number]`, constructed or primitive (X.690 §8.1.2). */
export function contextTag(number: number, constructed: boolean): number {
  return (constructed ? 0xa0 : 0x80) | number
}

/** One element: views of the bytes that it was read from. */
export interface Element {
  readonly tag: number
  readonly content: Buffer
  /** With tag and length. */
  readonly raw: Buffer
}

/** Walks over the elements of a constructed value. It allocates nothing until an element is taken. */
export class Elements {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get done(): boolean {
    return this.#at === this.#bytes.length
  }

  /** The tag of the next element; undefined at the end. */
  peek(): number | undefined {
    return this.#bytes[this.#at]
  }

  /** The next element, whatever its tag. @throws {DerFault} */
  any(): Element {
    const start = this.#at
    const body = this.#header()
    const end = this.#at
    return {
      tag: this.#bytes[start] ?? 0,
      content: this.#bytes.subarray(body, end),
      raw: this.#bytes.subarray(start, end),
    }
  }

  /** The next element, which must have this tag. @throws {DerFault} */
  take(tag: number): Element {
    if (this.peek() !== tag) throw new DerFault(`expected tag ${tag}, got ${this.peek()}`)
    return this.any()
  }

  /** The next element if it has this tag. @throws {DerFault} */
  optional(tag: number): Element | undefined {
    return this.peek() === tag ? this.any() : undefined
  }

  /** The same for a SEQUENCE's elements. @throws {DerFault} */
  sequence(): Elements {
    return new Elements(this.take(TAG.sequence).content)
  }

  /** @throws {DerFault} when anything is left */
  end(): void {
    if (!this.done) throw new DerFault('bytes behind the end')
  }

  /** Reads tag and length, goes behind the element, and returns where its content begins. */
  #header(): number {
    const tag = this.#bytes[this.#at]
    const first = this.#bytes[this.#at + 1]
    if (tag === undefined || first === undefined) throw new DerFault('it ends too early')
    // Tags above 30 take several bytes; no structure that is read here has one.
    if ((tag & 0x1f) === 0x1f) throw new DerFault('a tag of several bytes')
    const lengthBytes = first < 0x80 ? 0 : first & 0x7f
    const body = this.#at + 2 + lengthBytes
    const length = lengthBytes === 0 ? first : this.#longLength(lengthBytes)
    if (body + length > this.#bytes.length) throw new DerFault('an element ends behind its parent')
    this.#at = body + length
    return body
  }

  /** Lengths of one to three bytes, as short as they can be (X.690 §10.1); indefinite is BER. */
  #longLength(bytes: number): number {
    if (bytes === 0 || bytes > 3) throw new DerFault('a length that is not DER')
    if (this.#at + 2 + bytes > this.#bytes.length) throw new DerFault('it ends too early')
    const length = this.#bytes.readUIntBE(this.#at + 2, bytes)
    if (length < (bytes === 1 ? 0x80 : 256 ** (bytes - 1))) {
      throw new DerFault('a length that is not DER')
    }
    return length
  }
}

/** The elements of the one SEQUENCE that the bytes are. @throws {DerFault} */
export function sequenceOf(bytes: Buffer): Elements {
  const outer = new Elements(bytes)
  const inner = outer.sequence()
  outer.end()
  return inner
}

/** All elements of the one SEQUENCE that the bytes are. @throws {DerFault} */
export function listOf(bytes: Buffer): Element[] {
  return allOf(sequenceOf(bytes))
}

/** All elements that are left. @throws {DerFault} */
export function allOf(elements: Elements): Element[] {
  const found: Element[] = []
  while (!elements.done) found.push(elements.any())
  return found
}

/** DER has one byte for true, and leaves a default out (X.690 §11.1, §11.5). @throws {DerFault} */
export function defaultFalse(element: Element | undefined): boolean {
  if (element === undefined) return false
  if (element.content.length === 1 && element.content[0] === 0xff) return true
  throw new DerFault('a BOOLEAN that is not DER')
}

/** An INTEGER from 0 to 2^31 - 1. @throws {DerFault} */
export function smallInteger({ content }: Element): number {
  const [first = 0x80, second = 0x80] = content
  const isShortest = content.length === 1 || first !== 0 || second >= 0x80
  if (first < 0x80 && isShortest && content.length <= 4)
    return content.readUIntBE(0, content.length)
  throw new DerFault('an INTEGER that is negative or too large')
}

/** Most bytes of an object identifier; those in use have under twenty. */
const MOST_OID_BYTES = 40

/** An OBJECT IDENTIFIER with dots (X.690 §8.19). @throws {DerFault} */
export function oidText({ tag, content }: Element): string {
  const isWhole = content.length > 0 && (content.at(-1) ?? 0x80) < 0x80
  if (tag !== TAG.oid || !isWhole || content.length > MOST_OID_BYTES) {
    throw new DerFault('an object identifier that is none')
  }
  const arcs: bigint[] = []
  let arc = 0n
  for (const byte of content) {
    arc = (arc << 7n) | BigInt(byte & 0x7f)
    if (byte >= 0x80) continue
    arcs.push(arc)
    arc = 0n
  }
  const [first = 0n, ...others] = arcs
  const root = first < 80n ? first / 40n : 2n
  return [root, first - root * 40n, ...others].join('.')
}

/** The bytes of a BIT STRING of whole bytes. @throws {DerFault} */
export function wholeBytes({ content }: Element): Buffer {
  if (content[0] === 0) return content.subarray(1)
  throw new DerFault('a BIT STRING that is not of whole bytes')
}

/** UTCTime and GeneralizedTime as RFC 5280 §4.1.2.5 has them: Z, seconds, no fractions. */
const UTC_TIME = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/
const GENERALIZED_TIME = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/

/** @throws {DerFault} */
export function timeOf({ tag, content }: Element): Date {
  if (tag !== TAG.utcTime && tag !== TAG.generalizedTime) throw new DerFault('no time')
  const form = tag === TAG.utcTime ? UTC_TIME : GENERALIZED_TIME
  const numbers = form.exec(content.toString('latin1'))?.slice(1).map(Number)
  const [year = -1, month = 0, day = 0, hour = 0, minute = 0, second = 0] = numbers ?? []
  const century = tag === TAG.generalizedTime ? 0 : year < 50 ? 2000 : 1900
  const date = new Date(0)
  date.setUTCFullYear(century + year, month - 1, day)
  date.setUTCHours(hour, minute, second)
  const isReal = date.getUTCDate() === day && date.getUTCHours() === hour && second < 60
  if (numbers !== undefined && isReal) return date
  throw new DerFault('a time that is none')
}
