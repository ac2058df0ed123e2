import type { HashName, KeyTypeName } from '../core/algorithms.js'
import type { CertificateSummary } from '../core/certificate.js'
import type { PathCertificate } from '../core/certificate-path.js'
import { type ErrorCode, VolsealError } from '../core/errors.js'
import type { ProfileName } from '../core/profiles.js'
import type { Evidence } from './evidence.js'
import type { Explanation } from './explanation.js'

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
  | 'arrival'
  | 'policy-key-type'
  | 'policy-key-size'
  | 'policy-certificate'
  | 'policy-age'
  | 'policy-format'

/** The rule of a policy by which an image was judged. */
export interface AppliedPolicy {
  /** The policy's path. */
  readonly policy: string
  readonly rule: string
  readonly signature: 'required' | 'if-signed' | 'off'
}

/** A check with the document that asks for it. */
export interface SourcedCheck extends Check {
  readonly source: string
}

/** Where each check comes from. */
const SOURCES: Readonly<Record<CheckName, string>> = {
  properties: 'cursive 0.2.3, signature_utils.get_verifier',
  'certificate-key': 'cursive 0.2.3, SignatureKeyType; FIPS 186-5 for sizes',
  'certificate-dates': 'RFC 5280 §4.1.2.5',
  'certificate-trust': 'RFC 5280 §6.1',
  signature: 'RFC 8017 §8.1.2; FIPS 186-4 §4.7 and §6.4',
  'salt-length': 'PSS.MAX_LENGTH of python-cryptography <= 41, with which cursive verifies',
  arrival: 'Image API v2: size, os_hash_value, checksum',
  'policy-key-type': 'policy: key_types',
  'policy-key-size': 'policy: minimum_bits',
  'policy-certificate': 'policy: certificates; RFC 5280 §6.1',
  'policy-age': 'policy: maximum_age',
  'policy-format': 'policy: formats',
}

export function withSource(check: Check): SourcedCheck {
  return { ...check, source: SOURCES[check.name] }
}

const ORDER: readonly CheckName[] = [
  'properties',
  'certificate-key',
  'certificate-dates',
  'certificate-trust',
  'signature',
  'salt-length',
]

/** All checks but a policy's: those that it did not come to are `skipped`. */
export function withSkipped(made: readonly SourcedCheck[]): SourcedCheck[] {
  const missing = ORDER.filter((name) => made.every((check) => check.name !== name))
  const skipped = { result: 'skipped', expected: null, found: null } as const
  return [...made, ...missing.map((name) => withSource({ name, ...skipped }))]
}

/** The verdict on an image and all that led to it; JSON-safe, the body of `verify --json`. */
export interface VerifyReport {
  readonly ok: boolean
  /** `not-required`: nothing was verified, because the policy does not ask for it. */
  readonly verdict: 'accepted' | 'not-required' | ErrorCode
  /** How the image was named. */
  readonly image: string
  /** By which rules it was judged. */
  readonly profile: ProfileName
  readonly trust: Trust
  /** Null without a policy. */
  readonly policy: AppliedPolicy | null
  /** Lower-case hex; null when the image was not read to its end. */
  readonly digest: string | null
  /** Bytes; null when the image was not read to its end. */
  readonly size: number | null
  readonly hash: HashName | null
  readonly keyType: KeyTypeName | null
  /** Bytes of salt found in an RSA-PSS signature; null when there is none to find. */
  readonly saltLength: number | null
  /** Bytes of salt that every cloud accepts, the most that fit; null when it is no RSA key. */
  readonly saltLengthExpected: number | null
  /** Bits of an RSA or DSA key; null for an EC key. */
  readonly keyBits: number | null
  /** OpenSSL's name of an EC key's curve. */
  readonly curve: string | null
  readonly certificateId: string | null
  readonly certificate: CertificateSummary | null
  /** From the certificate to the trusted one, or as far as one came; null when none was looked for. */
  readonly path: readonly PathCertificate[] | null
  readonly checks: readonly SourcedCheck[]
  /** Who else would say what, and why; only when it was asked for. */
  readonly explanation?: Explanation
}

/**
 * An image that was not accepted: refused, unsigned, or not to be checked. `report` is the whole
 * verdict; the error is thrown, not returned, so that nobody can take a refusal for an acceptance by
 * not looking.
 */
export class ImageRefused extends VolsealError {
  readonly report: VerifyReport
  /** What the pass over the image brought to light, for whoever says why; undefined without one. */
  readonly evidence: Evidence | undefined

  constructor(reason: VolsealError, report: VerifyReport, evidence?: Evidence) {
    super(reason.code, reason.message, { hint: reason.hint, cause: reason.cause })
    this.name = 'ImageRefused'
    this.evidence = evidence
    this.report = { ...report, ok: false, verdict: reason.code, checks: withSkipped(report.checks) }
  }
}
