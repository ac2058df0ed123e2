import { VolsealError } from '../../core/errors.js'
import type { Cloud } from '../cloud/cloud.js'
import type { CatalogEndpoint, Token } from './token.js'

/** The cloud does not have such a service at all. */
export class ServiceMissing extends VolsealError {
  constructor(message: string, options: { readonly hint: string }) {
    super('unavailable', message, options)
  }
}

/** The services that are asked, and what catalogs call them (service-types-authority). */
export type ServiceKind = 'key-manager' | 'image' | 'block-storage' | 'object-store'

interface ServiceRow {
  /** What people call it. */
  readonly name: string
  /** Types in the catalog, the best first. */
  readonly types: readonly string[]
  /** The version of the API, which many catalogs leave out; null where the whole path is the catalog's. */
  readonly version: string | null
  /** Whether the project's id follows the version. */
  readonly ofProject: boolean
}

export const SERVICES: Readonly<Record<ServiceKind, ServiceRow>> = {
  'key-manager': { name: 'barbican', types: ['key-manager'], version: 'v1', ofProject: false },
  image: { name: 'glance', types: ['image'], version: 'v2', ofProject: false },
  'block-storage': {
    name: 'cinder',
    types: ['block-storage', 'volumev3', 'block-store', 'volume'],
    version: 'v3',
    ofProject: true,
  },
  // It ends with the account, which each cluster calls as it likes (reseller_prefix).
  'object-store': { name: 'swift', types: ['object-store'], version: null, ofProject: false },
}

/** Where a service's API begins: the override of the cloud's configuration, or the catalog's. */
export function findEndpoint(cloud: Cloud, token: Token, kind: ServiceKind): URL {
  const override = overrideOf(cloud, kind)
  const url = override ?? catalogUrl(cloud, token, kind)
  const { name } = SERVICES[kind]
  return withVersion(serviceUrl(url, `the address of ${name}`), token, kind)
}

/** Where a service is asked, and where else the catalog has it. Addresses are without the API's version. */
export interface ServicePlaces {
  readonly used: string
  /** What programs ask that take neither a region nor an interface: the catalog's first public one. */
  readonly first: { readonly address: string; readonly region: string } | null
  /** Those with the service, each once, in the order of the catalog. */
  readonly regions: readonly string[]
}

export function servicePlaces(cloud: Cloud, token: Token, kind: ServiceKind): ServicePlaces {
  const { types, name } = SERVICES[kind]
  const address = (url: string): string => {
    const { origin, pathname } = serviceUrl(url, `the address of ${name}`)
    return `${origin}${withoutVersion(pathname)}`
  }
  const all = token.catalog.filter(({ type }) => types.includes(type))
  const first = all.find((endpoint) => endpoint.interface === 'public')
  return {
    used: address(overrideOf(cloud, kind) ?? catalogUrl(cloud, token, kind)),
    first: first === undefined ? null : { address: address(first.url), region: first.region },
    regions: [...new Set(all.map(({ region }) => region))],
  }
}

function overrideOf({ services }: Cloud, kind: ServiceKind): string | undefined {
  const names = [kind, ...SERVICES[kind].types]
  return names.map((name) => services[name]?.endpoint).find((found) => found !== undefined)
}

function catalogUrl(cloud: Cloud, token: Token, kind: ServiceKind): string {
  const { types, name } = SERVICES[kind]
  const wanted = interfaceOf(cloud, kind)
  const ofType = types.map((type) => token.catalog.filter((endpoint) => endpoint.type === type))
  const all = ofType.flat()
  if (all.length === 0) {
    const known = [...new Set(token.catalog.map(({ type }) => type))].toSorted().join(', ')
    throw new ServiceMissing(
      `${cloud.name} has no ${name}: no service of type ${kind} in its catalog, which has ${known === '' ? 'none' : known}`,
      { hint: 'is the project set? an endpoint override in clouds.yaml names an address by hand' },
    )
  }
  const found = all.find(
    ({ interface: kindOf, region }) =>
      kindOf === wanted && (cloud.region === undefined || cloud.region === region),
  )
  if (found !== undefined) return found.url
  throw elsewhere(cloud, name, wanted, all)
}

function interfaceOf({ services, interface: general }: Cloud, kind: ServiceKind): string {
  const names = [kind, ...SERVICES[kind].types]
  return names.map((name) => services[name]?.interface).find(Boolean) ?? general
}

function elsewhere(
  { name: cloud, region }: Cloud,
  service: string,
  wanted: string,
  all: readonly CatalogEndpoint[],
): VolsealError {
  const where = region === undefined ? '' : ` in the region ${region}`
  const there = all.map((endpoint) => `${endpoint.interface} in ${endpoint.region}`).join(', ')
  return new VolsealError(
    'unavailable',
    `${cloud}: expected ${service} at the ${wanted} interface${where}, the catalog has it at ${there}`,
    { hint: 'set region_name and interface in clouds.yaml, or OS_REGION_NAME and OS_INTERFACE' },
  )
}

/** An address of http or https, without user and password. @throws {VolsealError} `usage` */
export function serviceUrl(text: string, what: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isPlain = url !== undefined && url.username === '' && url.password === ''
  const fits = isPlain && /^https?:$/.test(url.protocol)
  if (fits && url.search === '' && url.hash === '') return url
  throw new VolsealError(
    'usage',
    `${what}: expected an address of http or https, got ${isPlain ? JSON.stringify(text.slice(0, 80)) : 'something else, or a user or password in it'}`,
  )
}

/** `http://host/image`, `http://host/image/` and `http://host/image/v2` are the same. */
function withVersion(url: URL, { identity }: Token, kind: ServiceKind): URL {
  const { version, ofProject, name } = SERVICES[kind]
  if (version === null) return url
  const base = withoutVersion(url.pathname)
  const { project } = identity
  if (ofProject && project === null) {
    throw new VolsealError('usage', `${name}: expected a token for a project, got one without`, {
      hint: 'name the project: project_name in clouds.yaml, or OS_PROJECT_NAME',
    })
  }
  url.pathname = `${base}/${version}${ofProject ? `/${project?.id ?? ''}` : ''}`
  return url
}

function withoutVersion(path: string): string {
  return path.replace(/\/+$/, '').replace(/\/v\d+(\.\d+)?(\/[^/]+)?$/, '')
}
