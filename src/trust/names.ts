import { allOf, DerFault, type Element, Elements, listOf, oidText, TAG } from '../core/der.js'

/**
 * Distinguished names, made comparable (RFC 5280 §7.1): each relative name becomes a text, and two
 * names are the same when their texts are. Strings of characters are compared without regard to case,
 * to how many spaces there are, or to which string type holds them; anything else byte by byte.
 */
export type NameKey = readonly string[]

const EMAIL_ADDRESS = '1.2.840.113549.1.9.1'

/** Tags of the string types and how their bytes are characters (X.690 §8.23). */
const STRINGS: Readonly<Record<number, BufferEncoding | 'utf16be' | 'utf32be'>> = {
  0x0c: 'utf8', // UTF8String
  0x13: 'latin1', // PrintableString
  0x14: 'latin1', // TeletexString, which is used for Latin-1
  0x16: 'latin1', // IA5String
  0x1a: 'latin1', // VisibleString
  0x1c: 'utf32be', // UniversalString
  0x1e: 'utf16be', // BMPString
}

/** @throws {DerFault} */
export function nameKey(raw: Buffer): NameKey {
  return listOf(raw).map((relative) => {
    if (relative.tag !== TAG.set || relative.content.length === 0) {
      throw new DerFault('a name that is none')
    }
    return allOf(new Elements(relative.content)).map(attributeKey).toSorted().join('+')
  })
}

/** Whether a name holds an e-mail address, which then is an rfc822Name too (RFC 5280 §4.2.1.10). */
export function holdsEmailAddress(key: NameKey): boolean {
  return key.some((relative) => relative.split('+').some((part) => part.startsWith(EMAIL_ADDRESS)))
}

export function sameName(a: NameKey, b: NameKey): boolean {
  return a.length === b.length && isWithin(a, b)
}

/** Whether a name is in the subtree below another (RFC 5280 §4.2.1.10, directoryName). */
export function isWithin(name: NameKey, base: NameKey): boolean {
  return base.every((relative, index) => relative === name[index])
}

function attributeKey({ tag, raw }: Element): string {
  if (tag !== TAG.sequence) throw new DerFault('a name that is none')
  const [type, value, ...others] = listOf(raw)
  if (type === undefined || value === undefined || others.length > 0) {
    throw new DerFault('a name that is none')
  }
  return `${oidText(type)}=${valueKey(value)}`
}

function valueKey({ tag, content, raw }: Element): string {
  const encoding = STRINGS[tag]
  if (encoding === undefined) return raw.toString('hex')
  const text = characters(content, encoding).normalize('NFKC').toLowerCase()
  // JSON keeps the joining characters of two values apart from those in them.
  return JSON.stringify(text.trim().replaceAll(/\s+/g, ' ')).replaceAll('+', String.raw`\u002b`)
}

function characters(bytes: Buffer, encoding: BufferEncoding | 'utf16be' | 'utf32be'): string {
  if (encoding === 'utf16be') {
    requireUnits(bytes, 2)
    return Buffer.from(bytes).swap16().toString('utf16le')
  }
  if (encoding === 'utf32be') {
    requireUnits(bytes, 4)
    const points = Array.from({ length: bytes.length / 4 }, (_, index) =>
      bytes.readUInt32BE(index * 4),
    )
    if (points.some((point) => point > 0x10ffff)) throw new DerFault('a character that is none')
    return points.map((point) => String.fromCodePoint(point)).join('')
  }
  return bytes.toString(encoding)
}

function requireUnits(bytes: Buffer, size: number): void {
  if (bytes.length % size !== 0) throw new DerFault('a text with half a character')
}

/** Whether a name has a value that is compared byte by byte, so that another spelling of it differs. */
export function holdsUncompared(key: NameKey): boolean {
  return key.some((relative) => relative.split('+').some((part) => !part.includes('="')))
}
