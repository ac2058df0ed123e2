import type { Certificate } from '../core/certificate.js'
import type { Role } from '../core/certificate-path.js'
import { type Candidate, type Finding, failed, isSelfIssued, type Place } from './candidate.js'
import { judgeInPlace } from './certificate-checks.js'
import type { RevocationList } from './crl.js'
import { authorityKeyId, subjectKeyId } from './extensions.js'
import { judgeNames } from './name-constraints.js'
import { sameName } from './names.js'
import { judgeRevocation } from './revocation.js'
import { SignatureBudget } from './signature-budget.js'
import { keyFault } from './signatures.js'

/** Most certificates of a path, the signer's and the trusted one among them. */
const MOST_LENGTH = 8

/** Most times that a certificate is tried as the next of a path: ends what is woven to be endless. */
const MOST_TRIES = 1000

/** A certificate in its place, and what was found. */
export interface Step {
  readonly candidate: Candidate
  readonly role: Role
  readonly findings: readonly Finding[]
}

/** A path that holds, or the one that came furthest and why it ended. */
export interface Search {
  readonly path: readonly Step[]
  /** Undefined when the path holds. */
  readonly fault: Fault | undefined
  readonly signatureChecks: number
}

export interface Fault {
  /** Which one is to blame, and why. */
  readonly certificate: Certificate
  readonly message: string
  readonly hint: string
}

export interface SearchPlan {
  readonly signer: Candidate
  /** Trusted and untrusted certificates, each once. */
  readonly others: readonly Candidate[]
  readonly lists: readonly RevocationList[]
  readonly at: Date
}

/**
 * Looks for a path from the signer to a trusted certificate on which every check holds (RFC 5280
 * §6.1), from below and with backtracking: of two issuers of the same name, of a cross-signed CA or of
 * a loop every one is tried, but none twice on a path, and all in all only so many times.
 */
export function findPath(plan: SearchPlan): Search {
  return new PathSearch(plan).run()
}

class PathSearch {
  readonly #plan: SearchPlan
  readonly #budget = new SignatureBudget()
  /** What was found of a candidate in a place: it is tried there more than once. */
  readonly #found = new Map<Candidate, Map<string, readonly Finding[]>>()
  #tries = 0
  #furthest: { path: readonly Step[]; fault: Fault; score: number } | undefined

  constructor(plan: SearchPlan) {
    this.#plan = plan
  }

  run(): Search {
    const { signer, at } = this.#plan
    const findings = judgeInPlace(signer, { role: 'signer', below: 0, at })
    const first: Step = { candidate: signer, role: 'signer', findings }
    const path = isGood(first) ? this.#extend([first]) : this.#give([first], first, 0)
    const signatureChecks = this.#budget.spent
    // A revocation list whose signature was not looked at may be the one that counts.
    const isProven = path !== undefined && !this.#budget.denied
    if (isProven) return { path, fault: undefined, signatureChecks }
    const { path: furthest = path ?? [first], fault } = this.#furthest ?? {}
    return { path: furthest, fault: this.#exhausted() ?? fault, signatureChecks }
  }

  /** The whole path that this one is the beginning of; undefined when there is none. */
  #extend(path: readonly Step[]): readonly Step[] | undefined {
    const issuers = this.#issuersOf(path)
    if (issuers.length === 0) return this.#noIssuer(path)
    for (const issuer of issuers) {
      this.#tries += 1
      if (this.#tries > MOST_TRIES || this.#budget.exhausted) return undefined
      const found = this.#with(path, issuer)
      if (found !== undefined) return found
    }
    return undefined
  }

  /** The path with one more certificate, and from there to its end. */
  #with(path: readonly Step[], issuer: Candidate): readonly Step[] | undefined {
    const role = issuer.trusted ? 'anchor' : 'intermediate'
    const place: Place = { role, below: countBelow(path), at: this.#plan.at }
    const signed = this.#judgeSignature(path, issuer)
    const longer = withFinding(path, path.length - 1, signed)
    if (signed.fault !== undefined && isStrong(issuer)) {
      return this.#give(longer, longer.at(-1), path.length * 4)
    }
    const step: Step = { candidate: issuer, role, findings: this.#judge(issuer, place) }
    const whole = [...longer, step]
    const score = path.length * 4 + 2
    if (!isGood(step)) return this.#give(whole, step, score)
    if (role === 'anchor') return this.#finish(whole)
    if (whole.length < MOST_LENGTH) return this.#extend(whole)
    return this.#blame(whole, score, {
      certificate: issuer.certificate,
      message: `the path has ${MOST_LENGTH} certificates already, and this one is not trusted`,
      hint: `name one of the path's CAs as trusted: at most ${MOST_LENGTH} certificates are followed`,
    })
  }

  #judge(candidate: Candidate, place: Place): readonly Finding[] {
    const name = `${place.role} ${place.below}`
    const known = this.#found.get(candidate) ?? new Map<string, readonly Finding[]>()
    const findings = known.get(name) ?? judgeInPlace(candidate, place)
    this.#found.set(candidate, known.set(name, findings))
    return findings
  }

  #judgeSignature(path: readonly Step[], issuer: Candidate): Finding {
    const { candidate } = path.at(-1) ?? { candidate: this.#plan.signer }
    const { subject } = issuer.certificate
    const expected = `by the key of ${subject}`
    if (this.#budget.isSignedBy(candidate.fields, issuer)) {
      return { check: { name: 'signature', result: 'pass', expected, found: 'valid' } }
    }
    const fault = `it is not signed by the key of the certificate ${subject} that is given`
    const hint = `a CA of that name has another key: give the certificate of the one that signed`
    const found = isStrong(issuer) ? 'invalid' : 'not checked, since that key is refused'
    return failed('signature', expected, found, fault, hint)
  }

  /** What can be judged only when the path has reached a trusted certificate. */
  #finish(path: readonly Step[]): readonly Step[] | undefined {
    const whole = path.map((step, index) => ({
      ...step,
      findings: [...step.findings, ...this.#judgeBelow(path, index)],
    }))
    const bad = whole.find((step) => !isGood(step))
    return bad === undefined ? whole : this.#give(whole, bad, path.length * 4 + 3)
  }

  #judgeBelow(path: readonly Step[], index: number): Finding[] {
    const { at, lists } = this.#plan
    const step = path[index]
    const issuer = path[index + 1]
    if (step === undefined || issuer === undefined) return []
    const constraints = judgeNames(
      path.map(({ candidate }) => candidate),
      index,
    )
    if (lists.length === 0) {
      const name = 'revocation'
      return [constraints, { check: { name, result: 'skipped', expected: 'a CRL', found: null } }]
    }
    const { candidate } = step
    return [constraints, judgeRevocation(candidate, issuer.candidate, lists, at, this.#budget)]
  }

  /** Those with the issuer's name that are not on the path yet: trusted ones, then the likely ones. */
  #issuersOf(path: readonly Step[]): Candidate[] {
    const { fields } = (path.at(-1) ?? { candidate: this.#plan.signer }).candidate
    const used = new Set(path.map(({ candidate }) => candidate.certificate.fingerprint))
    const keyId = authorityKeyId(fields)
    const rank = (candidate: Candidate): number =>
      (candidate.trusted ? 0 : 2) +
      (keyId === undefined || subjectKeyId(candidate.fields) === keyId ? 0 : 1)
    return this.#plan.others
      .filter((other) => sameName(other.fields.subject, fields.issuer))
      .filter(({ certificate }) => !used.has(certificate.fingerprint))
      .toSorted((a, b) => rank(a) - rank(b))
  }

  #noIssuer(path: readonly Step[]): undefined {
    const { candidate } = path.at(-1) ?? { candidate: this.#plan.signer }
    const { certificate, fields } = candidate
    const isGiven = this.#plan.others.some((other) => sameName(other.fields.subject, fields.issuer))
    const words = isSelfIssued(candidate)
      ? SELF_ISSUED
      : (isGiven ? issuersInALoop : issuerMissing)(certificate.issuer)
    return this.#blame(path, path.length * 4 + 1, { certificate, ...words })
  }

  #give(path: readonly Step[], step: Step | undefined, score: number): undefined {
    const finding = step?.findings.find(({ fault }) => fault !== undefined)
    if (step === undefined || finding === undefined) return undefined
    const { fault: message = '', hint = '' } = finding
    return this.#blame(path, score, { certificate: step.candidate.certificate, message, hint })
  }

  #blame(path: readonly Step[], score: number, fault: Fault): undefined {
    if (this.#furthest === undefined || score > this.#furthest.score) {
      this.#furthest = { path, fault, score }
    }
    return undefined
  }

  #exhausted(): Fault | undefined {
    if (this.#tries <= MOST_TRIES && !this.#budget.exhausted) return undefined
    return {
      certificate: this.#plan.signer.certificate,
      message: `no path was found after ${this.#tries} tries and ${this.#budget.spent} signature checks, and the search was ended`,
      hint: 'give fewer certificates: only those that lead from the signer to the trusted one',
    }
  }
}

type Words = Omit<Fault, 'certificate'>

const SELF_ISSUED: Words = {
  message: 'it is its own issuer, and is not trusted',
  hint: 'if it is the right one, name it itself as trusted',
}

function issuersInALoop(issuer: string): Words {
  return {
    message: `its issuer ${issuer} is on the path already: they issued one another`,
    hint: `name one of them as --trusted if you trust it, or give as --untrusted the certificate of ${issuer} that another CA issued`,
  }
}

function issuerMissing(issuer: string): Words {
  return {
    message: `no certificate of its issuer ${issuer || '(no name)'} is given`,
    hint: `give the certificate of ${issuer || 'the issuer'}: as --trusted if you trust it, else as --untrusted`,
  }
}

function isGood({ findings }: Step): boolean {
  return findings.every(({ fault }) => fault === undefined)
}

/** With a key that is refused, no signature was checked: the key is to blame, not the signature. */
function isStrong({ certificate, fields }: Candidate): boolean {
  return keyFault(certificate.publicKey, fields.keyInfo, true) === undefined
}

/** Intermediate certificates that are not self-issued (RFC 5280 §4.2.1.9); the signer is none. */
function countBelow(path: readonly Step[]): number {
  return path.slice(1).filter(({ candidate }) => !isSelfIssued(candidate)).length
}

function withFinding(path: readonly Step[], at: number, finding: Finding): Step[] {
  return path.map((step, index) =>
    index === at ? { ...step, findings: [...step.findings, finding] } : step,
  )
}
