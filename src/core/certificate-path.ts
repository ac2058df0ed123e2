import type { CertificateSummary } from './certificate.js'

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
