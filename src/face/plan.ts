import { VolsealError } from '../core/errors.js'
import { parseSignature } from '../core/image-signature.js'
import { type Profile, type ProfileName, profileOf } from '../core/profiles.js'
import {
  judgeAge,
  judgeSigner,
  type PolicyRule,
  readOrUnchecked,
  type VerifyPlan,
} from '../verify/index.js'
import type { JudgeOptions } from './judge-options.js'
import { isCertificateKnown, nameCertificate } from './name-certificate.js'
import { decide, listsCertificates, type PolicyDecision } from './policy.js'

/** What an image is judged by, before it is read. */
export interface Plan {
  /** Undefined when a policy asks for no signature. */
  readonly signed: SignedPlan | undefined
  readonly policy: NonNullable<VerifyPlan['policy']> | undefined
  readonly rule: PolicyRule | undefined
  readonly profile: ProfileName
}

type SignedPlan = Omit<VerifyPlan, 'image' | 'refuseEarly' | 'policy'>

/** Parses the signature and finds its certificate: all that is needed before the image is read. */
export async function planVerification(options: JudgeOptions): Promise<Plan> {
  const decision = decide(options)
  const at = options.at ?? new Date()
  const { name: profile } = profileOf(options.profile)
  const signed = decision?.exempt === true ? undefined : await planSigned(options, decision, at)
  if (decision === undefined) return { signed, policy: undefined, rule: undefined, profile }
  const { rule, applied } = decision
  const judgements = [
    ...(signed === undefined
      ? []
      : judgeSigner(rule, signed.signature.keyType, signed.certificate)),
    ...judgeAge(rule, options.subject ?? {}, at),
  ]
  return { signed, policy: { applied, judgements }, rule, profile }
}

async function planSigned(
  options: JudgeOptions,
  decision: PolicyDecision | undefined,
  at: Date,
): Promise<SignedPlan> {
  const profile = profileOf(options.profile)
  if (!profile.trust) refuseTrustInVain(options, profile, decision)
  const certificateKnown = isCertificateKnown(options, decision)
  const signature = parseSignature(options.properties, { certificateKnown, profile })
  const certificate = await readOrUnchecked(
    async () => await nameCertificate(options, { signature, decision, profile, at }),
  )
  return { signature, certificate, profile, salt: options.salt ?? 'max', at }
}

/** Whoever says what is trusted must not be answered by a profile that asks nobody. */
function refuseTrustInVain(
  { trusted = [], untrusted = [], crls = [] }: JudgeOptions,
  { name }: Profile,
  decision: PolicyDecision | undefined,
): void {
  const vouchers = trusted.length + untrusted.length + crls.length
  if (vouchers === 0 && !listsCertificates(decision)) return
  const vain =
    vouchers > 0
      ? 'the trusted certificates and CRLs'
      : `the certificates of the policy's rule (${decision?.rule.name})`
  throw new VolsealError('usage', `the profile ${name} asks nobody who vouches for a certificate`, {
    hint: `leave out ${vain}, or use the profile strict`,
  })
}
