import { isUuid, record, text } from '../../core/check.js'
import { VolsealError } from '../../core/errors.js'
import { understood } from '../http/answer.js'

/** A secret as Barbican describes it, without its bytes (Key Manager API v1, "Secrets"). */
export interface BarbicanSecret {
  readonly id: string
  readonly name: string | null
  /** `symmetric`, `certificate` …; whatever Barbican says. */
  readonly type: string
  readonly algorithm: string | null
  readonly bitLength: number | null
  readonly mode: string | null
  /** ISO 8601, UTC. */
  readonly created: string
  /** ISO 8601, UTC; null when it never expires. */
  readonly expiration: string | null
  /** Null for a secret without bytes, as the first of two steps leaves it. */
  readonly contentType: string | null
  /** User id of its creator. */
  readonly creator: string | null
  /** Empty also where Barbican is older than Wallaby and knows none. */
  readonly consumers: readonly SecretConsumer[]
}

/** What needs a secret, so that newer services do not delete it. */
export interface SecretConsumer {
  /** Such as `image`. */
  readonly service: string
  readonly resourceType: string
  readonly resourceId: string
}

export function readSecret(answer: unknown): BarbicanSecret {
  return understood('barbican', 'a secret', () => {
    const secret = record(answer, 'secret')
    const types = secret['content_types']
    return {
      id: idIn(secret['secret_ref']),
      name: optional(secret['name']),
      type: optional(secret['secret_type']) ?? 'opaque',
      algorithm: optional(secret['algorithm']),
      bitLength: typeof secret['bit_length'] === 'number' ? secret['bit_length'] : null,
      mode: optional(secret['mode']),
      created: timeOf(secret['created'], 'created'),
      expiration: secret['expiration'] ? timeOf(secret['expiration'], 'expiration') : null,
      contentType: types ? optional(record(types, 'content_types')['default']) : null,
      creator: optional(secret['creator_id']),
      consumers: readConsumers(secret['consumers']),
    }
  })
}

export function readConsumers(consumers: unknown): SecretConsumer[] {
  const list: unknown[] = Array.isArray(consumers) ? consumers : []
  return list.map((entry) => {
    const consumer = record(entry, 'consumer')
    return {
      service: text(consumer['service'], 'service'),
      resourceType: text(consumer['resource_type'], 'resource_type'),
      resourceId: text(consumer['resource_id'], 'resource_id'),
    }
  })
}

/**
 * The id in a `…_ref`. Its host is whatever Barbican was told it is called, or an attacker's; only
 * the last part is taken, and asked for at the catalog's address.
 */
export function idIn(ref: unknown): string {
  const id = text(ref, 'ref').split('/').at(-1) ?? ''
  if (!isUuid(id)) throw new VolsealError('unavailable', 'ref: expected a UUID at its end')
  return id
}

/** Barbican's times are UTC, mostly without saying so. */
function timeOf(value: unknown, name: string): string {
  const said = text(value, name)
  const time = new Date(/(Z|[+-]\d\d:?\d\d)$/.test(said) ? said : `${said}Z`)
  if (Number.isNaN(time.getTime()))
    throw new VolsealError('unavailable', `${name}: expected a time`)
  return time.toISOString()
}

function optional(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}
