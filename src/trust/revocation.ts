import { type Candidate, day, type Finding, failed } from './candidate.js'
import type { RevocationList } from './crl.js'
import { keyUsage } from './extensions.js'
import { sameName } from './names.js'
import type { SignatureBudget } from './signature-budget.js'
import { signatureAlgorithm } from './signatures.js'

const EXPECTED = 'on no CRL of its issuer'

/**
 * Whether the lists say that a certificate is good (RFC 5280 §6.3, whole lists only). No list of its
 * issuer that can be used means that nobody knows, which is a refusal.
 */
export function judgeRevocation(
  candidate: Candidate,
  issuer: Candidate,
  lists: readonly RevocationList[],
  at: Date,
  budget: SignatureBudget,
): Finding {
  const theirs = lists.filter(({ issuer: name }) => sameName(name, issuer.fields.subject))
  if (theirs.length === 0)
    return unknown(`no CRL of ${issuer.certificate.subject} is given`, issuer)
  const faults = theirs.map((list) => listFault(list, issuer, at, budget))
  const sound = theirs.filter((_, index) => faults[index] === undefined)
  // What a partial list names is revoked; what it does not name may be. RFC 5280 (§5.2, §5.3) would not
  // have it used at all, but then a CA's own words could not keep its certificate out.
  if (sound.some((list) => list.lists(candidate.fields.serialNumber))) {
    const hint = 'its CA has withdrawn it: do not use the image until somebody else has signed it'
    return failed('revocation', EXPECTED, 'revoked', 'it is revoked', hint)
  }
  const list = sound.find(({ partial }) => partial.length === 0)
  if (list === undefined)
    return unknown(faults.find(Boolean) ?? partialFault(sound[0], issuer), issuer)
  const found = `not on the CRL of ${list.thisUpdate.toISOString()}`
  return { check: { name: 'revocation', result: 'pass', expected: EXPECTED, found } }
}

function unknown(why: string, issuer: Candidate): Finding {
  return failed(
    'revocation',
    EXPECTED,
    why,
    `nobody knows whether it is revoked: ${why}`,
    `with --crl, a current CRL of every CA on the path is needed; fetch that of ${issuer.certificate.subject}`,
  )
}

function partialFault(list: RevocationList | undefined, issuer: Candidate): string {
  return `${nameOf(issuer)} has the critical extension ${list?.partial[0]}, so it may not be of all certificates`
}

/** Why a list says nothing; undefined when what it names is revoked. */
function listFault(
  list: RevocationList,
  issuer: Candidate,
  at: Date,
  budget: SignatureBudget,
): string | undefined {
  const { thisUpdate, nextUpdate } = list
  const name = nameOf(issuer)
  if (at < thisUpdate) return `${name} is of ${day(thisUpdate)}, which is later`
  if (nextUpdate === undefined) return `${name} does not say when the next one comes`
  if (at > nextUpdate) return `${name} is out of date since ${day(nextUpdate)}`
  const usages = keyUsage(issuer.fields)
  if (usages?.includes('cRLSign') === false) return `${name}: its CA may not sign CRLs (keyUsage)`
  const algorithm = signatureAlgorithm(list)
  if (typeof algorithm === 'string') return `${name} is signed by ${algorithm}`
  if (budget.isSignedBy(list, issuer)) return undefined
  return `${name} is not signed by the key that is on the path`
}

function nameOf(issuer: Candidate): string {
  return `the CRL of ${issuer.certificate.subject}`
}
