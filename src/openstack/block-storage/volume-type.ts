import { record, text } from '../../core/check.js'
import { serviceError } from '../http/service-error.js'
import type { Explain } from '../session.js'

/** A volume type as cinder describes it. */
export interface VolumeType {
  readonly id: string
  readonly name: string
  readonly description: string | null
  readonly isPublic: boolean
  readonly extraSpecs: Readonly<Record<string, string>>
}

/** What volumes of a type are encrypted with; null for a type that does not encrypt. */
export interface EncryptionSpec {
  readonly provider: string | null
  readonly cipher: string | null
  /** Bits. */
  readonly keySize: number | null
  readonly controlLocation: string | null
}

export function readType(type: Record<string, unknown>): VolumeType {
  return {
    id: text(type['id'], 'id'),
    name: text(type['name'], 'name'),
    description: optional(type['description']),
    isPublic: type['is_public'] !== false,
    extraSpecs: texts(type['extra_specs'] ?? {}),
  }
}

export function readSpec(answer: Record<string, unknown>): EncryptionSpec {
  const keySize = answer['key_size']
  return {
    provider: optional(answer['provider']),
    cipher: optional(answer['cipher']),
    keySize: typeof keySize === 'number' ? keySize : null,
    controlLocation: optional(answer['control_location']),
  }
}

/** `{volume_type_access: [{project_id}]}`. */
export function readAccess(answer: Record<string, unknown>): string[] {
  return listOf(answer['volume_type_access']).map((entry) =>
    text(record(entry, 'access')['project_id'], 'project_id'),
  )
}

/** Says who may see it (cinder/policies/volume_type.py). */
export function forAdministrators(attempt: string): Explain {
  return (refusal, { identity: { user, roles } }) => {
    if (refusal.status !== 403) return undefined
    const who = `${user.name}, with the roles ${roles.join(', ')}`
    return serviceError(refusal, `cinder did not ${attempt} for ${who}`, {
      hint: 'cinder shows it to administrators only: name the cloud of one (--os-cloud)',
    })
  }
}

export function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : []
}

export function texts(value: unknown): Record<string, string> {
  const entries = Object.entries(record(value, 'metadata'))
  return Object.fromEntries(entries.map(([key, item]) => [key, String(item)]))
}

export function optional(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}
