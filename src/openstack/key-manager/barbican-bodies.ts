import { record, text } from '../../core/check.js'
import type { Secret } from '../../core/secret.js'
import { understood } from '../http/answer.js'
import { base64Bytes } from './base64-bytes.js'
import { type BarbicanSecret, idIn, readSecret } from './secret-answer.js'

/** What Barbican is told, and what it answers. */

/** What is said of a new secret; Barbican's limits for texts are 255 characters. */
export interface SecretFacts {
  readonly type: string
  readonly name?: string | undefined
  readonly algorithm?: string | undefined
  /** 1 to 32,767. */
  readonly bitLength?: number | undefined
  readonly mode?: string | undefined
  /** From when on Barbican denies that it is there. */
  readonly expiration?: Date | undefined
}

/** Which secrets `list` gives. Barbican compares names with SQL's LIKE, so there may be others among them. */
export interface BarbicanFilter {
  readonly type?: string | undefined
  readonly name?: string | undefined
}

/** Who may read a secret beside its project. */
export interface SecretAcl {
  /** Keystone's user ids. */
  readonly users: readonly string[]
  /** Whether everybody in the project may; else its creator alone. */
  readonly projectAccess: boolean
}

export const OCTETS = 'application/octet-stream'

export function get(...path: string[]): { method: 'GET'; path: string[] } {
  return { method: 'GET', path }
}

export function jsonBody(value: unknown): { type: string; bytes: Buffer } {
  return { type: 'application/json', bytes: Buffer.from(JSON.stringify(value)) }
}

/** What is undefined is left out of JSON. */
export function factsBody(facts: SecretFacts): Record<string, unknown> {
  return {
    secret_type: facts.type,
    name: facts.name,
    algorithm: facts.algorithm,
    bit_length: facts.bitLength,
    mode: facts.mode,
    expiration: facts.expiration?.toISOString(),
  }
}

/** The request with the secret in it, without ever having made a string of that; to be wiped. */
export function storeBody(facts: SecretFacts, payload: Secret): Buffer {
  const rest = JSON.stringify({
    ...factsBody(facts),
    payload_content_type: OCTETS,
    payload_content_encoding: 'base64',
  })
  const encoded = base64Bytes(payload.bytes())
  const body = Buffer.concat([
    Buffer.from(`${rest.slice(0, -1)},"payload":"`),
    encoded,
    Buffer.from('"}'),
  ])
  encoded.fill(0)
  return body
}

export function pageIn(answer: unknown): { secrets: BarbicanSecret[]; total: number } {
  return understood('barbican', 'a list of secrets', () => {
    const { secrets, total } = record(answer, 'answer')
    const list: unknown[] = Array.isArray(secrets) ? secrets : []
    return {
      secrets: list.map((secret) => readSecret(secret)),
      total: typeof total === 'number' ? total : list.length,
    }
  })
}

/** How many containers a page has, and there are, and the ids of the secrets in them. */
export function containersIn(answer: unknown): {
  count: number
  total: number
  secrets: string[]
} {
  return understood('barbican', 'a list of containers', () => {
    const { containers, total } = record(answer, 'answer')
    const list: unknown[] = Array.isArray(containers) ? containers : []
    const all = typeof total === 'number' ? total : list.length
    return {
      count: list.length,
      total: all,
      secrets: list.flatMap((container) => secretsOf(container)),
    }
  })
}

function secretsOf(container: unknown): string[] {
  const refs = record(container, 'container')['secret_refs']
  const list: unknown[] = Array.isArray(refs) ? refs : []
  return list.map((ref) => idIn(record(ref, 'secret')['secret_ref']))
}

export function metadataIn(answer: unknown): Record<string, string> {
  return understood('barbican', 'metadata', () => {
    const entries = Object.entries(record(record(answer, 'answer')['metadata'], 'metadata'))
    return Object.fromEntries(entries.map(([key, value]) => [key, text(value, key)]))
  })
}

export function aclIn(answer: unknown): SecretAcl {
  return understood('barbican', 'an access list', () => {
    const read = record(record(answer, 'answer')['read'], 'read')
    const users: unknown[] = Array.isArray(read['users']) ? read['users'] : []
    return {
      users: users.map((user) => text(user, 'user')),
      projectAccess: read['project-access'] !== false,
    }
  })
}
