import {
  contextTag,
  DerFault,
  defaultFalse,
  Elements,
  listOf,
  oidText,
  sequenceOf,
  smallInteger,
  TAG,
} from '../core/der.js'
import { type CertificateFields, type Extension, tooMuch } from './fields.js'

/** The extensions of RFC 5280 §4.2.1 that decide something, and what they say. */
export const OID = {
  subjectKeyId: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  certificatePolicies: '2.5.29.32',
  authorityKeyId: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
} as const

/** Extensions whose meaning is not known here, for messages. */
const NAMES: Readonly<Record<string, string>> = {
  '1.3.6.1.5.5.7.1.1': 'authorityInfoAccess',
  '2.5.29.14': 'subjectKeyIdentifier',
  '2.5.29.18': 'issuerAltName',
  '2.5.29.20': 'cRLNumber',
  '2.5.29.27': 'deltaCRLIndicator',
  '2.5.29.28': 'issuingDistributionPoint',
  '2.5.29.31': 'cRLDistributionPoints',
  '2.5.29.33': 'policyMappings',
  '2.5.29.35': 'authorityKeyIdentifier',
  '2.5.29.36': 'policyConstraints',
  '2.5.29.46': 'freshestCRL',
  '2.5.29.54': 'inhibitAnyPolicy',
}

/** `policyConstraints (2.5.29.36)`, or the bare object identifier. */
export function extensionName(oid: string): string {
  const name = NAMES[oid]
  return name === undefined ? oid : `${name} (${oid})`
}

/**
 * Critical extensions that are acted on. certificatePolicies is one of them: which policy a path
 * holds for decides nothing here, and what would make it decide (policyConstraints) is refused.
 */
export const UNDERSTOOD: ReadonlySet<string> = new Set([
  OID.keyUsage,
  OID.subjectAltName,
  OID.basicConstraints,
  OID.nameConstraints,
  OID.certificatePolicies,
  OID.extendedKeyUsage,
])

/** What must be acted on in any case: not critical, it is a mistake of the CA (RFC 5280 §4.2.1.11). */
const POLICY_CONSTRAINTS = '2.5.29.36'

/** Identifiers of critical extensions that are not acted on. */
export function unknownCritical(
  extensions: ReadonlyMap<string, Extension>,
  understood: ReadonlySet<string>,
): string[] {
  return [...extensions].flatMap(([oid, { critical }]) =>
    (critical || oid === POLICY_CONSTRAINTS) && !understood.has(oid) ? [oid] : [],
  )
}

export interface BasicConstraints {
  readonly ca: boolean
  readonly pathLength: number | undefined
}

/** Undefined where the extension is not there. @throws {DerFault} */
export function basicConstraints({ extensions }: CertificateFields): BasicConstraints | undefined {
  const extension = extensions.get(OID.basicConstraints)
  if (extension === undefined) return undefined
  const fields = sequenceOf(extension.value)
  const ca = defaultFalse(fields.optional(TAG.boolean))
  const length = fields.optional(TAG.integer)
  fields.end()
  return { ca, pathLength: length === undefined ? undefined : smallInteger(length) }
}

/** Bits of KeyUsage (RFC 5280 §4.2.1.3). */
export const USAGES = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
] as const

export type Usage = (typeof USAGES)[number]

/** Undefined where the extension is not there. @throws {DerFault} */
export function keyUsage({ extensions }: CertificateFields): readonly Usage[] | undefined {
  const extension = extensions.get(OID.keyUsage)
  if (extension === undefined) return undefined
  const outer = new Elements(extension.value)
  const { content } = outer.take(TAG.bitString)
  outer.end()
  if ((content[0] ?? 8) > 7 || content.length > 3) throw new DerFault('a keyUsage that is none')
  return USAGES.filter((_, bit) => {
    const byte = content[1 + Math.floor(bit / 8)] ?? 0
    return (byte & (0x80 >> (bit % 8))) !== 0
  })
}

export const CODE_SIGNING = '1.3.6.1.5.5.7.3.3'
export const ANY_USAGE = '2.5.29.37.0'

/** Purposes by name, for messages (RFC 5280 §4.2.1.12, RFC 9336). */
const PURPOSES: Readonly<Record<string, string>> = {
  '1.3.6.1.5.5.7.3.1': 'serverAuth',
  '1.3.6.1.5.5.7.3.2': 'clientAuth',
  [CODE_SIGNING]: 'codeSigning',
  '1.3.6.1.5.5.7.3.4': 'emailProtection',
  '1.3.6.1.5.5.7.3.8': 'timeStamping',
  '1.3.6.1.5.5.7.3.9': 'OCSPSigning',
  '1.3.6.1.5.5.7.3.36': 'documentSigning',
  [ANY_USAGE]: 'anyExtendedKeyUsage',
}

export function purposeName(oid: string): string {
  return PURPOSES[oid] ?? oid
}

/** More are no use to anybody but somebody who wants them read again and again. */
const MOST_PURPOSES = 100

/** Undefined where the extension is not there. @throws {DerFault} */
export function extendedKeyUsage({ extensions }: CertificateFields): readonly string[] | undefined {
  const extension = extensions.get(OID.extendedKeyUsage)
  if (extension === undefined) return undefined
  const purposes = listOf(extension.value)
  if (purposes.length > MOST_PURPOSES) throw tooMuch(MOST_PURPOSES, purposes.length, 'purposes')
  return purposes.map(oidText)
}

/** The key's identifier, hex; a hint of which certificates belong together, no more. */
export function subjectKeyId({ extensions }: CertificateFields): string | undefined {
  return keyIdText(extensions.get(OID.subjectKeyId)?.value.subarray(2))
}

/** The issuing key's identifier, hex, where it is named that way. */
export function authorityKeyId({ extensions }: CertificateFields): string | undefined {
  const extension = extensions.get(OID.authorityKeyId)
  if (extension === undefined) return undefined
  try {
    const named = sequenceOf(extension.value).optional(contextTag(0, false))
    return keyIdText(named?.content)
  } catch {
    // A hint that cannot be read is none.
    return undefined
  }
}

/** Most bytes of a key's identifier, which is a digest; a longer hint is none. */
const MOST_ID_BYTES = 64

function keyIdText(id: Buffer | undefined): string | undefined {
  return id === undefined || id.length > MOST_ID_BYTES ? undefined : id.toString('hex')
}
