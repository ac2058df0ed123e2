import { type Certificate, summarize } from '../core/certificate.js'
import { withPathSource } from '../core/certificate-path.js'
import { VolsealError } from '../core/errors.js'
import type { Candidate } from './candidate.js'
import { judgePinned } from './certificate-checks.js'
import { readRevocationLists } from './crl.js'
import { readFields } from './fields.js'
import { type Fault, findPath, type Step } from './find-path.js'
import { CertificateRefused, type PathReport } from './report.js'

/** Most certificates that are looked at, as many as nova takes trusted ones (API 2.63). */
export const MOST_CERTIFICATES = 50

export interface TrustPlan {
  /** The certificate that signs images. */
  readonly certificate: Certificate
  /** Those that the caller trusts: CAs, or the certificate itself. */
  readonly trusted: readonly Certificate[]
  /** Those that may stand between; nobody need trust them. */
  readonly untrusted?: readonly Certificate[] | undefined
  /** CRLs, DER or PEM. When there are any, every certificate below the trusted one needs one. */
  readonly crls?: readonly Buffer[] | undefined
  /** For which time it is judged; now when not given. */
  readonly at?: Date | undefined
}

/**
 * Judges who vouches for a certificate. One that the caller names itself is its own anchor: its
 * dates and key are checked, and no extension is demanded. Any other needs a path to a trusted one
 * (RFC 5280 §6.1), at most 8 certificates long.
 *
 * @returns the report of an accepted certificate
 * @throws {CertificateRefused} with the report
 * @throws {VolsealError} `usage` for more than 50 certificates, `signature-malformed` for one of
 * those named, or a CRL, that cannot be read
 */
export function checkTrust(plan: TrustPlan): PathReport {
  const verdict = judgeTrust(plan)
  if (verdict instanceof CertificateRefused) throw verdict
  return verdict
}

/** The same, with a refusal returned. */
export function judgeTrust(plan: TrustPlan): PathReport | CertificateRefused {
  const { certificate, trusted, untrusted = [], crls = [] } = plan
  const at = wholeSecond(plan.at ?? new Date())
  const count = new Set([...trusted, ...untrusted].map(({ fingerprint }) => fingerprint)).size
  if (count > MOST_CERTIFICATES) {
    throw new VolsealError(
      'usage',
      `expected at most ${MOST_CERTIFICATES} trusted and untrusted certificates, got ${count}`,
    )
  }
  const lists = readRevocationLists(crls)
  if (trusted.some(({ fingerprint }) => fingerprint === certificate.fingerprint)) {
    return pinned(certificate, at)
  }
  const signer = { certificate, fields: readFields(certificate), trusted: false }
  const others = candidatesOf(trusted, untrusted)
  const { path, fault, signatureChecks } = findPath({ signer, others, lists, at })
  return verdictOf(path, fault, 'path', signatureChecks, at)
}

/** Dates of certificates and lists have no fractions, so those of now do not count. */
function wholeSecond(time: Date): Date {
  if (Number.isNaN(time.getTime())) {
    throw new VolsealError('usage', 'at: expected a time, got an invalid Date')
  }
  return new Date(Math.floor(time.getTime() / 1000) * 1000)
}

function pinned(certificate: Certificate, at: Date): PathReport | CertificateRefused {
  const findings = judgePinned({ certificate, trusted: true }, at)
  const bad = findings.find(({ fault }) => fault !== undefined)
  const { fault: message = '', hint = '' } = bad ?? {}
  const fault = bad && { certificate, message, hint }
  return verdictOf(
    [{ candidate: { certificate }, role: 'anchor', findings }],
    fault,
    'pinned',
    0,
    at,
  )
}

/** Each certificate once; one that is named both ways is trusted. */
function candidatesOf(
  trusted: readonly Certificate[],
  untrusted: readonly Certificate[],
): Candidate[] {
  const found = new Map<string, Candidate>()
  for (const certificate of [...trusted, ...untrusted]) {
    if (found.has(certificate.fingerprint)) continue
    const fields = readFields(certificate)
    found.set(certificate.fingerprint, {
      certificate,
      fields,
      trusted: trusted.includes(certificate),
    })
  }
  return [...found.values()]
}

type Judged = Omit<Step, 'candidate'> & { readonly candidate: Pick<Candidate, 'certificate'> }

function verdictOf(
  path: readonly Judged[],
  fault: Fault | undefined,
  trust: 'pinned' | 'path',
  signatureChecks: number,
  at: Date,
): PathReport | CertificateRefused {
  const report: PathReport = {
    ok: fault === undefined,
    verdict: fault === undefined ? 'accepted' : 'certificate-untrusted',
    trust: fault === undefined ? trust : 'none',
    at: at.toISOString(),
    path: path.map(({ candidate, role, findings }) => ({
      role,
      ...summarize(candidate.certificate),
      checks: findings.map(({ check }) => withPathSource(check)),
    })),
    signatureChecks,
  }
  if (fault === undefined) return report
  return new CertificateRefused(refusalText(path, fault), fault.hint, report)
}

/** Says which certificate is to blame; above the signer there may be others of its name. */
function refusalText(path: readonly Judged[], { certificate, message }: Fault): string {
  const signer = path[0]?.candidate.certificate ?? certificate
  if (certificate === signer) return `the certificate ${nameOf(signer)}: ${message}`
  return `the certificate ${nameOf(signer)} has no path to a trusted one: ${nameOf(certificate)} above it: ${message}`
}

/** A signer may have no name but others (RFC 5280 §4.1.2.6). */
function nameOf({ subject, fingerprint }: Certificate): string {
  return subject === '' ? `without a name (${fingerprint.slice(0, 16)}…)` : subject
}
