import { causesAround, causesBefore } from './causes.js'
import type { Evidence } from './evidence.js'
import type { Explanation, SignatureFacts } from './explanation.js'
import { recoverSignature } from './recover.js'
import type { VerifyReport } from './report.js'
import { serviceLog } from './service-log.js'
import { causesInSignature } from './signature-causes.js'
import { whoAccepts } from './who-accepts.js'

/**
 * Explains a verdict: what the signature says of itself, who would accept the image, and which of
 * the usual mistakes was made.
 *
 * @param evidence undefined when the image was not read, or could not be
 */
export function explainVerdict(
  facts: SignatureFacts,
  evidence: Evidence | undefined,
  report: VerifyReport,
): Explanation {
  const signature = facts.text?.meant
  const key = facts.certificate.certificate?.publicKey
  const recovered =
    signature === undefined || key === undefined || evidence === undefined
      ? undefined
      : recoverSignature(signature, key, evidence, facts.hash)
  const form = facts.text?.form ?? 'empty'
  return {
    signature: recovered === undefined ? null : { form, ...recovered },
    acceptedBy: whoAccepts(facts, evidence),
    causes: [
      ...causesBefore(facts, recovered),
      ...(recovered === undefined || evidence === undefined
        ? []
        : causesInSignature(facts, recovered, evidence)),
      ...causesAround(facts, report),
    ],
    serviceLog: serviceLog(facts, evidence),
  }
}
