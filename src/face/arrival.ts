import type { Arrival, ByteSource } from '../core/byte-source.js'
import { VolsealError } from '../core/errors.js'
import {
  type Check,
  ImageRefused,
  readOrUnchecked,
  type VerifyReport,
  withSource,
} from '../verify/index.js'

/**
 * Judges an image, and if a service gave its bytes, whether they are what it says that they are: a
 * signature that does not fit may be no more than bytes that were damaged on their way.
 *
 * @throws {ImageRefused} what `judge` throws; `signature-mismatch` when other bytes came;
 * `unchecked` when the image is not the same any more
 */
export async function judgeArrival(
  source: ByteSource,
  judge: () => Promise<VerifyReport>,
): Promise<VerifyReport> {
  const { arrival } = source
  if (arrival === undefined) return await judge()
  const [report, refusal] = await outcomeOf(judge)
  // Not read to its end: there is nothing to compare.
  if (report.digest === null) throw refusal ?? unread(source)
  const arrived = await arrival()
  const { expected, found } = arrived
  const result = expected === found ? 'pass' : 'fail'
  const check: Check = { name: 'arrival', result, expected, found }
  const judged = { ...report, checks: [...report.checks, withSource(check)] }
  if (result === 'fail') throw new ImageRefused(otherBytes(source, arrived), judged)
  if (refusal !== undefined) throw new ImageRefused(refusal, judged)
  if (await readOrUnchecked(async () => await source.unchanged())) return judged
  throw new ImageRefused(changed(source), judged)
}

async function outcomeOf(
  judge: () => Promise<VerifyReport>,
): Promise<[VerifyReport, ImageRefused | undefined]> {
  try {
    return [await judge(), undefined]
  } catch (error) {
    if (error instanceof ImageRefused) return [error.report, error]
    throw error
  }
}

/** Glance says something else of the bytes than what came. */
export function otherBytes({ name }: ByteSource, { expected, found }: Arrival): VolsealError {
  return new VolsealError(
    'signature-mismatch',
    `${name}: the bytes that came are not those that Glance took in: expected ${expected}, found ${found}`,
    {
      hint: "the image was damaged in Glance's store or on its way; try again, then upload it anew",
    },
  )
}

function changed({ name }: ByteSource): VolsealError {
  const cause = new VolsealError('busy', `${name} was changed while it was verified`)
  return new VolsealError('unchecked', `the image could not be checked: ${cause.message}`, {
    hint: 'somebody changed its signature or its format: verify it again',
    cause,
  })
}

function unread({ name }: ByteSource): VolsealError {
  return new VolsealError('internal', `${name} was accepted without being read`)
}
