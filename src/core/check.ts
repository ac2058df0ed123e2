import { VolsealError } from './errors.js'

/**
 * Guards for values that come from outside (JSON, options): each returns the value with its type,
 * or throws `usage` with the value's name, what was expected and what came.
 */

const UUID_V4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'an array' : `a ${typeof value}`
}

function refuse(name: string, expected: string, value: unknown): never {
  const shown = typeof value === 'string' ? JSON.stringify(value.slice(0, 80)) : kindOf(value)
  throw new VolsealError('usage', `${name}: expected ${expected}, got ${shown}`)
}

/** A plain object with string keys. */
export function record(value: unknown, name: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return refuse(name, 'an object', value)
  }
  return { ...value }
}

export function text(value: unknown, name: string): string {
  return typeof value === 'string' ? value : refuse(name, 'a string', value)
}

/** A whole number within [least, most]; a decimal string is taken as well. */
export function count(value: unknown, name: string, least: number, most: number): number {
  const number = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value
  const fits = typeof number === 'number' && Number.isSafeInteger(number)
  if (fits && number >= least && number <= most) return number
  return refuse(name, `a whole number from ${least} to ${most}`, String(value))
}

/** One of the given words. */
export function oneOf<T extends string>(value: unknown, name: string, words: readonly T[]): T {
  const found = words.find((word) => word === value)
  return found ?? refuse(name, `one of ${words.join(', ')}`, value)
}

/** Whether the text is a canonical (lower-case) version-4 UUID, the only id that Barbican takes. */
export function isUuid(value: string): boolean {
  return UUID_V4.test(value)
}

/** JSON text as a value; `name` says whose text it is. */
export function json(source: string, name: string): unknown {
  try {
    return JSON.parse(source)
  } catch (error) {
    throw new VolsealError('usage', `${name}: expected JSON`, { cause: error })
  }
}
