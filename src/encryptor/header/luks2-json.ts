import { json, record, text } from '../../core/check.js'
import { VolsealError } from '../../core/errors.js'

/**
 * JSON that others may have written, read so that no two readers can differ about it. cryptsetup
 * reads it with json-c, which ends a key at a NUL character and takes the last of equal keys, and
 * accepts comments and single quotes: what is read differently there and here is refused.
 */

/** As deep as json-c reads (JSON_TOKENER_DEFAULT_DEPTH). */
const DEEPEST = 32
const TEXT = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * The object that a zero-padded JSON area holds.
 *
 * @throws {VolsealError} `usage` or `header-damaged`, saying what is wrong with it
 */
export function parseJsonArea(area: Buffer): Record<string, unknown> {
  const end = area.indexOf(0)
  if (end === -1) throw damaged('the JSON fills its area without a zero byte at its end')
  const rest = area.subarray(end)
  if (!rest.equals(Buffer.alloc(rest.length))) throw damaged('data follows the JSON')
  const source = decode(area.subarray(0, end))
  if (!source.startsWith('{')) throw damaged('the JSON does not begin with {')
  requirePlainSyntax(source)
  return record(json(source, 'metadata'), 'metadata')
}

function decode(bytes: Buffer): string {
  try {
    return TEXT.decode(bytes)
  } catch (error) {
    throw new VolsealError('header-damaged', 'the JSON is not UTF-8', { cause: error })
  }
}

/** No NUL in a string, no key twice in an object, not too deep; all else is JSON.parse's to judge. */
function requirePlainSyntax(source: string): void {
  const open: Set<string>[] = []
  let at = 0
  while (at < source.length) {
    const character = source[at]
    if (character === '"') {
      const end = endOfString(source, at)
      requireNewKey(source, at, end, open.at(-1))
      at = end
      continue
    }
    if (character === '{' || character === '[') open.push(new Set())
    if (character === '}' || character === ']') open.pop()
    if (open.length > DEEPEST) throw damaged(`the JSON is nested deeper than ${DEEPEST} levels`)
    at += 1
  }
}

/** The place behind the closing quote of the string that begins there. */
function endOfString(source: string, start: number): number {
  for (let at = start + 1; at < source.length; at += 1) {
    if (source[at] === '"') return at + 1
    if (source[at] !== '\\') continue
    at += 1
    if (source.startsWith('u0000', at)) throw damaged('the JSON has a NUL character in a string')
  }
  throw damaged('the JSON ends within a string')
}

const BEHIND_KEY = /[ \t\r\n]*:/y

function requireNewKey(
  source: string,
  start: number,
  end: number,
  keys: Set<string> | undefined,
): void {
  BEHIND_KEY.lastIndex = end
  if (keys === undefined || !BEHIND_KEY.test(source)) return
  const key = text(json(source.slice(start, end), 'a key'), 'a key')
  if (keys.has(key)) throw damaged(`the JSON has the key ${JSON.stringify(key.slice(0, 40))} twice`)
  keys.add(key)
}

function damaged(what: string): VolsealError {
  return new VolsealError('header-damaged', what)
}

/** A number of 64 bits, which LUKS2 writes as a decimal string. */
export function decimal(value: unknown, name: string): number {
  const number = typeof value === 'string' && /^(?:0|[1-9]\d*)$/.test(value) ? Number(value) : NaN
  if (Number.isSafeInteger(number)) return number
  throw damaged(`${name}: expected a whole number as a string, got ${shown(value)}`)
}

/** A number of 32 bits, which LUKS2 writes as one. */
export function integer(value: unknown, name: string): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** 32) {
    return value
  }
  throw damaged(`${name}: expected a whole number of 32 bits, got ${shown(value)}`)
}

/** An array of strings; none when it is left out. */
export function strings(value: unknown, name: string): readonly string[] {
  if (value === undefined) return []
  if (!Array.isArray(value)) throw damaged(`${name}: expected an array, got ${shown(value)}`)
  return value.map((item) => text(item, name))
}

/** An object of objects by number (`{"0": …}`), at most so many. */
export function numbered<T>(
  value: unknown,
  name: string,
  most: number,
  parse: (content: Record<string, unknown>, number: number, name: string) => T,
): readonly T[] {
  const entries = Object.entries(record(value, `${name}s`))
  if (entries.length > most) throw damaged(`${entries.length} ${name}s, where ${most} are allowed`)
  return entries.map(([key, content]) => {
    const number = decimal(key, `the number of a ${name}`)
    return parse(record(content, `${name} ${key}`), number, `${name} ${key}`)
  })
}

/** Numbers of things that must be there. */
export function references(
  value: unknown,
  name: string,
  there: readonly { readonly number: number }[],
): readonly number[] {
  if (!Array.isArray(value)) throw damaged(`${name}: expected an array, got ${shown(value)}`)
  const numbers = value.map((item) => decimal(item, name))
  const missing = numbers.find((number) => !there.some((one) => one.number === number))
  if (missing !== undefined) throw damaged(`${name}: there is none of the number ${missing}`)
  return numbers
}

function shown(value: unknown): string {
  return JSON.stringify(value)?.slice(0, 60) ?? 'nothing'
}
