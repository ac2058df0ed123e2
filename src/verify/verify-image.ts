import type { KeyObject } from 'node:crypto'
import type { HashMethod } from '../core/algorithms.js'
import { curveOf, summarize } from '../core/certificate.js'
import { maxSaltLength } from '../core/emsa-pss.js'
import { fromSystem, VolsealError } from '../core/errors.js'
import { type ImageSignature, refuseEmpty } from '../core/image-signature.js'
import type { Profile } from '../core/profiles.js'
import { type Judgement, judgeCertificate, type NamedCertificate } from './check-certificate.js'
import { checkSignature, type Pass, type SaltRule } from './check-signature.js'
import { type AppliedPolicy, ImageRefused, type VerifyReport, withSource } from './report.js'

export interface VerifyPlan {
  /** How the image is named in the report. */
  readonly image: string
  readonly signature: ImageSignature
  readonly certificate: NamedCertificate
  readonly profile: Profile
  readonly salt: SaltRule
  /** Refuse a certificate that is not acceptable before the image is read; false reads it anyway. */
  readonly refuseEarly: boolean
  /** The time at which the certificate must be valid; now when not given. */
  readonly at?: Date | undefined
  /** What a policy says of it besides. */
  readonly policy?: { readonly applied: AppliedPolicy; readonly judgements: readonly Judgement[] }
}

/**
 * Verifies an image in one pass. Every check is made, then the gravest failure decides: a
 * certificate that cannot be used, bytes that are not what was signed, a certificate that nobody
 * vouches for, a salt that strict clouds refuse.
 *
 * @param size the image's size in bytes where it is known
 * @returns the report of an accepted image
 * @throws {ImageRefused} with the report, for every image that was judged and refused
 * @throws {VolsealError} `unchecked` when the image could not be read
 */
export async function verifyPass(
  pass: Pass,
  size: number | undefined,
  plan: VerifyPlan,
): Promise<VerifyReport> {
  const { signature, certificate } = plan
  const rules = { signature, profile: plan.profile, at: plan.at ?? new Date() }
  const properties = judgeProperties(signature)
  const judged = [...(plan.policy?.judgements ?? []), ...judgeCertificate(certificate, rules)]
  // cursive looks at the key before it finds that there is no signature.
  const before = [...judged, properties]
  const blank = blankReport(plan, [properties, ...judged])
  const gravest = before.find(({ refusal }) => refusal?.code === 'signature-malformed')?.refusal
  const early = plan.refuseEarly ? firstRefusal(before) : gravest
  if (early !== undefined) throw new ImageRefused(early, blank)
  const found = await readOrUnchecked(
    async () => await checkSignature(pass, size, signature, certificate.certificate, plan.salt),
  )
  const report: VerifyReport = {
    ...blank,
    digest: found.digest,
    size: found.size,
    saltLength: found.saltLength,
    checks: [...blank.checks, ...found.judgements.map(({ check }) => withSource(check))],
  }
  const refusal = firstRefusal([...found.judgements, ...before])
  if (refusal !== undefined) throw new ImageRefused(refusal, report, found.evidence)
  return { ...report, ok: true, verdict: 'accepted' }
}

/**
 * They were parsed, so that only a signature of no bytes is left to refuse. A certificate that the
 * caller names stands in for the one that they do not name, which the services do not forgive.
 */
function judgeProperties(signature: ImageSignature): Judgement {
  const isNamed = signature.certificateId !== undefined
  const found = isNamed ? null : 'img_signature_certificate_uuid missing'
  const check = { name: 'properties', expected: isNamed ? null : 'all four', found } as const
  const refusal = refuseEmpty(signature)
  if (refusal === undefined) return { check: { ...check, result: 'pass' } }
  return { check: { ...check, result: 'fail' }, refusal }
}

/** Gravest first: the salt only matters once everything else holds. */
const GRAVITY = [
  'signature-malformed',
  'signature-mismatch',
  'certificate-untrusted',
  'policy-refused',
  'signature-incompatible',
]

function firstRefusal(judgements: readonly Judgement[]): VolsealError | undefined {
  const refusals = judgements.map(({ refusal }) => refusal).filter((found) => found !== undefined)
  return refusals.toSorted((a, b) => GRAVITY.indexOf(a.code) - GRAVITY.indexOf(b.code))[0]
}

function blankReport(plan: VerifyPlan, judged: readonly Judgement[]): VerifyReport {
  const { signature, certificate } = plan
  return {
    ok: false,
    verdict: 'unchecked',
    image: plan.image,
    profile: plan.profile.name,
    trust: certificate.trust,
    policy: plan.policy?.applied ?? null,
    digest: null,
    size: null,
    hash: signature.hash.name,
    keyType: signature.keyType.name,
    saltLength: null,
    ...describeSize(certificate.certificate.publicKey, signature.hash),
    certificateId: certificate.id,
    certificate: summarize(certificate.certificate),
    path: certificate.path?.certificates ?? null,
    checks: judged.map(({ check }) => withSource(check)),
  }
}

/** The key's size or curve, and the salt that goes with it. */
export function describeSize(
  key: KeyObject,
  hash: HashMethod | undefined,
): Pick<VerifyReport, 'saltLengthExpected' | 'keyBits' | 'curve'> {
  const isRsa = key.asymmetricKeyType === 'rsa' || key.asymmetricKeyType === 'rsa-pss'
  const keyBits = key.asymmetricKeyDetails?.modulusLength ?? null
  const longest = isRsa && hash !== undefined ? maxSaltLength(keyBits ?? 0, hash) : -1
  return {
    saltLengthExpected: longest < 0 ? null : longest,
    keyBits,
    curve: key.asymmetricKeyType === 'ec' ? curveOf(key) : null,
  }
}

/** Codes that are not about reading: they pass through as they are. */
const NOT_UNCHECKED: ReadonlySet<string> = new Set([
  'internal',
  'usage',
  'unsigned',
  'too-small',
  'signature-malformed',
  'interrupted',
  'terminated',
  'unchecked',
])

/**
 * Runs a step that fetches or reads something; when it fails, the image is `unchecked`, which is
 * neither good nor bad, and the cause says why.
 */
export async function readOrUnchecked<T>(step: () => Promise<T>): Promise<T> {
  try {
    return await step()
  } catch (error) {
    const cause = fromSystem(error, 'cannot read the image')
    if (NOT_UNCHECKED.has(cause.code)) throw cause
    throw new VolsealError('unchecked', `the image could not be checked: ${cause.message}`, {
      hint: cause.hint,
      cause,
    })
  }
}
