import { asError, VolsealError } from '../core/errors.js'

/** Undoing is not stopped by what stopped the rest. */
export const NEVER: AbortSignal = new AbortController().signal

/** Something that was made, and how it is taken back. */
export interface Made {
  /** What it is: `the image 1f40…`. */
  readonly what: string
  /** The command that takes it back by hand. */
  readonly byHand: string
  /** Returns what was found that forbids it, or undefined once it is taken back. */
  readonly takeBack: () => Promise<string | undefined>
}

/**
 * What was made so far, so that a failure leaves nothing behind; and what it does leave, because that
 * failed as well, is said.
 */
export class Undo {
  readonly #made: Made[] = []

  add(made: Made): void {
    this.#made.push(made)
  }

  /** It is to stay. */
  keepAll(): void {
    this.#made.length = 0
  }

  /** Takes all back, the last first, and returns the error that led to it. */
  async all(reason: unknown): Promise<VolsealError> {
    const error = asError(reason)
    const left: string[] = []
    for (const made of this.#made.splice(0).toReversed()) {
      const why = await made.takeBack().catch((failure: unknown) => asError(failure).message)
      if (why !== undefined) left.push(`${made.what} is left behind (${why}): ${made.byHand}`)
    }
    if (left.length === 0) return error
    const hints = [error.hint, ...left].filter((hint) => hint !== undefined)
    return new VolsealError(error.code, error.message, { hint: hints.join('; '), cause: error })
  }
}
