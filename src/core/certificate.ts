import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'
import { DSA_MIN_BITS, type KeyType, RSA_MIN_BITS, RSA_USABLE_BITS } from './algorithms.js'
import { readCastellanPem } from './castellan-pem.js'
import { VolsealError } from './errors.js'
import { pemBlocks, toPem } from './pem.js'
import { PROFILES, type Profile } from './profiles.js'

/**
 * An X.509 certificate as signing and verifying need it: read by node:crypto, which costs no
 * start-up time. Making certificates and showing them whole is `x509/`.
 */
export interface Certificate {
  readonly pem: string
  readonly publicKey: KeyObject
  /** RFC 4514-like, on one line: `CN=image signing, O=Example`. */
  readonly subject: string
  readonly issuer: string
  readonly notBefore: Date
  readonly notAfter: Date
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string
}

/** What of a certificate goes into results. */
export interface CertificateSummary {
  readonly subject: string
  readonly issuer: string
  /** ISO 8601, UTC. */
  readonly notBefore: string
  readonly notAfter: string
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string
}

/**
 * Reads the first CERTIFICATE block of a PEM text (what castellan hands to the services), or one
 * certificate in DER; in the profile `cursive` only what castellan can read.
 *
 * @param name how errors call it
 * @throws {VolsealError} `signature-malformed`
 */
export function readCertificate(
  content: Buffer,
  name: string,
  profile: Profile = PROFILES.strict,
): Certificate {
  const der =
    profile.certificate === 'castellan' ? castellanDer(content, name) : derOf(content, name)
  const found = parse(der, name)
  // Bytes behind the certificate are part of no signature; nobody should see them as part of it.
  if (!found.raw.equals(der)) throw unusable(name, 'one certificate', 'bytes behind it as well')
  const certificate = fromX509(found, name)
  if (hasDates(certificate)) return certificate
  throw unusable(name, 'a certificate with valid dates', 'one with impossible dates')
}

/**
 * Always through PEM: given DER, OpenSSL's reader looks for PEM first, anywhere in the bytes, and
 * would find a certificate that is hidden in an extension of the one that was signed.
 */
function parse(der: Buffer, name: string): X509Certificate {
  try {
    return new X509Certificate(toPem('CERTIFICATE', der))
  } catch (error) {
    throw unusable(name, 'an X.509 certificate that can be parsed', 'a damaged one', error)
  }
}

/** JavaScript takes year 49 for 2049; X.509 dates begin in 1950 (RFC 5280 §4.1.2.5.1). */
function hasDates({ notBefore, notAfter }: Certificate): boolean {
  return notBefore.getTime() > EARLIEST && notAfter.getTime() > EARLIEST
}

const EARLIEST = Date.UTC(1950, 0, 1) - 1

function derOf(content: Buffer, name: string): Buffer {
  if (content[0] === 0x30) return content
  const blocks = pemBlocks(content.toString('latin1'))
  const found = blocks.find((block) => block.label === 'CERTIFICATE')
  if (found !== undefined) return found.der
  const labels = blocks.map((block) => block.label).join(', ')
  throw unusable(name, 'a PEM CERTIFICATE', labels === '' ? 'no PEM block' : labels)
}

function castellanDer(content: Buffer, name: string): Buffer {
  const read = readCastellanPem(content)
  if (read.ok) return read.der
  throw new VolsealError(
    'signature-malformed',
    `${name}: expected PEM as castellan reads it, but ${read.reason}`,
    { hint: 'make it PEM: openssl x509 -in CERT -out cert.pem' },
  )
}

function unusable(name: string, expected: string, got: string, cause?: unknown): VolsealError {
  return new VolsealError('signature-malformed', `${name}: expected ${expected}, got ${got}`, {
    cause,
  })
}

function fromX509(x509: X509Certificate, name: string): Certificate {
  return {
    pem: toPem('CERTIFICATE', x509.raw),
    publicKey: publicKeyOf(x509, name),
    subject: oneLine(x509.subject),
    issuer: oneLine(x509.issuer),
    notBefore: dateOf(x509.validFrom),
    notAfter: dateOf(x509.validTo),
    fingerprint: x509.fingerprint256.replaceAll(':', '').toLowerCase(),
  }
}

/** The key is decoded only when it is asked for. */
function publicKeyOf(x509: X509Certificate, name: string): KeyObject {
  try {
    return x509.publicKey
  } catch (error) {
    throw unusable(name, 'a certificate with a public key', 'one whose key is damaged', error)
  }
}

/** OpenSSL's `Nov 21 03:02:24 2027 GMT`; anything else is an invalid date. */
function dateOf(text: string): Date {
  return new Date(/ [1-9]\d{3} GMT$/.test(text) ? text : Number.NaN)
}

/** Node gives one attribute a line; an empty name comes as undefined in spite of its type. */
function oneLine(name: string | undefined): string {
  return (name ?? '').split('\n').join(', ')
}

/** The certificate as results show it. */
export function summarize(certificate: Certificate): CertificateSummary {
  const { subject, issuer, fingerprint } = certificate
  return {
    subject,
    issuer,
    notBefore: certificate.notBefore.toISOString(),
    notAfter: certificate.notAfter.toISOString(),
    fingerprint,
  }
}

/** `RSA, 3072 bits`, `DSA, 2048 bits` or `EC, secp384r1`: what a key is, for messages. */
export function describeKey(key: KeyObject): string {
  const type = key.asymmetricKeyType ?? 'no key pair'
  const details = key.asymmetricKeyDetails
  if (type === 'ec') return `EC, ${curveOf(key)}${isNamedCurve(key) ? '' : ' spelled out'}`
  if (details?.modulusLength === undefined) return type
  return `${FAMILIES[type] ?? type}, ${details.modulusLength} bits`
}

const FAMILIES: Readonly<Record<string, string>> = {
  rsa: 'RSA',
  'rsa-pss': 'RSA (id-RSASSA-PSS)',
  dsa: 'DSA',
}

/** OpenSSL's name of an EC key's curve, P-256 being `prime256v1`. */
export function curveOf(key: KeyObject): string {
  return key.asymmetricKeyDetails?.namedCurve ?? 'an unnamed curve'
}

/** id-ecPublicKey (RFC 5480 §2.1.1), behind which its parameters stand. */
const EC_PUBLIC_KEY = Buffer.from('06072a8648ce3d0201', 'hex')
const OID_TAG = 0x06

/**
 * Whether the curve is named: RFC 5480 §2.1.1 forbids to spell it out, and Python's cryptography,
 * with which the services verify, refuses such keys. OpenSSL recognises the curve all the same.
 */
function isNamedCurve(key: KeyObject): boolean {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key
  const der = publicKey.export({ type: 'spki', format: 'der' })
  return der[der.indexOf(EC_PUBLIC_KEY) + EC_PUBLIC_KEY.length] === OID_TAG
}

/** Why a public or private key cannot serve a key type; undefined when it can. */
export function keyMisfit(
  key: KeyObject,
  type: KeyType,
  profile: Profile = PROFILES.strict,
): string | undefined {
  return profile.key === 'class' ? classMisfit(key, type) : MISFITS[type.family](key, type)
}

const MISFITS = { rsa: rsaMisfit, dsa: dsaMisfit, ec: ecMisfit } as const

function ecMisfit(key: KeyObject, type: KeyType): string | undefined {
  const curve = type.family === 'ec' ? type.curve : undefined
  const fits = key.asymmetricKeyType === 'ec' && curveOf(key) === curve
  if (!fits) return `${type.name} needs an EC key on ${curve}, got ${describeKey(key)}`
  return isNamedCurve(key) ? undefined : `${type.name} needs a curve that is named by its OID`
}

function dsaMisfit(key: KeyObject, { name }: KeyType): string | undefined {
  if (key.asymmetricKeyType !== 'dsa') return `${name} needs a DSA key, got ${describeKey(key)}`
  const { modulusLength: p = 0, divisorLength: q = 0 } = key.asymmetricKeyDetails ?? {}
  if (p >= DSA_MIN_BITS.p && q >= DSA_MIN_BITS.q) return undefined
  return `${name} needs at least ${DSA_MIN_BITS.p} bits with a q of ${DSA_MIN_BITS.q}, got ${p} with ${q}`
}

/** With e = 1 everybody can sign; with an even e nobody can; OpenSSL works up to 16384 bits. */
function rsaMisfit(key: KeyObject, { name }: KeyType): string | undefined {
  const isRsa = key.asymmetricKeyType === 'rsa' || key.asymmetricKeyType === 'rsa-pss'
  if (!isRsa) return `${name} needs an RSA key, got ${describeKey(key)}`
  const { modulusLength: bits = 0, publicExponent: e = 0n } = key.asymmetricKeyDetails ?? {}
  if (bits < RSA_MIN_BITS) return `${name} needs at least ${RSA_MIN_BITS} bits, got ${bits}`
  if (bits > RSA_USABLE_BITS) return `${name} takes at most ${RSA_USABLE_BITS} bits, got ${bits}`
  if (e < 3n || e % 2n === 0n) return `${name} needs an odd public exponent from 3 on, got ${e}`
  return undefined
}

const CLASSES: Readonly<Record<KeyType['family'], readonly string[]>> = {
  rsa: ['rsa', 'rsa-pss'],
  dsa: ['dsa'],
  ec: ['ec'],
}

/**
 * What cursive asks (`SignatureKeyType`, `get_public_key`): the class of the key, whatever its size
 * or curve; and what python-cryptography <= 46 can load at all.
 */
function classMisfit(key: KeyObject, { name, family }: KeyType): string | undefined {
  if (!CLASSES[family].includes(key.asymmetricKeyType ?? '')) {
    return `${name} needs a key of the class ${family.toUpperCase()}, got ${describeKey(key)}`
  }
  const isLoadable = family !== 'ec' || (isNamedCurve(key) && PYTHON_CURVES.includes(curveOf(key)))
  return isLoadable ? undefined : `python-cryptography has no key such as ${describeKey(key)}`
}

/** The curves of python-cryptography's `ec` module, by OpenSSL's names. */
const PYTHON_CURVES: readonly string[] = [
  'prime192v1 secp224r1 prime256v1 secp384r1 secp521r1 secp256k1',
  'brainpoolP256r1 brainpoolP384r1 brainpoolP512r1',
  'sect163k1 sect233k1 sect283k1 sect409k1 sect571k1',
  'sect163r2 sect233r1 sect283r1 sect409r1 sect571r1',
].flatMap((names) => names.split(' '))
