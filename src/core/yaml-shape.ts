import type { Problem, YamlEntry, YamlNode } from './yaml.js'

/**
 * What a tree of YAML must look like. Each function returns the value with its type, or notes what was
 * expected and what came at that place, and returns undefined: all problems of a file are found at once.
 */
export interface Shape<T> {
  (node: YamlNode, path: string, problems: Problem[]): T | undefined
}

export function note(node: YamlNode, problems: Problem[], message: string): undefined {
  problems.push({ ...node.place, message })
}

const KINDS: Readonly<Record<YamlNode['kind'], string>> = {
  text: 'a text',
  number: 'a number',
  boolean: 'a truth value',
  nothing: 'nothing',
  list: 'a list',
  map: 'keys with values',
}

function refuse(node: YamlNode, path: string, problems: Problem[], expected: string): undefined {
  const shown = node.kind === 'text' ? JSON.stringify(node.value.slice(0, 80)) : KINDS[node.kind]
  const quote = node.kind === 'number' || node.kind === 'boolean'
  const hint = quote && expected.startsWith('a text') ? ' (put it in quotes)' : ''
  const where = path === '' ? '' : `${path}: `
  return note(node, problems, `${where}expected ${expected}, got ${shown}${hint}`)
}

/** A text that matches; `expected` says it in words, and begins with `a text`. */
export function text(expected: string, pattern: RegExp): Shape<string> {
  return (node, path, problems) => {
    if (node.kind === 'text' && pattern.test(node.value)) return node.value
    return refuse(node, path, problems, expected)
  }
}

/** One of the words, exactly. */
export function word<T extends string>(words: readonly T[]): Shape<T> {
  return (node, path, problems) => {
    const found = words.find((candidate) => node.kind === 'text' && candidate === node.value)
    return found ?? refuse(node, path, problems, `one of ${words.join(', ')}`)
  }
}

/** A whole number within [least, most]. */
export function wholeNumber(least: number, most: number): Shape<number> {
  return (node, path, problems) => {
    const fits = node.kind === 'number' && Number.isInteger(node.value)
    if (fits && node.value >= least && node.value <= most) return node.value
    const range = least === most ? `the number ${least}` : `a whole number from ${least} to ${most}`
    return refuse(node, path, problems, range)
  }
}

/** A list that is not empty. */
export function list<T>(shape: Shape<T>): Shape<T[]> {
  return (node, path, problems) => {
    if (node.kind !== 'list' || node.items.length === 0) {
      return refuse(node, path, problems, 'a list that is not empty')
    }
    return node.items.flatMap((item, index) => shape(item, `${path}[${index}]`, problems) ?? [])
  }
}

/** A map with any of some keys, whose values are all alike; not empty. */
export function table<K extends string, T>(
  keys: readonly K[],
  shape: Shape<T>,
): Shape<ReadonlyMap<K, T>> {
  return (node, path, problems) => {
    if (node.kind !== 'map' || node.entries.length === 0) {
      return refuse(node, path, problems, `keys with values, out of ${keys.join(', ')}`)
    }
    const found = node.entries.flatMap((entry): [K, T][] => {
      const key = keys.find((candidate) => candidate === entry.key)
      if (key === undefined) return unknownKey(entry, path, keys, problems)
      const value = shape(entry.value, `${path}.${key}`, problems)
      return value === undefined ? [] : [[key, value]]
    })
    return new Map(found)
  }
}

type Values<Shapes> = {
  [Key in keyof Shapes]: Shapes[Key] extends Shape<infer T> ? T | undefined : never
}

/** A map with these keys and no others; a required one that is missing is a problem. */
export function record<Shapes extends Record<string, Shape<unknown>>>(
  shapes: Shapes,
  required: readonly (keyof Shapes & string)[],
): Shape<Values<Shapes>> {
  const keys = Object.keys(shapes)
  return (node, path, problems) => {
    if (node.kind !== 'map') return refuse(node, path, problems, `keys out of ${keys.join(', ')}`)
    const where = path === '' ? '' : `${path}.`
    const values: Record<string, unknown> = {}
    for (const entry of node.entries) {
      const shape = Object.hasOwn(shapes, entry.key) ? shapes[entry.key] : undefined
      if (shape === undefined) unknownKey(entry, path, keys, problems)
      else values[entry.key] = shape(entry.value, `${where}${entry.key}`, problems)
    }
    const missing = required.filter((key) => node.entries.every((entry) => entry.key !== key))
    for (const key of missing) note(node, problems, `${where}${key}: is missing`)
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- filled from the shapes just above
    return values as Values<Shapes>
  }
}

function unknownKey(
  { key, place }: YamlEntry,
  path: string,
  keys: readonly string[],
  problems: Problem[],
): [] {
  const where = path === '' ? '' : `${path}: `
  const shown = JSON.stringify(key.slice(0, 80))
  problems.push({
    ...place,
    message: `${where}expected one of the keys ${keys.join(', ')}, got ${shown}`,
  })
  return []
}
