import type { CertificateSummary } from '../core/certificate.js'
import { VolsealError } from '../core/errors.js'

/** Where a certificate stands on a path. */
export type Role = 'signer' | 'intermediate' | 'anchor'

export type PathCheckName =
  | 'signature'
  | 'dates'
  | 'key'
  | 'signature-algorithm'
  | 'critical-extensions'
  | 'name'
  | 'basic-constraints'
  | 'path-length'
  | 'key-usage'
  | 'extended-key-usage'
  | 'name-constraints'
  | 'revocation'

/** One thing that was looked at in a certificate of a path. */
export interface PathCheck {
  readonly name: PathCheckName
  readonly result: 'pass' | 'fail' | 'skipped'
  readonly expected: string | null
  readonly found: string | null
}

/** A certificate of a path, and all that was looked at in it. */
export interface PathCertificate extends CertificateSummary {
  readonly role: Role
  readonly checks: readonly PathCheck[]
}

/** The verdict on a certificate; JSON-safe, the body of `cert check --json`. */
export interface PathReport {
  readonly ok: boolean
  readonly verdict: 'accepted' | 'certificate-untrusted'
  /** `pinned`: it was named itself; `path`: by a chain to a trusted one; `none`: refused. */
  readonly trust: 'pinned' | 'path' | 'none'
  /** The time for which it was judged, ISO 8601, UTC. */
  readonly at: string
  /**
   * From the signer to the trusted certificate. Of a refused one: the path that came furthest, with
   * the certificate that failed at its end or, by `name-constraints` or `revocation`, within it.
   */
  readonly path: readonly PathCertificate[]
  /** How many signatures were checked; never more than 100. */
  readonly signatureChecks: number
}

/** A certificate that was judged and refused; `report` is the whole verdict. */
export class CertificateRefused extends VolsealError {
  readonly report: PathReport

  constructor(message: string, hint: string, report: PathReport) {
    super('certificate-untrusted', message, { hint })
    this.name = 'CertificateRefused'
    this.report = report
  }
}
