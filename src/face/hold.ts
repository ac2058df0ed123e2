import type { ByteSource } from '../core/byte-source.js'
import { VolsealError } from '../core/errors.js'
import { inspectImage, isUnsafe } from '../inspect/index.js'
import {
  type CopyOptions,
  type HeldImage,
  holdByDigests,
  holdInCopy,
  ImageRefused,
  judgeFormat,
  type PolicyRule,
  type VerifyReport,
  withSource,
} from '../verify/index.js'

/** Holds an image so that what is verified and what is looked at later are the same bytes. */
export async function hold(
  source: ByteSource,
  needsCopy: boolean,
  options: CopyOptions,
): Promise<HeldImage> {
  if (source.fd !== undefined && !needsCopy) return holdByDigests(source, source.fd, options)
  return await holdInCopy(source, options)
}

/**
 * What a policy says of the format that the verified bytes have.
 *
 * @throws {ImageRefused} `policy-refused`, or `image-unsafe` for an image that no program may open
 */
export async function requireFormat(
  held: HeldImage,
  rule: PolicyRule,
  report: VerifyReport,
): Promise<VerifyReport> {
  const found = await inspectImage(held)
  const judgements = judgeFormat(rule, found.format)
  const checks = judgements.map(({ check }) => withSource(check))
  const judged = { ...report, checks: [...report.checks, ...checks] }
  const refusal = judgements.find((judgement) => judgement.refusal !== undefined)?.refusal
  if (refusal !== undefined) throw new ImageRefused(refusal, judged)
  const unsafe = found.findings.find(({ level }) => level === 'unsafe')
  if (!isUnsafe(found) || unsafe === undefined) return judged
  const reason = new VolsealError('image-unsafe', unsafe.message, {
    hint: 'volseal inspect shows all findings',
  })
  throw new ImageRefused(reason, judged)
}
