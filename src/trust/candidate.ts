import type { Certificate } from '../core/certificate.js'
import type { PathCheck, PathCheckName, Role } from '../core/certificate-path.js'
import type { CertificateFields } from './fields.js'
import { sameName } from './names.js'

/** A certificate of a path or that may become one. */
export interface Candidate {
  readonly certificate: Certificate
  readonly fields: CertificateFields
  /** Named by the caller as trusted. */
  readonly trusted: boolean
}

/** A check, and in words what is wrong and what to do where it failed. */
export interface Finding {
  readonly check: PathCheck
  readonly fault?: string
  readonly hint?: string
}

/** How a certificate would stand on a path. */
export interface Place {
  readonly role: Role
  /** How many certificates between it and the signer are not self-issued. */
  readonly below: number
  readonly at: Date
}

/** Whether it does not count for path lengths (§6.1: the same name as subject and issuer). */
export function isSelfIssued({ fields }: Candidate): boolean {
  return sameName(fields.subject, fields.issuer)
}

/** A check that failed. */
export function failed(
  name: PathCheckName,
  expected: string,
  found: string | null,
  fault: string,
  hint: string,
): Finding {
  return { check: { name, result: 'fail', expected, found }, fault, hint }
}

/** `2026-01-31`, for messages. */
export function day(date: Date): string {
  return date.toISOString().slice(0, 10)
}
