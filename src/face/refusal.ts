import { HASH_METHODS, KEY_TYPES } from '../core/algorithms.js'
import { type ErrorCode, VolsealError } from '../core/errors.js'
import { parseSignature } from '../core/image-signature.js'
import { profileOf } from '../core/profiles.js'
import {
  type Check,
  explainVerdict,
  ImageRefused,
  tellRefusal,
  type VerifyReport,
  withSource,
} from '../verify/index.js'
import type { JudgeOptions } from './judge-options.js'
import { isCertificateKnown } from './name-certificate.js'
import { decide, listsCertificates } from './policy.js'
import { gatherFacts } from './signature-facts.js'

/** Verdicts that may come before there is a report. */
const VERDICTS: ReadonlySet<ErrorCode> = new Set(['unsigned', 'signature-malformed', 'unchecked'])

/**
 * Runs a verification: every verdict that it ends with has a report, and says in one line what is
 * wrong and what the services do with the image.
 */
export async function withReport<T>(
  image: string,
  options: JudgeOptions,
  verify: () => Promise<T>,
): Promise<T> {
  try {
    return await verify()
  } catch (error) {
    if (error instanceof ImageRefused) throw error
    throw await told(asRefusal(error, image, options), image, options)
  }
}

/** Runs a pass over an image; a refusal says what is wrong, by the evidence that it comes with. */
export async function withEvidence<T>(
  image: string,
  options: JudgeOptions,
  pass: () => Promise<T>,
): Promise<T> {
  try {
    return await pass()
  } catch (error) {
    throw await told(error, image, options)
  }
}

async function told(error: unknown, image: string, options: JudgeOptions): Promise<unknown> {
  if (!(error instanceof ImageRefused) || error.code === 'unchecked') return error
  const facts = await gatherFacts(image, options)
  return tellRefusal(error, explainVerdict(facts, error.evidence, error.report))
}

/** A verdict that came before there was a report, with one; everything else as it is. */
export function asRefusal(error: unknown, image: string, options: JudgeOptions): unknown {
  const isVerdict = error instanceof VolsealError && VERDICTS.has(error.code)
  if (!isVerdict || error instanceof ImageRefused) return error
  const report = emptyReport(image, options)
  // What could not be read was not judged: all its checks are skipped.
  return new ImageRefused(error, error.code === 'unchecked' ? { ...report, checks: [] } : report)
}

/** What is known of an image of which nothing could be checked but its properties. */
function emptyReport(image: string, options: JudgeOptions): VerifyReport {
  const { img_signature_hash_method, img_signature_key_type, img_signature_certificate_uuid } =
    options.properties
  const profile = profileOf(options.profile)
  return {
    ok: false,
    verdict: 'unchecked',
    image,
    profile: profile.name,
    trust: isPinned(options) && profile.trust ? 'pinned' : 'none',
    policy: decide(options)?.applied ?? null,
    digest: null,
    size: null,
    hash: HASH_METHODS.find(({ name }) => name === img_signature_hash_method)?.name ?? null,
    keyType: KEY_TYPES.find(({ name }) => name === img_signature_key_type)?.name ?? null,
    saltLength: null,
    saltLengthExpected: null,
    keyBits: null,
    curve: null,
    certificateId: options.certificateId ?? img_signature_certificate_uuid ?? null,
    certificate: null,
    path: null,
    checks: [withSource(checkProperties(options))],
  }
}

/** Named by the caller, who says of nobody else that they have to vouch. */
function isPinned(options: JudgeOptions): boolean {
  const { certificate, certificateId, trusted = [] } = options
  if (trusted.length > 0 || listsCertificates(decide(options))) return false
  return certificate !== undefined || certificateId !== undefined
}

function checkProperties(options: JudgeOptions): Check {
  const check = { name: 'properties', expected: null, found: null } as const
  const certificateKnown = isCertificateKnown(options, decide(options))
  const rules = { certificateKnown, profile: profileOf(options.profile) }
  try {
    parseSignature(options.properties, rules)
    return { ...check, result: 'pass' }
  } catch {
    return { ...check, result: 'fail' }
  }
}
