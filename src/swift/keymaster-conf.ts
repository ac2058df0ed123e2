import { isUuid } from '../core/check.js'
import { VolsealError } from '../core/errors.js'
import type { ConfigCheck } from './config-check.js'
import type { ConfigSection, ServiceConfig } from './service-config.js'

/** `[kms_keymaster]`, as kms_keymaster.py reads it. */
export interface KeymasterConf {
  readonly file: string
  /** Ids of the root secrets in Barbican, by the suffix of `key_id_SUFFIX`; '' is `key_id`. */
  readonly keyIds: ReadonlyMap<string, string>
  /** The suffix of the one that new objects are encrypted under. */
  readonly active: string
  /** All options under their own names, the password among them. */
  readonly options: ConfigSection
}

const SECTION = 'kms_keymaster'
const KEY_ID = 'key_id'

/** @throws {VolsealError} `usage` naming what is missing */
export function readKeymasterConf({ file, sections }: ServiceConfig): KeymasterConf {
  const section = sections.get(SECTION)
  if (section === undefined) throw wrong(file, `expected a section [${SECTION}]`)
  const keyIds = keyIdsIn(section, file)
  const active = section.get('active_root_secret_id') ?? ''
  if (!keyIds.has(active)) {
    const missing = active === '' ? KEY_ID : `${KEY_ID}_${active}`
    throw wrong(file, `expected ${missing}, the root secret that new objects are encrypted under`)
  }
  for (const name of ['auth_endpoint', 'password']) {
    if (!section.get(name)) throw wrong(file, `expected ${name} in [${SECTION}]`)
  }
  if (section.get('trust_id')) throw wrong(file, 'trust_id is not known here')
  return { file, keyIds, active, options: section }
}

/** keymaster.py _load_multikey_opts: `key_id` and `key_id_SUFFIX`. */
function keyIdsIn(section: ConfigSection, file: string): Map<string, string> {
  const ids = new Map<string, string>()
  for (const [name, value] of section) {
    if (!name.startsWith(KEY_ID)) continue
    if (!/^key_id(?:_.+)?$/.test(name)) {
      throw wrong(file, `${name}: expected ${KEY_ID} or ${KEY_ID}_SUFFIX`)
    }
    // castellan takes what stands behind the last slash.
    const id = value.split('/').at(-1) ?? ''
    if (!isUuid(id)) throw wrong(file, `${name}: expected a secret's id, a UUID of version 4`)
    ids.set(name.slice(KEY_ID.length + 1), id)
  }
  return ids
}

function wrong(file: string, what: string): VolsealError {
  return new VolsealError('usage', `${file}: ${what}`, {
    hint: 'swift rootkey create prints the lines of the section',
  })
}

const NO_REGION =
  "# Swift takes no region: without this line it asks the catalog's first public Barbican"

/**
 * The section without the password, which stands nowhere else either. `identity` names the user and
 * the project: `username`, `user_domain_name`, `project_name` … `barbicanEndpoint` is for where Swift
 * would not find the right Barbican by itself.
 */
export function keymasterLines(
  keyId: string,
  identity: readonly (readonly [option: string, value: string])[],
  authEndpoint: string,
  barbicanEndpoint: string | undefined,
): string[] {
  return [
    `[${SECTION}]`,
    `${KEY_ID} = ${keyId}`,
    ...identity.map(([option, value]) => `${option} = ${value}`),
    `auth_endpoint = ${authEndpoint}`,
    'api_class = barbican',
    ...(barbicanEndpoint === undefined
      ? []
      : [NO_REGION, `barbican_endpoint = ${barbicanEndpoint}`]),
    "# password = the user's; this file is for root and swift alone (mode 0640)",
  ]
}

/** Where the cloud's catalog has Barbican. */
export interface BarbicanPlaces {
  readonly first: { readonly region: string } | null
  readonly regions: readonly string[]
}

/** kms_keymaster has no option for castellan's `barbican_region_name`. */
export function checkEndpoint(
  endpoint: string | undefined,
  { first, regions }: BarbicanPlaces,
): ConfigCheck {
  const isOpen = !endpoint && regions.length > 1
  const where = `none; Barbican is in ${regions.join(', ')}, and Swift asks ${first?.region ?? 'none'}`
  return {
    name: 'barbican-endpoint',
    result: isOpen ? 'fail' : 'pass',
    expected: 'barbican_endpoint in the file, since Swift takes no region',
    found: endpoint || (isOpen ? where : 'none; there is one region'),
    source: 'kms_keymaster.py keymaster_opts; castellan barbican_key_manager.py',
  }
}
