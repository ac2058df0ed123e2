import type { Interface, ServiceSettings } from './cloud.js'
import { type Settings, textOf, wrong } from './settings.js'

/** What a cloud's configuration says of where its services are. */

/** Region names are one text, or a list of texts or of `{name: …}`. */
export function regionOf(settings: Settings): string | undefined {
  const name = textOf(settings, 'region_name')
  if (name !== undefined) return name
  const regions = settings.get('regions')
  if (regions?.node.kind !== 'list') return undefined
  const [first] = regions.node.items
  if (first?.kind === 'text') return first.value
  const entry = first?.kind === 'map' ? first.entries.find(({ key }) => key === 'name') : undefined
  if (entry?.value.kind === 'text') return entry.value.value
  throw wrong(regions, 'regions', 'names')
}

const INTERFACES: Readonly<Record<string, Interface>> = {
  public: 'public',
  publicurl: 'public',
  internal: 'internal',
  internalurl: 'internal',
  admin: 'admin',
  adminurl: 'admin',
}

export function interfaceOf(
  settings: Settings,
  ...names: readonly string[]
): Interface | undefined {
  const name = names.find((candidate) => textOf(settings, candidate) !== undefined)
  const setting = name === undefined ? undefined : settings.get(name)
  if (name === undefined || setting === undefined) return undefined
  const found = INTERFACES[textOf(settings, name)?.toLowerCase() ?? '']
  if (found === undefined) throw wrong(setting, name, 'public, internal or admin')
  return found
}

const SUFFIX = /^(.+?)_(endpoint_override|endpoint|interface|endpoint_type)$/

/** `key_manager_endpoint_override`, `image_interface` and the like, by the service's type. */
export function servicesOf(settings: Settings): Record<string, ServiceSettings> {
  const names = [...settings.keys()].flatMap((name) => SUFFIX.exec(name)?.[1] ?? [])
  return Object.fromEntries(
    [...new Set(names)].map((name) => [
      name.replaceAll('_', '-'),
      {
        endpoint: textOf(settings, `${name}_endpoint_override`, `${name}_endpoint`),
        interface: interfaceOf(settings, `${name}_interface`, `${name}_endpoint_type`),
      },
    ]),
  )
}
