import type { KeyObject } from 'node:crypto'
import type { KeyType } from '../core/algorithms.js'
import { type Certificate, describeKey, keyMisfit } from '../core/certificate.js'
import type { PathCertificate } from '../core/certificate-path.js'
import { maxSaltLength } from '../core/emsa-pss.js'
import { VolsealError } from '../core/errors.js'
import type { ImageSignature } from '../core/image-signature.js'
import { PROFILES, type Profile } from '../core/profiles.js'
import { modulusBits } from '../core/rsa-pss.js'
import type { Check, CheckName, Trust } from './report.js'

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

export interface CertificateRules {
  readonly signature: Pick<ImageSignature, 'keyType' | 'hash' | 'signature'>
  readonly profile: Profile
  /** When the certificate must be valid. */
  readonly at: Date
}

/** All that is looked at in the certificate before the image is read, in order of gravity. */
export function judgeCertificate(named: NamedCertificate, rules: CertificateRules): Judgement[] {
  const { profile, at } = rules
  return [
    judgeKey(named.certificate, rules),
    profile.dates ? judgeDates(named.certificate, at) : notAsked('certificate-dates'),
    profile.trust ? judgeTrust(named) : notAsked('certificate-trust'),
  ]
}

function notAsked(name: CheckName): Judgement {
  return { check: { name, result: 'skipped', expected: null, found: null } }
}

function judgeKey(
  { publicKey, subject }: Certificate,
  { signature, profile }: CertificateRules,
): Judgement {
  const { keyType: type } = signature
  const misfit = keyMisfit(publicKey, type, profile) ?? sizeMisfit(publicKey, signature)
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
      { hint: hintFor(publicKey, type) },
    ),
  }
}

/** What to do about a key of the right class that strict does not take. */
function hintFor(key: KeyObject, type: KeyType): string | undefined {
  if (keyMisfit(key, type, PROFILES.cursive) !== undefined) return undefined
  if (type.family === 'ec') return "img_signature_key_type must name the key's own curve"
  return `sign again with another key: volseal keypair create --type ${type.name} --out key.pem`
}

/**
 * Where not even an empty salt fits, there is no signature to make; cursive raises a ValueError,
 * unless it finds before that the signature is empty.
 */
function sizeMisfit(
  key: KeyObject,
  { keyType: type, hash, signature }: CertificateRules['signature'],
): string | undefined {
  const bits = modulusBits(key)
  if (type.family !== 'rsa' || signature.length === 0 || maxSaltLength(bits, hash) >= 0)
    return undefined
  return `${hash.name} does not fit into an RSA key of ${bits} bits`
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
