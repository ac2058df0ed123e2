import type { HashName, KeyTypeName } from '../core/algorithms.js'
import type { CertificateSummary } from '../core/certificate.js'
import { type ErrorCode, VolsealError } from '../core/errors.js'
import type { ProfileName } from '../core/profiles.js'

/**
 * Who vouches for the certificate: `pinned`, the caller named it; `path`, a chain to a trusted one;
 * `none`, only the image's own properties name it, and whoever can change the image can change them.
 */
export type Trust = 'pinned' | 'path' | 'none'

/** One thing that was looked at. */
export interface Check {
  readonly name: CheckName
  readonly result: 'pass' | 'fail' | 'skipped'
  readonly expected: string | null
  readonly found: string | null
}

export type CheckName =
  | 'properties'
  | 'certificate-key'
  | 'certificate-dates'
  | 'certificate-trust'
  | 'signature'
  | 'salt-length'

/** The verdict on an image and all that led to it; JSON-safe, the body of `verify --json`. */
export interface VerifyReport {
  readonly ok: boolean
  readonly verdict: 'accepted' | ErrorCode
  /** How the image was named. */
  readonly image: string
  /** By which rules it was judged. */
  readonly profile: ProfileName
  readonly trust: Trust
  /** Lower-case hex; null when the image was not read to its end. */
  readonly digest: string | null
  /** Bytes; null when the image was not read to its end. */
  readonly size: number | null
  readonly hash: HashName | null
  readonly keyType: KeyTypeName | null
  /** Bytes of salt found in an RSA-PSS signature; null when there is none to find. */
  readonly saltLength: number | null
  readonly certificateId: string | null
  readonly certificate: CertificateSummary | null
  readonly checks: readonly Check[]
}

/**
 * An image that was looked at and refused. `report` is the whole verdict; the error is thrown, not
 * returned, so that nobody can take a refusal for an acceptance by not looking.
 */
export class ImageRefused extends VolsealError {
  readonly report: VerifyReport

  constructor(reason: VolsealError, report: VerifyReport) {
    super(reason.code, reason.message, { hint: reason.hint, cause: reason.cause })
    this.name = 'ImageRefused'
    this.report = { ...report, ok: false, verdict: reason.code }
  }
}
