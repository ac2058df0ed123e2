import { setTimeout as delay } from 'node:timers/promises'
import { abortReason } from '../../core/errors.js'
import { ConnectionFailure } from './connection-failure.js'
import type { HttpAnswer } from './http-client.js'

/**
 * What may be asked again after a failure:
 *
 * - anything of which nothing was sent, and what the service declined with 503 or 429 and a
 *   Retry-After (RFC 9110 §10.2.3);
 * - what does the same when it is done twice, also after a connection that was cut.
 *
 * Only requests that can be made a second time come here with `again`.
 */
export interface RepeatRules {
  /** Whether doing it twice is as good as once. */
  readonly idempotent: boolean
  readonly signal?: AbortSignal | undefined
}

const MOST_TRIES = 4
/** Before the second, third and fourth try, in milliseconds. */
const PAUSES: readonly number[] = [200, 1000, 3000]
/** A service that wants to be left alone longer than that, in seconds, is left alone. */
const LONGEST_RETRY_AFTER = 30

/** The answer, and whether an earlier question may have been heard, whose answer was lost. */
export interface Repeated {
  readonly answer: HttpAnswer
  readonly mayBeDone: boolean
}

export async function repeat(
  ask: () => Promise<HttpAnswer>,
  rules: RepeatRules,
): Promise<Repeated> {
  let mayBeDone = false
  for (let tries = 1; ; tries += 1) {
    const last = tries === MOST_TRIES
    const outcome = await attempt(ask)
    const pause = last ? undefined : pauseAfter(outcome, rules, tries)
    if (pause === undefined) {
      if (outcome instanceof Error) throw outcome
      return { answer: outcome, mayBeDone }
    }
    if (outcome instanceof Error) mayBeDone ||= outcome.kind !== 'unsent'
    else await outcome.discard()
    await wait(pause, rules.signal)
  }
}

async function attempt(ask: () => Promise<HttpAnswer>): Promise<HttpAnswer | ConnectionFailure> {
  try {
    return await ask()
  } catch (error) {
    if (error instanceof ConnectionFailure) return error
    throw error
  }
}

/** Milliseconds to wait before it is tried again; undefined when it is not. */
function pauseAfter(
  outcome: HttpAnswer | ConnectionFailure,
  { idempotent }: RepeatRules,
  tries: number,
): number | undefined {
  const pause = PAUSES[tries - 1]
  if (outcome instanceof ConnectionFailure) {
    const may = outcome.kind === 'unsent' || (idempotent && outcome.kind === 'cut')
    return may ? pause : undefined
  }
  if (outcome.status !== 503 && outcome.status !== 429) return undefined
  const seconds = retryAfter(outcome.header('retry-after'))
  if (seconds !== undefined && seconds <= LONGEST_RETRY_AFTER) return seconds * 1000
  return undefined
}

/** Seconds; the header holds them, or a date (RFC 9110 §10.2.3). */
function retryAfter(value: string | undefined): number | undefined {
  if (value === undefined) return undefined
  if (/^\d+$/.test(value)) return Number(value)
  const date = Date.parse(value)
  return Number.isNaN(date) ? undefined : Math.max(0, (date - Date.now()) / 1000)
}

/** @throws {VolsealError} `interrupted` */
export async function wait(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await delay(milliseconds, undefined, signal === undefined ? {} : { signal })
  } catch (error) {
    throw signal?.aborted === true ? abortReason(signal) : error
  }
}
