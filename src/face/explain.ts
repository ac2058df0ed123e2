import type { ByteSource } from '../core/byte-source.js'
import { summarize } from '../core/certificate.js'
import type { VolsealError } from '../core/errors.js'
import {
  describeSize,
  EvidenceCollector,
  explainVerdict,
  ImageRefused,
  type Pass,
  type SignatureFacts,
  tellRefusal,
  type VerifyReport,
} from '../verify/index.js'
import type { VerifyOptions } from './judge-options.js'
import { gatherFacts } from './signature-facts.js'

/** Judges an image whose bytes come through the pass that it is given. */
export type JudgeImage = (options: VerifyOptions, pass: Pass) => Promise<VerifyReport>

/**
 * Verifies an image and explains the verdict. The image is read once: what the explanation needs is
 * collected while it is verified, or instead, when it was refused without being read.
 */
export async function judgeAndExplain(
  options: VerifyOptions,
  { source, pass: read }: { readonly source: ByteSource; readonly pass: Pass },
  judge: JudgeImage,
): Promise<VerifyReport> {
  const facts = await gatherFacts(source.name, options)
  const collector = collectorFor(facts)
  let isRead = false
  const pass: Pass = async (consumer) => {
    const both = async (piece: Buffer): Promise<void> => {
      collector.update(piece)
      await consumer(piece)
    }
    const size = await read(both)
    isRead = true
    return size
  }
  const outcome = await outcomeOf(async () => await judge(options, pass))
  const isUseful = facts.text?.meant !== undefined && facts.certificate.certificate !== undefined
  if (!isRead && isUseful && outcome.report.verdict !== 'unchecked') await pass(() => undefined)
  const evidence = isRead ? collector.finish() : undefined
  const digest = facts.hash === undefined ? undefined : evidence?.digests.get(facts.hash.name)
  const explanation = explainVerdict(facts, evidence, outcome.report)
  const report: VerifyReport = {
    ...outcome.report,
    ...describeFound(facts),
    // Of an image that need not be signed they are there already, by a hash of our own.
    size: outcome.report.size ?? evidence?.size ?? null,
    digest: outcome.report.digest ?? digest?.toString('hex') ?? null,
    explanation,
  }
  if (outcome.error === undefined) return report
  throw tellRefusal(new ImageRefused(outcome.error, report), explanation)
}

/** The certificate, also where it came to nothing. */
function describeFound({ certificate: { certificate }, hash }: SignatureFacts) {
  if (certificate === undefined) return {}
  return { certificate: summarize(certificate), ...describeSize(certificate.publicKey, hash) }
}

/** The signature as it is decoded, and as it was meant: usually the same. */
function collectorFor({ certificate, text }: SignatureFacts): EvidenceCollector {
  const signatures = [text?.meant, text?.decoded].filter((bytes) => bytes !== undefined)
  const different = signatures.filter(
    (bytes, index) => signatures.findIndex((other) => other.equals(bytes)) === index,
  )
  return new EvidenceCollector(certificate.certificate?.publicKey, different)
}

interface Outcome {
  readonly report: VerifyReport
  readonly error?: VolsealError
}

async function outcomeOf(judge: () => Promise<VerifyReport>): Promise<Outcome> {
  try {
    return { report: await judge() }
  } catch (error) {
    if (error instanceof ImageRefused) return { report: error.report, error }
    throw error
  }
}
