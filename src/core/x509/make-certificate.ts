import { createPublicKey, type KeyObject, randomBytes } from 'node:crypto'
import { readCertificate } from '../certificate.js'
import { VolsealError } from '../errors.js'
import { toPem } from '../pem.js'
import { parseName } from './distinguished-name.js'
import { caUsage, signerUsage } from './key-usage.js'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  type Name,
  PublicKey,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from './library.js'
import { HELD_KEY, nodeSigner, requireSigningAlgorithm, spkiOf } from './signing.js'

const DAY_MS = 86_400_000

/** Clocks differ: a certificate made now is valid on a host that is a little behind. */
const BACKDATE_MS = 5 * 60_000

export interface CertificateAuthority {
  readonly key: KeyObject
  /** PEM or DER. */
  readonly certificate: Buffer
  /** How errors call it. */
  readonly certificateName?: string | undefined
}

export interface CertificatePlan {
  /** RFC 4514 text such as `CN=image signing,O=Example`, or the name that a request has. */
  readonly subject: string | Name
  /** The subject's public key. */
  readonly publicKey: KeyObject
  /** The issuer; for a self-signed certificate the subject's own private key. */
  readonly issuer: CertificateAuthority | { readonly selfSignedWith: KeyObject }
  readonly days: number
  /** A CA certificate, with room for this many CA certificates below it (RFC 5280 §4.2.1.9). */
  readonly ca?: { readonly pathLength: number } | undefined
}

/**
 * Makes an X.509 v3 certificate and returns it as PEM. A signing certificate may sign data only
 * (digitalSignature); a CA may sign certificates and CRLs only.
 *
 * @throws {VolsealError} `signature-malformed` for a key or CA that cannot be used, `usage` for a
 * subject that is no distinguished name
 */
export async function makeCertificate(plan: CertificatePlan): Promise<string> {
  const authority = 'certificate' in plan.issuer ? readAuthority(plan.issuer) : undefined
  const signer = 'certificate' in plan.issuer ? plan.issuer.key : plan.issuer.selfSignedWith
  const subject = typeof plan.subject === 'string' ? parseName(plan.subject) : plan.subject
  const now = Date.now()
  const signing = requireSigningAlgorithm(signer)
  requireSigningAlgorithm(plan.publicKey)
  const certificate = await X509CertificateGenerator.create(
    {
      serialNumber: serialNumber(),
      subject,
      issuer: authority?.subjectName ?? subject,
      notBefore: new Date(now - BACKDATE_MS),
      notAfter: new Date(now + plan.days * DAY_MS),
      publicKey: spkiOf(plan.publicKey),
      signingKey: HELD_KEY,
      signingAlgorithm: signing,
      extensions: await extensionsOf(plan, authority),
    },
    nodeSigner(signer, signing),
  )
  return toPem('CERTIFICATE', new Uint8Array(certificate.rawData))
}

async function extensionsOf(
  plan: CertificatePlan,
  authority: X509Certificate | undefined,
): Promise<Extension[]> {
  const subjectKeyId = await SubjectKeyIdentifierExtension.create(
    new PublicKey(spkiOf(plan.publicKey)),
  )
  const authorityKeyId = authority?.getExtension(SubjectKeyIdentifierExtension)?.keyId
  return [
    plan.ca === undefined
      ? new BasicConstraintsExtension(false, undefined, true)
      : new BasicConstraintsExtension(true, plan.ca.pathLength, true),
    plan.ca === undefined ? signerUsage() : caUsage(),
    subjectKeyId,
    authority !== undefined && authorityKeyId === undefined
      ? await AuthorityKeyIdentifierExtension.create(authority.publicKey)
      : new AuthorityKeyIdentifierExtension(authorityKeyId ?? subjectKeyId.keyId),
  ]
}

/** A CA certificate that may, and whose key can, issue. */
function readAuthority(authority: CertificateAuthority): X509Certificate {
  const { certificateName: name = 'the CA certificate' } = authority
  const { pem, publicKey } = readCertificate(authority.certificate, name)
  const certificate = new X509Certificate(pem)
  const constraints = certificate.getExtension(BasicConstraintsExtension)
  const usage = certificate.getExtension(KeyUsagesExtension)
  if (constraints?.ca !== true) throw refuse(`${name} is no CA (basicConstraints)`)
  if (usage !== null && (usage.usages & KeyUsageFlags.keyCertSign) === 0) {
    throw refuse(`${name} may not sign certificates (keyUsage)`)
  }
  if (!createPublicKey(authority.key).equals(publicKey)) {
    throw refuse(`the CA key is not that of ${name}`)
  }
  return certificate
}

function refuse(message: string): VolsealError {
  return new VolsealError('signature-malformed', message)
}

/** 16 random bytes, positive and without a leading zero (RFC 5280 §4.1.2.2 allows up to 20). */
function serialNumber(): string {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40
  return bytes.toString('hex')
}
