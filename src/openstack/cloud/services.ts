import type { Interface, ServiceSettings } from './cloud.js'
import { type Settings, textOf, wrong } from './settings.js'

/** What a cloud's configuration says of where its services are. */

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
