import { contextTag, DerFault, Elements, TAG, timeOf } from '../core/der.js'
import { VolsealError } from '../core/errors.js'
import { pemBlocks } from '../core/pem.js'
import { extensionName, unknownCritical } from './extensions.js'
import {
  asMalformed,
  readExtensionList,
  readExtensions,
  readSigned,
  type Signed,
} from './fields.js'
import { type NameKey, nameKey } from './names.js'

/** A certificate revocation list (RFC 5280 §5.1), read once and whole. */
export interface RevocationList extends Signed {
  readonly issuer: NameKey
  readonly thisUpdate: Date
  readonly nextUpdate: Date | undefined
  /**
   * Critical extensions of the list, which is then of a part of the certificates only (delta, reasons),
   * or of an entry, which then may be about another CA's certificate. None of them is acted on.
   */
  readonly partial: readonly string[]
  /** Whether it lists the serial number. */
  lists(serialNumber: Buffer): boolean
}

/** Most lists, most bytes of one (some 29,000 entries), and of all of them together. */
const MOST_LISTS = 50
const MOST_BYTES = 1024 * 1024
const MOST_TOTAL = 8 * MOST_BYTES

/** `X509 CRL` is the label (RFC 7468 §6). */
const LABEL = 'X509 CRL'

/**
 * Reads lists in DER or PEM; a file may hold several.
 *
 * @throws {VolsealError} `signature-malformed` for what is none, `usage` for too much of it
 */
export function readRevocationLists(
  contents: readonly Buffer[],
  name = 'the CRL',
): RevocationList[] {
  const total = contents.reduce((sum, { length }) => sum + length, 0)
  const largest = Math.max(0, ...contents.map(({ length }) => length))
  if (largest > MOST_BYTES) throw tooMany(`${MOST_BYTES} bytes of a CRL`, `${largest} bytes`)
  if (total > MOST_TOTAL) throw tooMany(`${MOST_TOTAL} bytes of CRLs`, `${total} bytes`)
  const ders = contents.flatMap((content) => dersOf(content, name))
  if (ders.length > MOST_LISTS) throw tooMany(`${MOST_LISTS} CRLs`, String(ders.length))
  return ders.map((der) => asMalformed(name, () => readList(der)))
}

function tooMany(most: string, got: string): VolsealError {
  return new VolsealError('usage', `expected at most ${most}, got ${got}`)
}

function dersOf(content: Buffer, name: string): Buffer[] {
  if (content[0] === TAG.sequence) return [content]
  const blocks = pemBlocks(content.toString('latin1'))
  const found = blocks.filter(({ label }) => label === LABEL)
  if (found.length > 0) return found.map(({ der }) => der)
  const labels = blocks.map(({ label }) => label).join(', ')
  throw new VolsealError(
    'signature-malformed',
    `${name}: expected a PEM ${LABEL} or DER, got ${labels === '' ? 'no PEM block' : labels}`,
  )
}

function readList(der: Buffer): RevocationList {
  const { signed, body } = readSigned(der)
  const version = body.optional(TAG.integer)
  if (version !== undefined && version.content[0] !== 1) throw new DerFault('an unknown version')
  const innerAlgorithm = body.take(TAG.sequence).raw
  const issuer = nameKey(body.take(TAG.sequence).raw)
  const thisUpdate = timeOf(body.any())
  const next = body.peek()
  const hasNext = next === TAG.utcTime || next === TAG.generalizedTime
  const nextUpdate = hasNext ? timeOf(body.any()) : undefined
  const entries = readEntries(body.optional(TAG.sequence)?.content)
  const extensions = readExtensions(body.optional(contextTag(0, true)))
  body.end()
  return {
    ...signed,
    innerAlgorithm,
    issuer,
    thisUpdate,
    nextUpdate,
    partial: [...unknownCritical(extensions, new Set()), ...entries.unknown].map(extensionName),
    lists: (serialNumber) => entries.serials.has(serialNumber.toString('latin1')),
  }
}

interface Entries {
  readonly serials: ReadonlySet<string>
  readonly unknown: readonly string[]
}

function readEntries(content: Buffer | undefined): Entries {
  const serials = new Set<string>()
  const unknown = new Set<string>()
  const list = new Elements(content ?? Buffer.alloc(0))
  while (!list.done) {
    const entry = list.sequence()
    serials.add(entry.take(TAG.integer).content.toString('latin1'))
    entry.any() // When it was revoked: a list is believed for earlier times too.
    if (!entry.done) {
      const extensions = readExtensionList(entry.sequence())
      for (const oid of unknownCritical(extensions, new Set())) unknown.add(oid)
    }
    entry.end()
  }
  return { serials, unknown: [...unknown].slice(0, 3) }
}
