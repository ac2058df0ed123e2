import { type ByteSource, openSource, type PassOptions, passOver } from '../core/byte-source.js'
import { VolsealError } from '../core/errors.js'
import {
  type HeldImage,
  type Pass,
  passUnverified,
  readOrUnchecked,
  type VerifyReport,
  verifyPass,
} from '../verify/index.js'
import { hold, requireFormat } from './hold.js'
import type { VerifyOptions } from './judge-options.js'
import { type Plan, planVerification } from './plan.js'

/**
 * Verifies an image as nova, cinder and glance do, in one pass and constant memory, and stricter:
 * the key must be what the key type says, the certificate valid and vouched for, the salt one that
 * every cloud accepts. With a policy, its rule for the image says more, or less: then the report may
 * say `not-required`.
 *
 * @returns the report of an accepted image
 * @throws {ImageRefused} for an image that was judged and refused; `report` says all
 * @throws {VolsealError} `unsigned`, `signature-malformed`, `unchecked`
 *
 * @example
 * const report = await verifyImage({ image: 'disk.raw', properties, certificate })
 */
export async function verifyImage(options: VerifyOptions): Promise<VerifyReport> {
  const plan = await planVerification(options)
  const source = await readOrUnchecked(async () => await openSource(options.image, 'image'))
  if (plan.rule?.formats !== undefined) return await verifyWithFormat(source, plan, options)
  const pass: Pass = async (consumer) => await passOver(source, consumer, options)
  try {
    return await judgePass(source, pass, plan, { refuseEarly: false })
  } finally {
    await source.close()
  }
}

/** The bytes whose format is looked at must be those that were verified. */
async function verifyWithFormat(
  source: ByteSource,
  plan: Plan,
  options: PassOptions,
): Promise<VerifyReport> {
  const held = await hold(source, false, options).catch(async (error: unknown) => {
    await source.close()
    throw error
  })
  try {
    const report = await judgePass(source, held.pass, plan, { refuseEarly: false })
    return plan.rule === undefined ? report : await requireFormat(held, plan.rule, report)
  } finally {
    await held.close()
  }
}

/** Verifies an image that is held for writing; refuses what is not acceptable before reading. */
export async function verifyHeld(
  source: ByteSource,
  held: HeldImage,
  plan: Plan,
): Promise<VerifyReport> {
  const report = await judgePass(source, held.pass, plan, { refuseEarly: true })
  return plan.rule?.formats === undefined ? report : await requireFormat(held, plan.rule, report)
}

async function judgePass(
  { name, size }: ByteSource,
  pass: Pass,
  { signed, policy }: Plan,
  { refuseEarly }: { readonly refuseEarly: boolean },
): Promise<VerifyReport> {
  const byPolicy = policy === undefined ? {} : { policy }
  if (signed !== undefined) {
    return await verifyPass(pass, size, { ...signed, ...byPolicy, image: name, refuseEarly })
  }
  if (policy !== undefined) return await passUnverified(pass, { image: name, policy })
  throw new VolsealError('internal', 'an image without a signature is not asked for by a policy')
}

export { ImageRefused, readOrUnchecked, type VerifyReport } from '../verify/index.js'
export type { JudgeOptions, VerifyOptions } from './judge-options.js'
