import type { Certificate } from '../core/certificate.js'
import {
  allOf,
  contextTag,
  DerFault,
  defaultFalse,
  type Element,
  Elements,
  oidText,
  sequenceOf,
  TAG,
  wholeBytes,
} from '../core/der.js'
import { VolsealError } from '../core/errors.js'
import { pemBlocks } from '../core/pem.js'
import { type NameKey, nameKey } from './names.js'

/** Largest certificate in DER that is looked at; Barbican keeps at most 20,000 bytes. */
const MOST_BYTES = 64 * 1024

/** Most extensions of one certificate; RFC 5280 knows sixteen. */
const MOST_EXTENSIONS = 100

/** What a signature is over, and the signature: the outer form of certificates and CRLs. */
export interface Signed {
  /** What is signed, byte by byte as it came. */
  readonly body: Buffer
  /** AlgorithmIdentifier beside the signature, and within what is signed. */
  readonly algorithm: Buffer
  readonly innerAlgorithm: Buffer
  readonly signature: Buffer
}

export interface Extension {
  readonly critical: boolean
  readonly value: Buffer
}

/** The fields of RFC 5280 §4.1 that path validation looks at. */
export interface CertificateFields extends Signed {
  /** 1, 2 or 3. */
  readonly version: number
  /** The INTEGER's bytes; positive or not is the CA's business. */
  readonly serialNumber: Buffer
  readonly issuer: NameKey
  readonly subject: NameKey
  /** SubjectPublicKeyInfo. */
  readonly keyInfo: Buffer
  /** By object identifier. */
  readonly extensions: ReadonlyMap<string, Extension>
}

/**
 * The fields of a certificate that node:crypto has read already.
 *
 * @throws {VolsealError} `signature-malformed` for what OpenSSL reads but DER or RFC 5280 does not allow
 */
export function readFields(certificate: Certificate): CertificateFields {
  const der = pemBlocks(certificate.pem)[0]?.der ?? Buffer.alloc(0)
  return asMalformed(`the certificate ${certificate.subject}`, () => {
    if (der.length > MOST_BYTES) throw tooMuch(MOST_BYTES, der.length, 'bytes')
    const { signed, body } = readSigned(der)
    return { ...signed, ...readBody(body) }
  })
}

/** What would keep a reader busy. */
export function tooMuch(most: number, got: number, what: string): DerFault {
  return new DerFault(`expected at most ${most} ${what}, got ${got}`)
}

/** Runs a reader of DER and says whose bytes it could not read. */
export function asMalformed<T>(name: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof DerFault)) throw error
    throw new VolsealError('signature-malformed', `${name} cannot be used: ${error.message}`, {
      hint: 'it is not in the form that RFC 5280 demands; ask its CA for another one',
      cause: error,
    })
  }
}

/** SEQUENCE { what is signed, AlgorithmIdentifier, BIT STRING }. @throws {DerFault} */
export function readSigned(der: Buffer): {
  signed: Omit<Signed, 'innerAlgorithm'>
  body: Elements
} {
  const outer = sequenceOf(der)
  const body = outer.take(TAG.sequence)
  const algorithm = outer.take(TAG.sequence).raw
  const signature = wholeBytes(outer.take(TAG.bitString))
  outer.end()
  return { signed: { body: body.raw, algorithm, signature }, body: new Elements(body.content) }
}

function readBody(body: Elements): Omit<CertificateFields, keyof Signed> & {
  innerAlgorithm: Buffer
} {
  const version = readVersion(body.optional(contextTag(0, true)))
  const serialNumber = body.take(TAG.integer).content
  const innerAlgorithm = body.take(TAG.sequence).raw
  const issuer = nameKey(body.take(TAG.sequence).raw)
  body.take(TAG.sequence) // The dates are those that node:crypto has read.
  const subject = nameKey(body.take(TAG.sequence).raw)
  const keyInfo = body.take(TAG.sequence).raw
  body.optional(contextTag(1, false)) // issuerUniqueID
  body.optional(contextTag(2, false)) // subjectUniqueID
  const extensions = readExtensions(body.optional(contextTag(3, true)))
  body.end()
  if (extensions.size > 0 && version !== 3) throw new DerFault('extensions outside version 3')
  return { version, serialNumber, innerAlgorithm, issuer, subject, keyInfo, extensions }
}

function readVersion(element: Element | undefined): number {
  if (element === undefined) return 1
  const version = new Elements(element.content).take(TAG.integer).content
  const number = version[0]
  if (version.length === 1 && (number === 1 || number === 2)) return number + 1
  throw new DerFault('an unknown version')
}

/** `[n] EXPLICIT Extensions`, the same in certificates and CRLs. @throws {DerFault} */
export function readExtensions(element: Element | undefined): ReadonlyMap<string, Extension> {
  if (element === undefined) return new Map()
  return readExtensionList(sequenceOf(element.content))
}

/** The elements of Extensions, each at most once (RFC 5280 §4.2). @throws {DerFault} */
export function readExtensionList(list: Elements): ReadonlyMap<string, Extension> {
  const found = new Map<string, Extension>()
  while (!list.done) {
    const extension = list.sequence()
    const oid = oidText(extension.take(TAG.oid))
    const critical = defaultFalse(extension.optional(TAG.boolean))
    const value = extension.take(TAG.octetString).content
    extension.end()
    if (found.has(oid)) throw new DerFault(`the extension ${oid} twice`)
    if (found.size === MOST_EXTENSIONS)
      throw tooMuch(MOST_EXTENSIONS, found.size + 1 + allOf(list).length, 'extensions')
    found.set(oid, { critical, value })
  }
  return found
}
