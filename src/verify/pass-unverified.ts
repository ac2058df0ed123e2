import { hashMethod } from '../core/algorithms.js'
import { localLane } from '../core/lane.js'
import type { ProfileName } from '../core/profiles.js'
import type { Judgement } from './check-certificate.js'
import type { Pass } from './check-signature.js'
import { type AppliedPolicy, ImageRefused, type VerifyReport, withSource } from './report.js'
import { readOrUnchecked } from './verify-image.js'

/** An image whose signature nobody asks for, by a policy. */
export interface UnverifiedPlan {
  /** How the image is named in the report. */
  readonly image: string
  /** By whose rules signatures would be judged. */
  readonly profile: ProfileName
  readonly policy: { readonly applied: AppliedPolicy; readonly judgements: readonly Judgement[] }
}

/**
 * Reads an image that needs no signature, in one pass: the report says which bytes they were.
 *
 * @throws {ImageRefused} for what the policy says besides
 * @throws {VolsealError} `unchecked` when the image could not be read
 */
export async function passUnverified(pass: Pass, plan: UnverifiedPlan): Promise<VerifyReport> {
  const { applied, judgements } = plan.policy
  const hash = hashMethod('SHA-256')
  const lane = localLane({ kind: 'hash', hash })
  const size = await readOrUnchecked(async () => await pass((piece) => lane.update(piece)))
  const digest = await lane.finish()
  const report: VerifyReport = {
    ok: true,
    verdict: 'not-required',
    image: plan.image,
    profile: plan.profile,
    trust: 'none',
    policy: applied,
    digest: digest.toString('hex'),
    size,
    hash: hash.name,
    keyType: null,
    saltLength: null,
    saltLengthExpected: null,
    keyBits: null,
    curve: null,
    certificateId: null,
    certificate: null,
    path: null,
    checks: [
      { name: 'signature', result: 'skipped', expected: applied.signature, found: null } as const,
      ...judgements.map(({ check }) => check),
    ].map(withSource),
  }
  const refused = judgements.find(({ refusal }) => refusal !== undefined)
  if (refused?.refusal !== undefined) throw new ImageRefused(refused.refusal, report)
  return report
}
