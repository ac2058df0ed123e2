import { asError, leaving, VolsealError } from '../core/errors.js'

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

  /** Takes all back that was made for a while only. @throws {VolsealError} `io` with what is left */
  async takeAll(): Promise<void> {
    const left = await this.#takeBack()
    if (left.length > 0) throw new VolsealError('io', left.join('; '), { left })
  }

  /** Takes all back, the last first, and returns the error that led to it, with what is left. */
  async all(reason: unknown): Promise<VolsealError> {
    return leaving(asError(reason), await this.#takeBack())
  }

  /** What could not be taken back, and why. */
  async #takeBack(): Promise<string[]> {
    const left: string[] = []
    for (const made of this.#made.splice(0).toReversed()) {
      const why = await takenBack(made)
      if (why !== undefined) left.push(`${made.what} is left behind (${why})`)
    }
    return left
  }
}

/** What is still needed is not to be taken back by hand either. */
async function takenBack({ takeBack, byHand }: Made): Promise<string | undefined> {
  try {
    return await takeBack()
  } catch (failure) {
    return `${asError(failure).message}; by hand: ${byHand}`
  }
}

/** A secret in a key manager; what needs it by the time that it is taken back keeps it. */
export function madeSecret(
  keyManager: { delete: (id: string) => Promise<void> },
  { id, what, neededBy }: NewSecret,
): Made {
  return {
    what: `${what} ${id}`,
    byHand: `volseal secret delete ${id}`,
    takeBack: async () => {
      const user = await neededBy?.(id)
      if (user === undefined) await unlessGone(async () => await keyManager.delete(id))
      return user
    },
  }
}

interface NewSecret {
  readonly id: string
  /** Such as `the key`. */
  readonly what: string
  readonly neededBy?: ((id: string) => Promise<string | undefined>) | undefined
}

/** For taking back what may not be there: when its making failed, or with something else it was part of. */
export async function unlessGone(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (asError(error).code !== 'not-found') throw error
  }
}
