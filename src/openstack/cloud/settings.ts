import { VolsealError } from '../../core/errors.js'
import { Secret } from '../../core/secret.js'
import type { YamlNode } from '../../core/yaml.js'

/** A value of the configuration, and where it stands. */
export interface Setting {
  readonly node: YamlNode
  /** `clouds.yaml:7:5` or `OS_PASSWORD`. */
  readonly from: string
  /** The file alone, or the variable. */
  readonly path: string
}

/** What is said of a cloud, by lower-case names with `_`. */
export type Settings = ReadonlyMap<string, Setting>

/** Begins the names of what stands under `auth`, until all sources are put together. */
export const IN_AUTH = 'auth.'

/** The first of several sources that says something counts, for each name by itself. */
export function merged(layers: readonly (Settings | undefined)[]): Settings {
  return new Map(layers.toReversed().flatMap((layer) => [...(layer ?? [])]))
}

/** Which openstacksdk takes from `auth`, and the openstack command from beside it (osc_lib `_validate_auth`). */
const DISPUTED: ReadonlySet<string> = new Set([
  'auth_url',
  'username',
  'user_name',
  'user_id',
  'password',
  'system_scope',
  'default_domain_id',
  'default_domain_name',
  'application_credential_id',
  'application_credential_name',
  'application_credential_secret',
])

/**
 * What stands under `auth` and beside it as one; `auth` wins, once all sources are put together.
 *
 * @throws {VolsealError} `usage` where one client would log in as one, and another as somebody else
 */
export function withoutAuth(settings: Settings): Settings {
  const beside = [...settings].filter(([name]) => !name.startsWith(IN_AUTH))
  const inAuth = [...settings]
    .filter(([name]) => name.startsWith(IN_AUTH))
    .map(([name, setting]): [string, Setting] => [name.slice(IN_AUTH.length), setting])
    .filter(([name, { node }]) => !(DISPUTED.has(name) && isEmpty(node)))
  for (const [name, setting] of inAuth) requireOneMeaning(name, setting, settings.get(name))
  return new Map([...beside, ...inAuth])
}

function isEmpty(node: YamlNode): boolean {
  return node.kind === 'nothing' || (node.kind === 'text' && node.value === '')
}

function requireOneMeaning(name: string, inAuth: Setting, beside: Setting | undefined): void {
  if (beside === undefined || isEmpty(beside.node) || isSame(inAuth.node, beside.node)) return
  if (!DISPUTED.has(name)) return
  throw new VolsealError(
    'usage',
    `${inAuth.from}: ${name}: stands in auth, and beside it with another value (${beside.from}): openstacksdk takes the first, the openstack command the other`,
    { hint: 'leave one of them out' },
  )
}

function isSame(one: YamlNode, other: YamlNode): boolean {
  return 'value' in one && 'value' in other && one.value === other.value
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
