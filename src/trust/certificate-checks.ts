import { describeKey } from '../core/certificate.js'
import type { PathCheckName } from '../core/certificate-path.js'
import { DerFault } from '../core/der.js'
import { type Candidate, day, type Finding, failed, type Place } from './candidate.js'
import {
  ANY_USAGE,
  basicConstraints,
  CODE_SIGNING,
  extendedKeyUsage,
  extensionName,
  keyUsage,
  purposeName,
  UNDERSTOOD,
  unknownCritical,
} from './extensions.js'
import { ACCEPTED_ALGORITHMS, ACCEPTED_KEYS, keyFault, signatureAlgorithm } from './signatures.js'

const NEW_ONE = 'ask the CA for a new certificate, and sign the image with it'
const NEW_CA =
  "that CA is not fit to vouch for image signers; take one of another CA's certificates"

/**
 * All that RFC 5280 §6.1 and our floors demand of a certificate for itself, in this place of a path.
 * Whether it is signed by the next one is `find-path.ts`'s.
 */
export function judgeInPlace(candidate: Candidate, place: Place): Finding[] {
  const rules = place.role === 'signer' ? SIGNER_RULES : ISSUER_RULES
  return rules.map(([name, rule]) => judged(name, candidate, place, rule))
}

/** What is demanded of a certificate that the caller has pinned: no extension, in any version. */
export function judgePinned(candidate: Omit<Candidate, 'fields'>, at: Date): Finding[] {
  return [
    judged('dates', candidate, { role: 'signer', below: 0, at }, dates),
    judged('key', candidate, { role: 'signer', below: 0, at }, pinnedKey),
  ]
}

/** What a rule finds; `fault` makes it a failure, and nothing found means that it was not there. */
interface Outcome {
  readonly expected: string
  readonly found: string | null
  readonly fault?: string | undefined
  readonly hint?: string
}

type Rule<Subject> = (subject: Subject, place: Place) => Outcome

function judged<Subject>(
  name: PathCheckName,
  subject: Subject,
  place: Place,
  rule: Rule<Subject>,
): Finding {
  try {
    const { expected, found, fault, hint } = rule(subject, place)
    if (fault !== undefined) return failed(name, expected, found, fault, hint ?? NEW_ONE)
    return { check: { name, result: found === null ? 'skipped' : 'pass', expected, found } }
  } catch (error) {
    if (!(error instanceof DerFault)) throw error
    return failed(
      name,
      'what RFC 5280 describes',
      null,
      `it cannot be read: ${error.message}`,
      NEW_ONE,
    )
  }
}

const SIGNER_RULES: readonly (readonly [PathCheckName, Rule<Candidate>])[] = [
  ['dates', dates],
  ['key', key],
  ['signature-algorithm', algorithm],
  ['critical-extensions', criticalExtensions],
  ['name', names],
  ['basic-constraints', signerConstraints],
  ['key-usage', signerUsage],
  ['extended-key-usage', purposes],
]

const ISSUER_RULES: readonly (readonly [PathCheckName, Rule<Candidate>])[] = [
  ['dates', dates],
  ['key', key],
  ['signature-algorithm', algorithm],
  ['critical-extensions', criticalExtensions],
  ['name', names],
  ['basic-constraints', issuerConstraints],
  ['path-length', pathLength],
  ['key-usage', issuerUsage],
  ['extended-key-usage', purposes],
]

/** §6.1.3 (a) (2). */
function dates({ certificate }: Pick<Candidate, 'certificate'>, { at, role }: Place): Outcome {
  const { notBefore, notAfter } = certificate
  const expected = `${notBefore.toISOString()} to ${notAfter.toISOString()}`
  const hint = role === 'signer' ? NEW_ONE : 'ask that CA for its new certificate'
  const found = at.toISOString()
  if (at < notBefore)
    return { expected, found, fault: `it is not valid before ${day(notBefore)}`, hint }
  if (at > notAfter) return { expected, found, fault: `it expired on ${day(notAfter)}`, hint }
  return { expected, found }
}

function key({ certificate, fields }: Candidate, { role }: Place): Outcome {
  const { publicKey } = certificate
  const fault = keyFault(publicKey, fields.keyInfo, role !== 'signer')
  return keyOutcome(describeKey(publicKey), fault)
}

function pinnedKey({ certificate }: Pick<Candidate, 'certificate'>): Outcome {
  const { publicKey } = certificate
  const keyInfo = publicKey.export({ type: 'spki', format: 'der' })
  return keyOutcome(describeKey(publicKey), keyFault(publicKey, keyInfo, false))
}

function keyOutcome(found: string, fault: string | undefined): Outcome {
  if (fault === undefined) return { expected: ACCEPTED_KEYS, found }
  return { expected: ACCEPTED_KEYS, found, fault: `its key is ${found}: ${fault}` }
}

/** An anchor's own signature is nobody's proof, so its algorithm does not count. */
function algorithm({ fields }: Candidate, { role }: Place): Outcome {
  const expected = ACCEPTED_ALGORITHMS
  if (role === 'anchor') return { expected, found: null }
  const found = signatureAlgorithm(fields)
  if (typeof found !== 'string') return { expected, found: found.name }
  return { expected, found, fault: `it is signed by ${found}` }
}

/** §4.2, §6.1.4 (o), §6.1.5 (f). */
function criticalExtensions({ fields }: Candidate): Outcome {
  const unknown = unknownCritical(fields.extensions, UNDERSTOOD).map(extensionName)
  const expected = 'no critical extension that is not acted on'
  if (unknown.length === 0) return { expected, found: 'none' }
  const found = unknown.join(', ')
  return { expected, found, fault: `its critical extension ${found} is not understood` }
}

/** §4.1.2.4, §4.1.2.6: who issues has a name, and so has every issuer. */
function names({ fields }: Candidate, { role }: Place): Outcome {
  const expected = role === 'signer' ? "the issuer's name" : 'a subject and an issuer'
  if (fields.issuer.length === 0)
    return { expected, found: 'no issuer', fault: 'it names no issuer' }
  if (role !== 'signer' && fields.subject.length === 0) {
    return { expected, found: 'no subject', fault: 'it is a CA without a name' }
  }
  return { expected, found: 'there' }
}

/** A signer may be a CA; what is in its basicConstraints must be readable and consistent. */
function signerConstraints({ fields }: Candidate): Outcome {
  const constraints = basicConstraints(fields)
  const signsCertificates = keyUsage(fields)?.includes('keyCertSign') === true
  const expected = 'consistent with keyUsage'
  if (constraints?.ca !== true && signsCertificates) {
    const fault = 'it may sign certificates (keyUsage) but is no CA (basicConstraints)'
    return { expected, found: 'CA:FALSE', fault }
  }
  return { expected, found: constraints === undefined ? null : caText(constraints.ca) }
}

function caText(ca: boolean): string {
  return ca ? 'CA:TRUE' : 'CA:FALSE'
}

/** §6.1.4 (k). */
function issuerConstraints({ fields }: Candidate): Outcome {
  const constraints = basicConstraints(fields)
  const expected = 'CA:TRUE'
  if (constraints?.ca === true) return { expected, found: expected }
  const found = constraints === undefined ? 'no basicConstraints' : 'CA:FALSE'
  return { expected, found, fault: `it is no CA (${found})`, hint: NEW_CA }
}

/** §6.1.4 (l), (m): self-issued certificates are not counted. */
function pathLength({ fields }: Candidate, { below }: Place): Outcome {
  const most = basicConstraints(fields)?.pathLength
  const found = `${below} below it`
  if (most === undefined) return { expected: 'any number of CAs below it', found }
  const expected = `at most ${most} CAs below it`
  if (below <= most) return { expected, found }
  const fault = `it allows ${most} CA certificates below it, and ${below} are there`
  return { expected, found, fault, hint: NEW_CA }
}

/** §4.2.1.3; nova demands nothing here. */
function signerUsage({ fields }: Candidate): Outcome {
  const usages = keyUsage(fields)
  const expected = 'digitalSignature'
  if (usages === undefined) return { expected, found: null }
  const found = usages.join(', ')
  if (usages.includes('digitalSignature')) return { expected, found }
  const fault = `its key may not sign data (keyUsage: ${found || 'nothing'})`
  return { expected, found, fault }
}

/** §6.1.4 (n). */
function issuerUsage({ fields }: Candidate): Outcome {
  const usages = keyUsage(fields)
  const expected = 'keyCertSign'
  if (usages === undefined) return { expected, found: null }
  const found = usages.join(', ')
  if (usages.includes('keyCertSign')) return { expected, found }
  const fault = `it may not sign certificates (keyUsage: ${found || 'nothing'})`
  return { expected, found, fault, hint: NEW_CA }
}

/** §4.2.1.12; in a CA it limits what is below, as browsers and OpenSSL take it. */
function purposes({ fields }: Candidate, { role }: Place): Outcome {
  const oids = extendedKeyUsage(fields)
  const expected = 'codeSigning or anyExtendedKeyUsage'
  if (oids === undefined) return { expected, found: null }
  const found = oids.slice(0, 10).map(purposeName).join(', ')
  if (oids.includes(CODE_SIGNING) || oids.includes(ANY_USAGE)) return { expected, found }
  const fault = `it is for ${found || 'nothing'}, not for signing code (extendedKeyUsage)`
  return { expected, found, fault, hint: role === 'signer' ? NEW_ONE : NEW_CA }
}
