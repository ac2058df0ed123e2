import type { KeyType } from '../core/algorithms.js'
import { type Certificate, describeKey, keyMisfit } from '../core/certificate.js'
import type { PathCertificate } from '../core/certificate-path.js'
import { VolsealError } from '../core/errors.js'
import type { Check, Trust } from './report.js'

/** A certificate and who vouches for it. */
export interface NamedCertificate {
  readonly certificate: Certificate
  readonly trust: Trust
  /** Its id in the key manager, where it came from there. */
  readonly id: string | null
  /** Where a path to a trusted certificate was looked for: what was found. */
  readonly path?: TrustPath | undefined
}

/** The path that was found, or the one that came furthest and why it is refused. */
export interface TrustPath {
  readonly certificates: readonly PathCertificate[]
  readonly refusal?: VolsealError | undefined
}

/** A check, and the refusal that it leads to if it failed. */
export interface Judgement {
  readonly check: Check
  readonly refusal?: VolsealError
}

/** All that is looked at in the certificate before the image is read, in order of gravity. */
export function judgeCertificate(named: NamedCertificate, type: KeyType, at: Date): Judgement[] {
  return [judgeKey(named.certificate, type), judgeDates(named.certificate, at), judgeTrust(named)]
}

function judgeKey({ publicKey, subject }: Certificate, type: KeyType): Judgement {
  const misfit = keyMisfit(publicKey, type)
  const check = {
    name: 'certificate-key',
    expected: type.name,
    found: describeKey(publicKey),
  } as const
  if (misfit === undefined) return { check: { ...check, result: 'pass' } }
  return {
    check: { ...check, result: 'fail' },
    refusal: new VolsealError(
      'signature-malformed',
      `the certificate ${subject} does not fit: ${misfit}`,
    ),
  }
}

function judgeDates({ subject, notBefore, notAfter }: Certificate, at: Date): Judgement {
  const valid = at >= notBefore && at <= notAfter
  const check = {
    name: 'certificate-dates',
    result: valid ? 'pass' : 'fail',
    expected: `${notBefore.toISOString()} to ${notAfter.toISOString()}`,
    found: at.toISOString(),
  } as const
  if (valid) return { check }
  const when =
    at < notBefore ? `is not valid before ${check.expected.slice(0, 10)}` : expired(notAfter)
  return {
    check,
    refusal: new VolsealError('certificate-untrusted', `the certificate ${subject} ${when}`, {
      hint: 'sign the image again with a certificate that is valid',
    }),
  }
}

function expired(notAfter: Date): string {
  return `expired on ${notAfter.toISOString().slice(0, 10)}`
}

function judgeTrust({ certificate, trust, id, path }: NamedCertificate): Judgement {
  const check = { name: 'certificate-trust', expected: 'pinned or trusted', found: trust } as const
  if (trust !== 'none') return { check: { ...check, result: 'pass' } }
  if (path?.refusal !== undefined) {
    return { check: { ...check, result: 'fail' }, refusal: path.refusal }
  }
  return {
    check: { ...check, result: 'fail' },
    refusal: new VolsealError(
      'certificate-untrusted',
      `nobody vouches for the certificate ${certificate.subject}: only the image's own properties name it`,
      {
        hint: `whoever can change the image can change them; if the certificate is the right one, name it: --cert-id ${id ?? 'ID'}, or a CA above it: --trusted CA.pem`,
      },
    ),
  }
}
