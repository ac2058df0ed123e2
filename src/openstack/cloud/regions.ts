import { VolsealError } from '../../core/errors.js'
import type { YamlNode } from '../../core/yaml.js'
import { settingsIn } from './cloud-files.js'
import { IN_AUTH, type Setting, type Settings, textOf, wrong } from './settings.js'

/** One of a cloud's regions, and what the file says of that one alone. */
export interface Region {
  readonly name: string
  readonly values: Settings
}

/**
 * The region that openstacksdk takes (loader.py `_get_region`): the one that OS_REGION_NAME names, or
 * the first. What the cloud says counts, before what its profile says.
 *
 * @throws {VolsealError} `usage` for one that is not there, and where clients would take different ones
 */
export function chooseRegion(
  own: Settings,
  profile: Settings | undefined,
  variable: string | undefined,
): Region | undefined {
  const regions = regionsIn(own) ?? (profile === undefined ? undefined : regionsIn(profile))
  const [first] = regions ?? []
  if (regions === undefined || first === undefined) return undefined
  if (variable === undefined || regions.length === 1) return agreed(first, own)
  const found = regions.find(({ name }) => name === variable)
  if (found !== undefined) return found
  const names = regions.map(({ name }) => name).join(', ')
  throw new VolsealError('usage', `OS_REGION_NAME: expected one of ${names}, got ${variable}`)
}

/** Beside `regions`, the SDK does not look at `region_name`; whoever wrote it meant it. */
function agreed(first: Region, own: Settings): Region {
  const setting = own.get('region_name')
  const isListed = own.has('regions') && textOf(own, 'region_name') !== undefined
  if (setting === undefined || !isListed || textOf(own, 'region_name') === first.name) return first
  throw new VolsealError(
    'usage',
    `${setting.from}: region_name: expected ${first.name}, the first of regions, which the clients take whatever stands here`,
    { hint: 'OS_REGION_NAME chooses another one' },
  )
}

/** `regions`, or the names in `region_name`; undefined when there are neither. */
function regionsIn(settings: Settings): Region[] | undefined {
  const listed = settings.get('regions')
  const isThere = listed !== undefined && listed.node.kind !== 'nothing'
  if (isThere) return itemsOf(listed, 'regions').map((item) => regionIn(item, listed))
  const named = settings.get('region_name')
  const names =
    named?.node.kind === 'list' ? textsOf(named) : textOf(settings, 'region_name')?.split(',')
  return names?.map((name) => ({ name, values: new Map() }))
}

function itemsOf(setting: Setting, name: string): readonly YamlNode[] {
  if (setting.node.kind === 'list') return setting.node.items
  throw wrong(setting, name, 'a list')
}

function textsOf(setting: Setting): string[] {
  return itemsOf(setting, 'region_name').map((item) => {
    if (item.kind === 'text') return item.value
    throw wrong(setting, 'region_name', 'names')
  })
}

/** A name, or `{name: …, values: {…}}`. */
function regionIn(item: YamlNode, setting: Setting): Region {
  if (item.kind === 'text') return { name: item.value, values: new Map() }
  const entries = item.kind === 'map' ? item.entries : []
  const partOf = (part: string): YamlNode | undefined =>
    entries.find(({ key }) => key === part)?.value
  const name = partOf('name')
  const isKnown = entries.every(({ key }) => key === 'name' || key === 'values')
  if (name?.kind !== 'text' || !isKnown) throw wrong(setting, 'regions', 'names, or {name, values}')
  return { name: name.value, values: valuesIn(partOf('values'), setting.path, name.value) }
}

/** Without those that are nothing, but for the ones in `auth` (loader.py `get_one`). */
function valuesIn(node: YamlNode | undefined, path: string, region: string): Settings {
  if (node === undefined) return new Map()
  const said = [...settingsIn(node, path, `${region}.values`)]
  return new Map(
    said.filter(([name, setting]) => setting.node.kind !== 'nothing' || name.startsWith(IN_AUTH)),
  )
}
