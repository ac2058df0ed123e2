import { type Certificate, readCertificate } from '../core/certificate.js'
import { VolsealError } from '../core/errors.js'
import {
  CertificateRefused,
  checkTrust,
  judgeTrust,
  type PathReport,
  readCertificates,
  readChain,
  readRevocationLists,
} from '../trust/index.js'
import type { NamedCertificate } from '../verify/index.js'

/** Who vouches for a certificate. All certificates are PEM, which may hold several, or DER. */
export interface TrustOptions {
  /** Trusted: the certificate itself, or a CA above it. */
  readonly trusted: readonly Buffer[]
  /** What may stand between: nobody need trust it. */
  readonly untrusted?: readonly Buffer[] | undefined
  /** CRLs, PEM or DER: then one of every CA on the path must be there, and current. */
  readonly crls?: readonly Buffer[] | undefined
  /** For which time it is judged; now when not given. */
  readonly at?: Date | undefined
}

export interface CheckCertificateOptions extends TrustOptions {
  /** The certificate to judge; in PEM, those behind it are taken as untrusted. */
  readonly certificate: Buffer
  /** How errors call it, such as by its file's name. */
  readonly certificateName?: string | undefined
}

/**
 * Judges a certificate as `verifyImage` does: is it one of those trusted, or is there a path to one
 * (RFC 5280 §6.1)? It ends within a second, whatever it is given.
 *
 * @returns the path, and every check on it
 * @throws {CertificateRefused} with the report of the path that came furthest
 * @throws {VolsealError} `signature-malformed` for what cannot be read, `usage` for too much of it
 *
 * @example
 * const { path } = checkCertificate({ certificate, trusted: [await readFile('ca.pem')] })
 */
export function checkCertificate(options: CheckCertificateOptions): PathReport {
  const { trusted, untrusted = [], crls, at, certificateName = 'the certificate' } = options
  const [certificate, others] = readChain(options.certificate, certificateName)
  return checkTrust({
    certificate,
    trusted: readCertificates(trusted, 'a trusted certificate'),
    untrusted: [...readCertificates(untrusted, 'an untrusted certificate'), ...others],
    crls,
    at,
  })
}

/** Who may vouch for an image's certificate. */
export interface Vouchers {
  /** Whether the caller, not the image's properties, names the certificate. */
  readonly named: boolean
  /** Those trusted must vouch even if there are none: a policy has the say. */
  readonly required?: true
  readonly trusted: readonly Buffer[]
  readonly untrusted: readonly Buffer[]
  readonly crls: readonly Buffer[]
}

/** An image's certificate and who vouches for it: the caller, a trusted certificate, or nobody. */
export function judgeTrustOf(
  content: Buffer,
  name: string,
  { named, required, trusted, untrusted, crls, at }: Vouchers & { readonly at: Date },
): Omit<NamedCertificate, 'id'> {
  if (trusted.length === 0 && required !== true) {
    if (untrusted.length + crls.length > 0) throw noneTrusted()
    return { certificate: readCertificate(content, name), trust: named ? 'pinned' : 'none' }
  }
  const [certificate, others] = readChain(content, name)
  const verdict = judgeTrust({
    certificate,
    trusted: readCertificates(trusted, 'a trusted certificate'),
    untrusted: [...readCertificates(untrusted, 'an untrusted certificate'), ...others],
    crls,
    at,
  })
  const isRefused = verdict instanceof CertificateRefused
  const report = isRefused ? verdict.report : verdict
  const refusal = isRefused ? verdict : undefined
  return { certificate, trust: report.trust, path: { certificates: report.path, refusal } }
}

function noneTrusted(): VolsealError {
  return new VolsealError(
    'usage',
    'untrusted certificates and CRLs are for a path to a trusted one, and none is named',
    { hint: 'name it with --trusted CA.pem' },
  )
}

/** Where each certificate is chosen by itself: one behind it would be trusted unseen. */
export function requireOneCertificate(content: Buffer, name: string): Certificate {
  const [certificate, ...others] = readCertificates([content], name)
  if (certificate !== undefined && others.length === 0) return certificate
  throw new VolsealError('usage', `${name}: expected one certificate, got ${others.length + 1}`)
}

/** Reads what an option names, so that an error says which file it was. */
export function requireCertificates(content: Buffer, name: string): Buffer {
  readCertificates([content], name)
  return content
}

/** The same for revocation lists. */
export function requireRevocationLists(content: Buffer, name: string): Buffer {
  readRevocationLists([content], name)
  return content
}

export { CertificateRefused, type PathReport } from '../trust/index.js'
