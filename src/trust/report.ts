import type { PathCertificate } from '../core/certificate-path.js'
import { VolsealError } from '../core/errors.js'

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
