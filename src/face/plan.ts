import { parseSignature } from '../core/image-signature.js'
import {
  judgeAge,
  judgeSigner,
  type PolicyRule,
  readOrUnchecked,
  type VerifyPlan,
} from '../verify/index.js'
import type { JudgeOptions } from './judge-options.js'
import { isCertificateKnown, nameCertificate } from './name-certificate.js'
import { decide, type PolicyDecision } from './policy.js'

/** What an image is judged by, before it is read. */
export interface Plan {
  /** Undefined when a policy asks for no signature. */
  readonly signed: SignedPlan | undefined
  readonly policy: NonNullable<VerifyPlan['policy']> | undefined
  readonly rule: PolicyRule | undefined
}

type SignedPlan = Omit<VerifyPlan, 'image' | 'refuseEarly' | 'policy'>

/** Parses the signature and finds its certificate: all that is needed before the image is read. */
export async function planVerification(options: JudgeOptions): Promise<Plan> {
  const decision = decide(options)
  const at = options.at ?? new Date()
  const signed = decision?.exempt === true ? undefined : await planSigned(options, decision, at)
  if (decision === undefined) return { signed, policy: undefined, rule: undefined }
  const { rule, applied } = decision
  const judgements = [
    ...(signed === undefined
      ? []
      : judgeSigner(rule, signed.signature.keyType, signed.certificate)),
    ...judgeAge(rule, options.subject ?? {}, at),
  ]
  return { signed, policy: { applied, judgements }, rule }
}

async function planSigned(
  options: JudgeOptions,
  decision: PolicyDecision | undefined,
  at: Date,
): Promise<SignedPlan> {
  const certificateKnown = isCertificateKnown(options, decision)
  const signature = parseSignature(options.properties, { certificateKnown })
  const certificate = await readOrUnchecked(
    async () => await nameCertificate(options, signature, decision, at),
  )
  return { signature, certificate, salt: options.salt ?? 'max', at }
}
