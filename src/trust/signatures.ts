import { constants, type KeyObject, verify } from 'node:crypto'
import { RSA_MIN_BITS, RSA_USABLE_BITS } from '../core/algorithms.js'
import { curveOf, describeKey } from '../core/certificate.js'
import {
  contextTag,
  DerFault,
  Elements,
  listOf,
  oidText,
  sequenceOf,
  smallInteger,
  TAG,
} from '../core/der.js'
import type { Signed } from './fields.js'

/** How certificates and CRLs may be signed: RSA and ECDSA, with SHA-2 only. */
interface Algorithm {
  readonly name: string
  readonly family: 'rsa' | 'rsa-pss' | 'ec'
  /** The digest's name in node:crypto. */
  readonly hash: string
  /** RSASSA-PSS only, bytes. */
  readonly saltLength?: number
}

/** RFC 4055 §5, RFC 5758 §3.2. */
const ALGORITHMS: Readonly<Record<string, Algorithm>> = {
  '1.2.840.113549.1.1.14': { name: 'RSA with SHA-224', family: 'rsa', hash: 'sha224' },
  '1.2.840.113549.1.1.11': { name: 'RSA with SHA-256', family: 'rsa', hash: 'sha256' },
  '1.2.840.113549.1.1.12': { name: 'RSA with SHA-384', family: 'rsa', hash: 'sha384' },
  '1.2.840.113549.1.1.13': { name: 'RSA with SHA-512', family: 'rsa', hash: 'sha512' },
  '1.2.840.10045.4.3.1': { name: 'ECDSA with SHA-224', family: 'ec', hash: 'sha224' },
  '1.2.840.10045.4.3.2': { name: 'ECDSA with SHA-256', family: 'ec', hash: 'sha256' },
  '1.2.840.10045.4.3.3': { name: 'ECDSA with SHA-384', family: 'ec', hash: 'sha384' },
  '1.2.840.10045.4.3.4': { name: 'ECDSA with SHA-512', family: 'ec', hash: 'sha512' },
}

const RSA_PSS = '1.2.840.113549.1.1.10'

/** Digests by the identifiers that RSASSA-PSS-params name them by (RFC 4055 §2.1). */
const HASHES: Readonly<Record<string, readonly [name: string, node: string]>> = {
  '2.16.840.1.101.3.4.2.4': ['SHA-224', 'sha224'],
  '2.16.840.1.101.3.4.2.1': ['SHA-256', 'sha256'],
  '2.16.840.1.101.3.4.2.2': ['SHA-384', 'sha384'],
  '2.16.840.1.101.3.4.2.3': ['SHA-512', 'sha512'],
}
const MGF1 = '1.2.840.113549.1.1.8'

/** What is refused, by the names that people know. */
const REFUSED: Readonly<Record<string, string>> = {
  '1.2.840.113549.1.1.2': 'RSA with MD2',
  '1.2.840.113549.1.1.4': 'RSA with MD5',
  '1.2.840.113549.1.1.5': 'RSA with SHA-1',
  '1.2.840.10045.4.1': 'ECDSA with SHA-1',
  '1.2.840.10040.4.3': 'DSA with SHA-1',
  '2.16.840.1.101.3.4.3.1': 'DSA with SHA-224',
  '2.16.840.1.101.3.4.3.2': 'DSA with SHA-256',
  '1.3.101.112': 'Ed25519',
  '1.3.101.113': 'Ed448',
  '2.16.840.1.101.3.4.3.17': 'ML-DSA-44',
  '2.16.840.1.101.3.4.3.18': 'ML-DSA-65',
  '2.16.840.1.101.3.4.3.19': 'ML-DSA-87',
}

export const ACCEPTED_ALGORITHMS = 'RSA (PKCS#1 v1.5 or PSS) or ECDSA, with SHA-2'

/** An algorithm that is accepted, or the name of one that is not. */
export function signatureAlgorithm({ algorithm, innerAlgorithm }: Signed): Algorithm | string {
  // RFC 5280 §4.1.1.2: what is not signed must not say another thing than what is.
  if (!algorithm.equals(innerAlgorithm)) return 'two algorithms that differ'
  try {
    return readAlgorithm(algorithm)
  } catch (error) {
    if (error instanceof DerFault) return 'an algorithm that cannot be read'
    throw error
  }
}

function readAlgorithm(raw: Buffer): Algorithm | string {
  const fields = sequenceOf(raw)
  const oid = oidText(fields.take(TAG.oid))
  if (oid === RSA_PSS) return readPss(fields)
  const known = ALGORITHMS[oid]
  if (known === undefined) return REFUSED[oid] ?? oid
  // RFC 4055 §5: NULL, or nothing; RFC 5758 §3.2: nothing.
  if (known.family === 'rsa') fields.optional(TAG.null)
  fields.end()
  return known
}

/** RSASSA-PSS-params (RFC 4055 §3.1); its defaults are SHA-1, so nothing but the trailer is left out. */
function readPss(fields: Elements): Algorithm | string {
  const params = fields.sequence()
  fields.end()
  const hash = hashOf(params.optional(contextTag(0, true))?.content)
  const mask = params.optional(contextTag(1, true))?.content
  const salt = params.optional(contextTag(2, true))?.content
  params.optional(contextTag(3, true))
  params.end()
  if (hash === undefined || mask === undefined) return 'RSA-PSS with SHA-1'
  const [function_, parameters] = listOf(mask)
  const isMgf1 = function_ !== undefined && oidText(function_) === MGF1
  if (!isMgf1 || hashOf(parameters?.raw) !== hash) return 'RSA-PSS with two hashes'
  const saltLength = salt === undefined ? 20 : smallInteger(new Elements(salt).take(TAG.integer))
  const [name, node] = hash
  return { name: `RSA-PSS with ${name}`, family: 'rsa-pss', hash: node, saltLength }
}

function hashOf(raw: Buffer | undefined): readonly [string, string] | undefined {
  if (raw === undefined) return undefined
  const [oid] = listOf(raw)
  return oid === undefined ? undefined : HASHES[oidText(oid)]
}

/** Whether a signature is by this key; false as well for a key of another kind. */
export function isSignedBy(signed: Signed, key: KeyObject): boolean {
  const algorithm = signatureAlgorithm(signed)
  if (typeof algorithm === 'string' || !fitsKey(algorithm, key)) return false
  const { hash, family, saltLength } = algorithm
  const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: saltLength ?? 0 }
  try {
    return verify(
      hash,
      signed.body,
      { key, ...(family === 'rsa-pss' ? pss : {}) },
      signed.signature,
    )
  } catch {
    // OpenSSL throws for what cannot be a signature, such as a salt that the key does not allow.
    return false
  }
}

function fitsKey({ family }: Algorithm, key: KeyObject): boolean {
  const type = key.asymmetricKeyType
  return type === family || (type === 'rsa' && family === 'rsa-pss')
}

/** Most that an issuer's key may have, which keeps the time of a signature check bounded. */
const MOST_ISSUER_BITS = 8192
const MOST_EXPONENT = 2n ** 64n
/** FIPS 186-4 §4.2: L and N. Such a key may sign images, but no certificates. */
const DSA_BITS = [2048, 224] as const
/** At least 112 bits of security (NIST SP 800-57 part 1, table 2), and known to cursive or common in CAs. */
const CURVES: ReadonlySet<string> = new Set([
  'prime256v1',
  'secp384r1',
  'secp521r1',
  'sect409k1',
  'sect409r1',
  'sect571k1',
  'sect571r1',
])

export const ACCEPTED_KEYS =
  'RSA from 2048 bits (issuers to 8192), EC on a NIST curve by its name, DSA from 2048 bits (signers only)'

/** Why a key is too weak, too costly or unknown; undefined when it may stand on a path. */
export function keyFault(key: KeyObject, keyInfo: Buffer, isIssuer: boolean): string | undefined {
  const type = key.asymmetricKeyType
  if (type === 'rsa' || type === 'rsa-pss') return rsaFault(key, isIssuer)
  if (type === 'ec') {
    if (!isNamedCurve(keyInfo)) return 'its curve is spelled out instead of named'
    return CURVES.has(curveOf(key)) ? undefined : `the curve ${curveOf(key)} is not accepted`
  }
  if (type === 'dsa' && !isIssuer) return dsaFault(key)
  return `keys of the kind ${describeKey(key)} are not accepted`
}

function rsaFault(key: KeyObject, isIssuer: boolean): string | undefined {
  const { modulusLength: bits = 0, publicExponent: e = 0n } = key.asymmetricKeyDetails ?? {}
  const most = isIssuer ? MOST_ISSUER_BITS : RSA_USABLE_BITS
  if (bits < RSA_MIN_BITS) return `RSA needs at least ${RSA_MIN_BITS} bits, got ${bits}`
  if (bits > most) return `RSA may have at most ${most} bits, got ${bits}`
  if (e < 3n || e % 2n === 0n) return 'its exponent lets everybody sign, or nobody'
  if (isIssuer && e > MOST_EXPONENT) {
    return `its exponent may have at most 64 bits, got ${e.toString(2).length}`
  }
  return undefined
}

function dsaFault(key: KeyObject): string | undefined {
  const { modulusLength = 0, divisorLength = 0 } = key.asymmetricKeyDetails ?? {}
  const [bits, divisor] = DSA_BITS
  if (modulusLength >= bits && divisorLength >= divisor) return undefined
  return `DSA needs at least ${bits} and ${divisor} bits, got ${modulusLength} and ${divisorLength}`
}

/** RFC 5480 §2.1.1 forbids to spell a curve out: that is how CVE-2020-0601 made roots of its own. */
function isNamedCurve(keyInfo: Buffer): boolean {
  const [algorithm] = listOf(keyInfo)
  const [, parameters] = algorithm === undefined ? [] : listOf(algorithm.raw)
  return parameters?.tag === TAG.oid
}
