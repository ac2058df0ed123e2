import type { KeyType } from '../../core/algorithms.js'
import { type Certificate, describeKey, keyMisfit } from '../../core/certificate.js'
import { VolsealError } from '../../core/errors.js'
import type { Judgement, NamedCertificate, TrustPath } from '../check-certificate.js'
import type { CheckName } from '../report.js'
import type { PolicyRule, PolicySubject } from './policy.js'

/** Judgements of a rule; nothing is judged of which it says nothing. */

/** What a rule says of a signature's key and certificate. */
export function judgeSigner(
  rule: PolicyRule,
  keyType: KeyType,
  named: NamedCertificate,
): Judgement[] {
  return [
    ...judgeKeyType(rule, keyType, named.certificate),
    ...judgeKeySize(rule, keyType, named.certificate),
    ...judgeListed(rule, named),
  ]
}

/** The key's, not only the name's: cursive takes any curve under the name of any other. */
function judgeKeyType(rule: PolicyRule, keyType: KeyType, { publicKey }: Certificate): Judgement[] {
  const { keyTypes } = rule
  if (keyTypes === undefined) return []
  const isOfType = keyMisfit(publicKey, keyType) === undefined
  const holds = keyTypes.includes(keyType.name) && isOfType
  const found = isOfType
    ? keyType.name
    : `${keyType.name} with a key that is none: ${describeKey(publicKey)}`
  const words = { expected: keyTypes.join(', '), found }
  return [judged('policy-key-type', rule, holds, words)]
}

function judgeKeySize(
  rule: PolicyRule,
  { name }: KeyType,
  { publicKey }: Certificate,
): Judgement[] {
  const least = rule.minimumBits?.get(name)
  if (least === undefined) return []
  const bits = publicKey.asymmetricKeyDetails?.modulusLength ?? 0
  const words = { expected: `${name} of at least ${least} bits`, found: `${bits} bits` }
  return [judged('policy-key-size', rule, bits >= least, words)]
}

/**
 * A fingerprint stands for that signer's certificate and no other; a file as well for a CA, and then
 * for those with a path to it (RFC 5280 §6.1).
 */
function judgeListed(rule: PolicyRule, named: NamedCertificate): Judgement[] {
  const { certificates } = rule
  if (certificates === undefined) return []
  const { fingerprint } = named.certificate
  const listed = certificates.some((candidate) => candidate.fingerprint === fingerprint)
  const anchor = anchorOf(named)
  const below = certificates.some(
    (candidate) => candidate.content !== undefined && candidate.fingerprint === anchor,
  )
  const { check } = judged('policy-certificate', rule, listed || below, {
    expected: `one of ${certificates.length} certificates, or a path to one`,
    found: listed || !below ? fingerprint : `a path to ${anchor}`,
  })
  return check.result === 'pass' ? [{ check }] : [{ check, refusal: notListed(rule, named) }]
}

/** The fingerprint of the CA that a path has led to. */
function anchorOf({ trust, path }: NamedCertificate): string | undefined {
  return trust === 'path' ? path?.certificates.at(-1)?.fingerprint : undefined
}

/** Where the way to a listed CA is known, what is wrong with it says more than that there is none. */
function notListed(rule: PolicyRule, { certificate, path }: NamedCertificate): VolsealError {
  const { subject, fingerprint } = certificate
  if (path?.refusal !== undefined && !isWithoutIssuer(path)) {
    const message = `by the policy (${rule.name}), ${path.refusal.message}`
    return new VolsealError('certificate-untrusted', message, { hint: path.refusal.hint })
  }
  return new VolsealError(
    'certificate-untrusted',
    `the policy (${rule.name}) lists neither the certificate ${subject} nor a CA above it`,
    { hint: `if it is the right one, add its fingerprint to the policy: ${fingerprint}` },
  )
}

/** No issuer of the signer was found, or only a listed certificate that is no CA's. */
function isWithoutIssuer({ certificates }: TrustPath): boolean {
  const failed = certificates.flatMap(({ role, checks }) =>
    checks.filter(({ result }) => result === 'fail').map(({ name }) => `${name} of ${role}`),
  )
  if (certificates.length === 1) return failed.every((what) => what === 'signature of signer')
  return failed.includes('basic-constraints of anchor')
}

/** Clocks differ: an image from a future that is nearer than this is one from now. */
const MOST_SKEW_MS = 300_000

/** What a rule says of an image, signed or not. */
export function judgeAge(rule: PolicyRule, { createdAt }: PolicySubject, now: Date): Judgement[] {
  const { maximumAge } = rule
  if (maximumAge === undefined) return []
  const expected = `at most ${maximumAge.text}`
  if (createdAt === undefined) {
    const hint =
      'say it with --image-created TIME, or give --properties with the output of: openstack image show -f json'
    return [
      judged(
        'policy-age',
        rule,
        false,
        { expected, found: 'created at a time that is not known' },
        hint,
      ),
    ]
  }
  const age = now.getTime() - createdAt.getTime()
  const isFuture = age < -MOST_SKEW_MS
  const good = age <= maximumAge.milliseconds && !isFuture
  const found = `created ${createdAt.toISOString()}${isFuture ? ', which is in the future' : ''}`
  const hint = isFuture ? "compare this computer's clock with Glance's" : undefined
  return [judged('policy-age', rule, good, { expected, found }, hint)]
}

/** What a rule says of the format that was found in the bytes. */
export function judgeFormat(rule: PolicyRule, format: string): Judgement[] {
  const { formats } = rule
  if (formats === undefined) return []
  const allowed = formats.some((candidate) => candidate === format)
  return [judged('policy-format', rule, allowed, { expected: formats.join(', '), found: format })]
}

/** What is refused, in words. */
const SUBJECTS: Readonly<Partial<Record<CheckName, string>>> = {
  'policy-key-type': 'key type',
  'policy-key-size': 'key size',
  'policy-certificate': 'certificate',
  'policy-age': 'age',
  'policy-format': 'format',
}

function judged(
  name: CheckName,
  rule: PolicyRule,
  good: boolean,
  { expected, found }: { readonly expected: string; readonly found: string },
  hint?: string,
): Judgement {
  const check = { name, result: good ? 'pass' : 'fail', expected, found } as const
  if (good) return { check }
  const message = `the policy (${rule.name}) refuses the image's ${SUBJECTS[name] ?? name}: expected ${expected}, got ${found}`
  return { check, refusal: new VolsealError('policy-refused', message, { hint }) }
}
