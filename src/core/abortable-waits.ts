import { abortReason } from './errors.js'

export interface AbortableWaits {
  /** The promise, or the abort, whichever is first. One wait at a time. */
  wait<T>(promise: Promise<T>): Promise<T>
  end(): void
}

/**
 * Waits that an abort ends: a read of a silent pipe may never end. There is one listener for all of
 * them, since making one for every read takes a tenth of the time of a whole pass.
 */
export function abortableWaits(signal: AbortSignal | undefined): AbortableWaits {
  let fail: ((reason: unknown) => void) | undefined
  const onAbort = (): void => {
    if (signal !== undefined) fail?.(abortReason(signal))
  }
  signal?.addEventListener('abort', onAbort, { once: true })
  return {
    wait: async (promise) =>
      await new Promise((resolve, reject) => {
        fail = reject
        promise.then(resolve, reject)
        // An abort that came before the listener calls nobody.
        if (signal?.aborted === true) onAbort()
      }),
    end: () => signal?.removeEventListener('abort', onAbort),
  }
}
