import { isUuid } from './check.js'
import { VolsealError } from './errors.js'

/** What Glance knows of an image besides its signature. */
export interface ImageFacts {
  /** Its id in Glance. */
  readonly id?: string | undefined
  readonly name?: string | undefined
  /** Id of the project that owns it. */
  readonly owner?: string | undefined
  readonly createdAt?: Date | undefined
}

/**
 * Takes them out of what `openstack image show -f json` prints, or of a Glance image; an object
 * without them, such as our own `IMAGE.signature.json`, is as good.
 *
 * @throws {VolsealError} `usage` for a fact of the wrong type
 */
export function pickFacts(source: Record<string, unknown>): ImageFacts {
  const createdAt = textOf(source, 'created_at')
  const { id } = source
  return {
    id: typeof id === 'string' && isUuid(id) ? id : undefined,
    name: textOf(source, 'name'),
    owner: textOf(source, 'owner'),
    createdAt: createdAt === undefined ? undefined : instant(createdAt, 'created_at'),
  }
}

function textOf(source: Record<string, unknown>, name: string): string | undefined {
  const value = source[name]
  if (value === undefined || value === null) return undefined
  if (typeof value === 'string') return value
  throw new VolsealError('usage', `${name}: expected a string, got a ${typeof value}`)
}

/** Glance's `2026-08-22T10:00:00Z`, or a date alone; without an offset it is UTC, as Glance means it. */
const INSTANT = /^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(Z|[+-]\d\d:\d\d)?)?$/

/** A time of ISO 8601. @throws {VolsealError} `usage` */
export function instant(text: string, name: string): Date {
  const match = INSTANT.exec(text)
  const offset = text.length > 10 && match?.[1] === undefined ? 'Z' : ''
  const date = new Date(match === null ? Number.NaN : `${text.replace(' ', 'T')}${offset}`)
  if (!Number.isNaN(date.getTime())) return date
  const shown = JSON.stringify(text.slice(0, 80))
  throw new VolsealError(
    'usage',
    `${name}: expected a time such as 2026-08-22T10:00:00Z, got ${shown}`,
  )
}
