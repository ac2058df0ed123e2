import { record } from '../../core/check.js'
import { VolsealError } from '../../core/errors.js'
import { understood } from '../http/answer.js'
import { wait } from '../http/repeat.js'
import { shortened } from '../http/service-error.js'
import type { Session } from '../session.js'
import { get, jsonBody, OCTETS } from './barbican-bodies.js'
import { explainer } from './barbican-refusal.js'
import { idIn } from './secret-answer.js'

/** A symmetric key for Barbican to draw. */
export interface NewOrder {
  readonly algorithm: string
  readonly bitLength: number
  readonly mode?: string | undefined
  readonly name?: string | undefined
}

interface OrderState {
  readonly status: string
  readonly secret: unknown
  readonly reason: string
  /** The HTTP status that it would have been. */
  readonly code: string
}

/** Pauses in milliseconds; a Barbican without a queue has done it before it answers. */
const FIRST_PAUSE = 100
const LONGEST_PAUSE = 5000
const GROWTH = 1.6
/** As long as castellan waits, and its number_of_retries. */
const PATIENCE_MS = 60_000

/**
 * Orders a key (Key Manager API v1, "Orders"), waits for it, and removes the order, which counts
 * against a quota of its own.
 *
 * @throws {VolsealError} `usage` when Barbican cannot draw such a key, `unavailable` when it fails or
 * takes too long
 */
export async function orderSecret(
  session: Session,
  order: NewOrder,
  signal: AbortSignal | undefined,
): Promise<string> {
  const id = await place(session, order)
  try {
    const end = performance.now() + PATIENCE_MS
    for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * GROWTH, LONGEST_PAUSE)) {
      const state = await look(session, id, signal)
      if (state.status === 'ACTIVE')
        return understood('barbican', 'an order', () => idIn(state.secret))
      if (state.status === 'ERROR') throw failed(order, state)
      if (performance.now() > end) throw tooLate(id)
      await wait(pause, signal)
    }
  } catch (error) {
    await removeDrawn(session, id)
    throw error
  } finally {
    await remove(session, id)
  }
}

/** A key that was drawn all the same, and that nobody will ask for. */
async function removeDrawn(session: Session, id: string): Promise<void> {
  try {
    const { secret } = await look(session, id, new AbortController().signal)
    if (typeof secret !== 'string') return
    const request = { method: 'DELETE', path: ['secrets', idIn(secret)] } as const
    await session.done('key-manager', { ...request, attempt: 'delete a key' })
  } catch (error) {
    if (!(error instanceof VolsealError)) throw error
  }
}

async function place(
  session: Session,
  { algorithm, bitLength, mode, name }: NewOrder,
): Promise<string> {
  const meta = { algorithm, bit_length: bitLength, mode, name, payload_content_type: OCTETS }
  const attempt = 'take the order of a key'
  const answer = await session.json(
    'key-manager',
    {
      method: 'POST',
      path: ['orders'],
      body: jsonBody({ type: 'key', meta }),
      attempt,
      toTheEnd: true,
    },
    explainer(attempt, 'store'),
  )
  return understood('barbican', 'the new order', () => idIn(record(answer, 'answer')['order_ref']))
}

async function look(
  session: Session,
  id: string,
  signal: AbortSignal | undefined,
): Promise<OrderState> {
  const attempt = `show the order ${id}`
  const request = { ...get('orders', id), attempt, signal }
  const answer = await session.json('key-manager', request, explainer(attempt, 'store'))
  const order = understood('barbican', 'an order', () => record(answer, 'order'))
  return {
    status: String(order['status']),
    secret: order['secret_ref'],
    reason: typeof order['error_reason'] === 'string' ? order['error_reason'] : 'no reason',
    code: typeof order['error_status_code'] === 'string' ? order['error_status_code'] : '',
  }
}

/** With Barbican's first rules only administrators may; the order holds nothing secret. */
async function remove(session: Session, id: string): Promise<void> {
  const request = { method: 'DELETE', path: ['orders', id], attempt: 'remove an order' } as const
  try {
    await session.done('key-manager', request)
  } catch (error) {
    if (!(error instanceof VolsealError)) throw error
  }
}

function failed(
  { algorithm, bitLength, mode }: NewOrder,
  { reason, code }: OrderState,
): VolsealError {
  const key = `${algorithm}, ${bitLength} bits${mode === undefined ? '' : `, ${mode}`}`
  const isUsage = code.startsWith('4')
  return new VolsealError(
    isUsage ? 'usage' : 'unavailable',
    `barbican did not draw a key (${key}): ${code} ${shortened(reason, 300)}`,
    { hint: 'every Barbican draws AES keys of 128, 192 and 256 bits' },
  )
}

function tooLate(id: string): VolsealError {
  return new VolsealError(
    'unavailable',
    `barbican has not done the order ${id} in ${PATIENCE_MS / 1000} s`,
    { hint: 'does its worker run? openstack secret order get shows the order' },
  )
}
