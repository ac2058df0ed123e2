import { VolsealError } from '../../core/errors.js'
import { Secret } from '../../core/secret.js'
import type { YamlNode } from '../../core/yaml.js'

/** A value of the configuration, and where it stands. */
export interface Setting {
  readonly node: YamlNode
  /** `clouds.yaml:7:5` or `OS_PASSWORD`. */
  readonly from: string
}

/** What is said of a cloud, by lower-case names with `_`; those under `auth` are among them. */
export type Settings = ReadonlyMap<string, Setting>

/** The first of several sources that says something counts, for each name by itself. */
export function merged(layers: readonly Settings[]): Settings {
  return new Map(layers.toReversed().flatMap((layer) => [...layer]))
}

/** A text, of the first name that has one. @throws {VolsealError} `usage` when it is no text */
export function textOf(settings: Settings, ...names: readonly string[]): string | undefined {
  for (const name of names) {
    const setting = settings.get(name)
    if (setting === undefined || setting.node.kind === 'nothing') continue
    if (setting.node.kind === 'text')
      return setting.node.value === '' ? undefined : setting.node.value
    const quotes = setting.node.kind === 'number' || setting.node.kind === 'boolean'
    throw wrong(setting, name, 'a text', quotes ? 'put it in quotes' : undefined)
  }
  return undefined
}

export function secretOf(settings: Settings, ...names: readonly string[]): Secret | undefined {
  const value = textOf(settings, ...names)
  return value === undefined ? undefined : new Secret(Buffer.from(value))
}

const TRUTHS: Readonly<Record<string, boolean>> = {
  true: true,
  yes: true,
  on: true,
  1: true,
  false: false,
  no: false,
  off: false,
  0: false,
}

/** A truth value, as YAML 1.1 and Python's clients write them. */
export function truthOf(settings: Settings, name: string): boolean | undefined {
  const setting = settings.get(name)
  const { node } = setting ?? {}
  if (setting === undefined || node === undefined || node.kind === 'nothing') return undefined
  const isPlain = node.kind === 'text' || node.kind === 'boolean' || node.kind === 'number'
  const truth = isPlain ? TRUTHS[String(node.value).toLowerCase()] : undefined
  if (truth === undefined) throw wrong(setting, name, 'true or false')
  return truth
}

/** The value itself is not shown: it may be a password in the wrong place. */
export function wrong(
  setting: Setting,
  name: string,
  expected: string,
  hint?: string,
): VolsealError {
  const got = setting.node.kind === 'text' ? 'something else' : KINDS[setting.node.kind]
  return new VolsealError('usage', `${setting.from}: ${name}: expected ${expected}, got ${got}`, {
    hint,
  })
}

const KINDS: Readonly<Record<YamlNode['kind'], string>> = {
  text: 'a text',
  number: 'a number',
  boolean: 'a truth value',
  nothing: 'nothing',
  list: 'a list',
  map: 'keys with values',
}
