import type { KeyType } from '../../core/algorithms.js'
import type { Certificate } from '../../core/certificate.js'
import { VolsealError } from '../../core/errors.js'
import type { Judgement } from '../check-certificate.js'
import type { CheckName } from '../report.js'
import type { PolicyRule, PolicySubject } from './policy.js'

/** Judgements of a rule; nothing is judged of which it says nothing. */

/** What a rule says of a signature's key and certificate. */
export function judgeSigner(
  rule: PolicyRule,
  keyType: KeyType,
  certificate: Certificate,
): Judgement[] {
  return [
    ...judgeKeyType(rule, keyType),
    ...judgeKeySize(rule, keyType, certificate),
    ...judgeListed(rule, certificate),
  ]
}

function judgeKeyType(rule: PolicyRule, { name }: KeyType): Judgement[] {
  const { keyTypes } = rule
  if (keyTypes === undefined) return []
  const expected = keyTypes.join(', ')
  return [judged('policy-key-type', rule, keyTypes.includes(name), { expected, found: name })]
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
 * A certificate that the rule lists is accepted for what it is, not for who has issued it: the exact
 * one. It may come from the caller or the image's properties; the rule vouches for it.
 */
function judgeListed(rule: PolicyRule, { subject, fingerprint }: Certificate): Judgement[] {
  const { certificates } = rule
  if (certificates === undefined) return []
  const listed = certificates.some((candidate) => candidate.fingerprint === fingerprint)
  const { check } = judged('policy-certificate', rule, listed, {
    expected: `one of ${certificates.length} certificates`,
    found: fingerprint,
  })
  if (listed) return [{ check }]
  const refusal = new VolsealError(
    'certificate-untrusted',
    `the policy (${rule.name}) does not list the certificate ${subject}`,
    { hint: `if it is the right one, add its fingerprint to the policy: ${fingerprint}` },
  )
  return [{ check, refusal }]
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
  const good = age <= maximumAge.milliseconds && age >= -MOST_SKEW_MS
  return [
    judged('policy-age', rule, good, { expected, found: `created ${createdAt.toISOString()}` }),
  ]
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
