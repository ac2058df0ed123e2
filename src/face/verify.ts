import {
  type ByteSource,
  nameOf,
  openSource,
  type PassOptions,
  passOver,
} from '../core/byte-source.js'
import { VolsealError } from '../core/errors.js'
import {
  type HeldImage,
  type Pass,
  passUnverified,
  readOrUnchecked,
  type VerifyReport,
  verifyPass,
} from '../verify/index.js'
import { judgeArrival } from './arrival.js'
import { type JudgeImage, judgeAndExplain } from './explain.js'
import { hold, requireFormat } from './hold.js'
import type { JudgeOptions, VerifyOptions } from './judge-options.js'
import { type Plan, planVerification } from './plan.js'
import { decide } from './policy.js'
import { asRefusal, withEvidence, withReport } from './refusal.js'
import { fetchingOnce } from './signature-facts.js'

/**
 * Verifies an image as nova, cinder and glance do, in one pass and constant memory, and stricter:
 * the key must be what the key type says, the certificate valid and vouched for, the salt one that
 * every cloud accepts. With a policy, its rule for the image says more, or less: then the report may
 * say `not-required`.
 *
 * @returns the report of an accepted image
 * @throws {ImageRefused} for every other verdict, `unsigned`, `signature-malformed` and `unchecked`
 * among them; `report` says all that was found
 * @throws {VolsealError} `usage`, `interrupted`
 *
 * @example
 * const report = await verifyImage({ image: 'disk.raw', properties, certificate })
 */
export async function verifyImage(options: VerifyOptions): Promise<VerifyReport> {
  const name = nameOf(options.image, 'image')
  const once = fetchingOnce(options)
  return await withReport(name, once, async () => {
    // To explain, a plan that fails must not be the end: it is made within.
    const plan = once.explain === true ? undefined : await planVerification(once)
    const asksForFormat = decide(once)?.rule.formats !== undefined
    const source = await readOrUnchecked(async () => await openSource(once.image, 'image'))
    const reading = asksForFormat ? await heldReading(source, once) : reads(source, once)
    try {
      if (plan === undefined) return await judgeAndExplain(once, reading, planAndJudge(reading))
      return await withEvidence(
        source.name,
        once,
        async () => await judgeRead(reading, plan, false),
      )
    } finally {
      await reading.close()
    }
  })
}

/** An image that is read once, or held: then its format is that of the bytes that were verified. */
interface Reading {
  readonly source: ByteSource
  readonly pass: Pass
  readonly held?: HeldImage
  close(): Promise<void>
}

function reads(source: ByteSource, options: PassOptions): Reading {
  return {
    source,
    pass: async (consumer) => await passOver(source, consumer, options),
    close: async () => {
      await source.close()
    },
  }
}

async function heldReading(source: ByteSource, options: PassOptions): Promise<Reading> {
  const held = await hold(source, false, options).catch(async (error: unknown) => {
    await source.close()
    throw error
  })
  return {
    source,
    held,
    pass: held.pass,
    close: async () => {
      await held.close()
    },
  }
}

function planAndJudge(reading: Reading): JudgeImage {
  return async (options, pass) => {
    try {
      return await judgeRead({ ...reading, pass }, await planVerification(options), false)
    } catch (error) {
      throw asRefusal(error, reading.source.name, options)
    }
  }
}

/** Verifies an image that is held for writing; refuses what is not acceptable before reading. */
export async function verifyHeld(
  source: ByteSource,
  held: HeldImage,
  plan: Plan,
  options: JudgeOptions,
): Promise<VerifyReport> {
  return await withEvidence(
    source.name,
    options,
    async () => await judgeRead({ source, held, pass: held.pass }, plan, true),
  )
}

async function judgeRead(
  reading: Omit<Reading, 'close'>,
  plan: Plan,
  refuseEarly: boolean,
): Promise<VerifyReport> {
  const { source, held } = reading
  const judge = async (): Promise<VerifyReport> => await judgePass(reading, plan, refuseEarly)
  const report = await judgeArrival(source, judge)
  const { rule } = plan
  if (rule?.formats === undefined || held === undefined) return report
  return await requireFormat(held, rule, report)
}

async function judgePass(
  { source: { name, size }, pass }: Omit<Reading, 'close'>,
  { signed, policy, profile }: Plan,
  refuseEarly: boolean,
): Promise<VerifyReport> {
  const byPolicy = policy === undefined ? {} : { policy }
  if (signed !== undefined) {
    return await verifyPass(pass, size, { ...signed, ...byPolicy, image: name, refuseEarly })
  }
  if (policy !== undefined) return await passUnverified(pass, { image: name, profile, policy })
  throw new VolsealError('internal', 'an image without a signature is not asked for by a policy')
}

export {
  type Acceptance,
  type Cause,
  ImageRefused,
  readOrUnchecked,
  type VerifyReport,
} from '../verify/index.js'
export type { JudgeOptions, VerifyOptions } from './judge-options.js'
export { withReport } from './refusal.js'
