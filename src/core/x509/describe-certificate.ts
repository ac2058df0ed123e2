import { X509Certificate as NodeCertificate } from 'node:crypto'
import { KEY_TYPES, type KeyTypeName } from '../algorithms.js'
import { type Certificate, describeKey, keyMisfit, readCertificate } from '../certificate.js'
import { usageNames } from './key-usage.js'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  KeyUsagesExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
} from './library.js'
import { signatureName } from './signing.js'

/** A certificate for reading: what its extensions say, and what it can be used for. */
export interface CertificateDescription {
  readonly subject: string
  readonly issuer: string
  readonly selfSigned: boolean
  readonly serialNumber: string
  /** ISO 8601, UTC. */
  readonly notBefore: string
  readonly notAfter: string
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string
  readonly signatureAlgorithm: string
  readonly publicKey: string
  /** Which values of img_signature_key_type the key serves; empty when none. */
  readonly keyTypes: readonly KeyTypeName[]
  readonly ca: boolean
  readonly pathLength: number | null
  /** Names of RFC 5280 §4.2.1.3; null when the extension is not there. */
  readonly keyUsage: readonly string[] | null
  readonly extendedKeyUsage: readonly string[] | null
  readonly subjectKeyId: string | null
  readonly authorityKeyId: string | null
}

/** @throws {VolsealError} `signature-malformed` */
export async function describeCertificate(
  content: Buffer,
  name: string,
): Promise<CertificateDescription> {
  const read = readCertificate(content, name)
  const x509 = new X509Certificate(read.pem)
  const constraints = x509.getExtension(BasicConstraintsExtension)
  const usage = x509.getExtension(KeyUsagesExtension)
  return {
    subject: read.subject,
    issuer: read.issuer,
    selfSigned: isSelfSigned(read),
    serialNumber: x509.serialNumber,
    notBefore: read.notBefore.toISOString(),
    notAfter: read.notAfter.toISOString(),
    fingerprint: read.fingerprint,
    signatureAlgorithm: nameAlgorithm(x509.signatureAlgorithm),
    publicKey: describeKey(read.publicKey),
    keyTypes: KEY_TYPES.filter((type) => keyMisfit(read.publicKey, type) === undefined).map(
      (type) => type.name,
    ),
    ca: constraints?.ca ?? false,
    pathLength: constraints?.pathLength ?? null,
    keyUsage: usage === null ? null : usageNames(usage.usages),
    extendedKeyUsage: x509.getExtension(ExtendedKeyUsageExtension)?.usages.map(String) ?? null,
    subjectKeyId: x509.getExtension(SubjectKeyIdentifierExtension)?.keyId ?? null,
    authorityKeyId: x509.getExtension(AuthorityKeyIdentifierExtension)?.keyId ?? null,
  }
}

/** node:crypto knows every key; WebCrypto has no DSA and none of the SECT curves. */
function isSelfSigned({ pem, subject, issuer, publicKey }: Certificate): boolean {
  return subject === issuer && new NodeCertificate(pem).verify(publicKey)
}

/** `ECDSA SHA-384`; what the library does not know has its object identifier for a name. */
function nameAlgorithm(algorithm: Algorithm & { readonly hash?: Algorithm }): string {
  const { name, hash } = algorithm
  return hash === undefined ? signatureName(name) : `${name} ${hash.name}`
}
