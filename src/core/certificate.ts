import { type KeyObject, X509Certificate } from 'node:crypto'
import { type KeyType, RSA_MIN_BITS } from './algorithms.js'
import { VolsealError } from './errors.js'
import { pemBlocks, toPem } from './pem.js'

/**
 * An X.509 certificate as signing and verifying need it: read by node:crypto, which costs no
 * start-up time. Making certificates and showing them whole is `x509.ts`.
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
 * certificate in DER.
 *
 * @param name how errors call it
 * @throws {VolsealError} `signature-malformed`
 */
export function readCertificate(content: Buffer, name: string): Certificate {
  const der = derOf(content, name)
  try {
    return fromX509(new X509Certificate(der))
  } catch (error) {
    throw unusable(name, 'an X.509 certificate that can be parsed', 'a damaged one', error)
  }
}

function derOf(content: Buffer, name: string): Buffer {
  if (content[0] === 0x30) return content
  const blocks = pemBlocks(content.toString('latin1'))
  const found = blocks.find((block) => block.label === 'CERTIFICATE')
  if (found !== undefined) return found.der
  const labels = blocks.map((block) => block.label).join(', ')
  throw unusable(name, 'a PEM CERTIFICATE', labels === '' ? 'no PEM block' : labels)
}

function unusable(name: string, expected: string, got: string, cause?: unknown): VolsealError {
  return new VolsealError('signature-malformed', `${name}: expected ${expected}, got ${got}`, {
    cause,
  })
}

function fromX509(x509: X509Certificate): Certificate {
  return {
    pem: toPem('CERTIFICATE', x509.raw),
    publicKey: x509.publicKey,
    subject: oneLine(x509.subject),
    issuer: oneLine(x509.issuer),
    notBefore: new Date(x509.validFrom),
    notAfter: new Date(x509.validTo),
    fingerprint: x509.fingerprint256.replaceAll(':', '').toLowerCase(),
  }
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

/** `RSA, 3072 bits` or `EC, secp384r1`: what a key is, for messages. */
export function describeKey(key: KeyObject): string {
  const type = key.asymmetricKeyType ?? 'no key pair'
  const details = key.asymmetricKeyDetails
  if (type === 'ec') return `EC, ${curveOf(key)}`
  if (details?.modulusLength === undefined) return type
  return `${type === 'rsa-pss' ? 'RSA (id-RSASSA-PSS)' : 'RSA'}, ${details.modulusLength} bits`
}

/** OpenSSL's name of an EC key's curve, P-256 being `prime256v1`. */
export function curveOf(key: KeyObject): string {
  return key.asymmetricKeyDetails?.namedCurve ?? 'an unnamed curve'
}

/** Why a public or private key cannot serve a key type; undefined when it can. */
export function keyMisfit(key: KeyObject, type: KeyType): string | undefined {
  if (type.family === 'ec')
    return key.asymmetricKeyType === 'ec' && curveOf(key) === type.curve
      ? undefined
      : `${type.name} needs an EC key on ${type.curve}, got ${describeKey(key)}`
  const isRsa = key.asymmetricKeyType === 'rsa' || key.asymmetricKeyType === 'rsa-pss'
  if (!isRsa) return `${type.name} needs an RSA key, got ${describeKey(key)}`
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0
  return bits < RSA_MIN_BITS
    ? `${type.name} needs at least ${RSA_MIN_BITS} bits, got ${bits}`
    : undefined
}
