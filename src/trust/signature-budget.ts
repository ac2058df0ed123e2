import type { Candidate } from './candidate.js'
import type { Signed } from './fields.js'
import { isSignedBy, keyFault } from './signatures.js'

/** Most signatures that are checked for one verdict; the slowest key takes some milliseconds. */
const MOST_CHECKS = 100

/** Checks signatures, each at most once, and only so many. */
export class SignatureBudget {
  #spent = 0
  #denied = false
  readonly #known = new Map<Signed, Map<Candidate, boolean>>()

  get spent(): number {
    return this.#spent
  }

  /** Whether a check was asked for and not made: what depends on the answer must not be believed. */
  get denied(): boolean {
    return this.#denied
  }

  get exhausted(): boolean {
    return this.#spent >= MOST_CHECKS
  }

  /** Whether it is signed by the issuer's key; false as well when nothing is left to spend. */
  isSignedBy(signed: Signed, issuer: Candidate): boolean {
    const known = this.#known.get(signed)?.get(issuer)
    if (known !== undefined) return known
    const { publicKey } = issuer.certificate
    // No time is spent with a key that is refused in any case, and may be made to cost much.
    if (keyFault(publicKey, issuer.fields.keyInfo, true) !== undefined) return false
    if (this.exhausted) {
      this.#denied = true
      return false
    }
    this.#spent += 1
    const verdict = isSignedBy(signed, publicKey)
    const verdicts = this.#known.get(signed) ?? new Map<Candidate, boolean>()
    this.#known.set(signed, verdicts.set(issuer, verdict))
    return verdict
  }
}
