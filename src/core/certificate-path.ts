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

/** A check with the document that asks for it. */
export interface SourcedPathCheck extends PathCheck {
  readonly source: string
}

/** Sections of RFC 5280; the floors, and code signing, are ours (docs/trust.md). */
const SOURCES: Readonly<Record<PathCheckName, string>> = {
  signature: 'RFC 5280 §6.1.3 (a) (1)',
  dates: 'RFC 5280 §6.1.3 (a) (2)',
  key: 'floors of volseal, docs/trust.md',
  'signature-algorithm': 'RFC 5280 §4.1.1.2; floors of volseal, docs/trust.md',
  'critical-extensions': 'RFC 5280 §4.2',
  name: 'RFC 5280 §4.1.2.4, §7.1',
  'basic-constraints': 'RFC 5280 §6.1.4 (k), §4.2.1.3',
  'path-length': 'RFC 5280 §6.1.4 (l), (m)',
  'key-usage': 'RFC 5280 §6.1.4 (n), §4.2.1.3',
  'extended-key-usage': 'RFC 5280 §4.2.1.12',
  'name-constraints': 'RFC 5280 §4.2.1.10',
  revocation: 'RFC 5280 §6.3',
}

export function withPathSource(check: PathCheck): SourcedPathCheck {
  return { ...check, source: SOURCES[check.name] }
}

/** A certificate of a path, and all that was looked at in it. */
export interface PathCertificate extends CertificateSummary {
  readonly role: Role
  readonly checks: readonly SourcedPathCheck[]
}
