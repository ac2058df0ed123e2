import { isUuid } from './check.js'
import { VolsealError } from './errors.js'
import { readTime } from './time-text.js'

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

/**
 * A time such as Glance's `2026-08-22T10:00:00Z`; without an offset it is UTC, as Glance means it.
 *
 * @throws {VolsealError} `usage`
 */
export function instant(text: string, name: string): Date {
  const time = readTime(text, 'Z')
  if (time !== undefined) return time
  const shown = JSON.stringify(text.slice(0, 80))
  throw new VolsealError(
    'usage',
    `${name}: expected a time such as 2026-08-22T10:00:00Z, got ${shown}`,
  )
}
