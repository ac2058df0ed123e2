import type { Settings } from './settings.js'
import type { Testbed, TestbedUser } from './testbed.js'

/** Who is in a test bed. */

export const REGION = 'RegionOne'

interface UserRow {
  readonly name: string
  readonly project: string
  readonly roles: readonly string[]
}

/**
 * One user for every role that matters. Barbican lets `creator` store and read, `observer` read,
 * `audit` see metadata; `member` alone may do nothing there.
 */
export const USERS: readonly UserRow[] = [
  { name: 'admin', project: 'admin', roles: ['admin'] },
  { name: 'alice', project: 'demo', roles: ['member', 'creator'] },
  { name: 'carol', project: 'demo', roles: ['member', 'creator'] },
  { name: 'bob', project: 'demo', roles: ['member'] },
  { name: 'erin', project: 'demo', roles: ['audit'] },
  { name: 'oscar', project: 'demo', roles: ['observer'] },
  { name: 'dave', project: 'other', roles: ['member', 'creator'] },
  { name: 'barbican', project: 'service', roles: ['service'] },
  { name: 'glance', project: 'service', roles: ['service'] },
  // Without creator, as the guides leave it: its key migration is Forbidden until that is mended.
  { name: 'cinder', project: 'service', roles: ['service'] },
  { name: 'nova', project: 'service', roles: ['service', 'creator'] },
  { name: 'swift', project: 'service', roles: ['service', 'creator'] },
]

/** Roles beside those that keystone makes by itself. */
const ROLES = ['service', 'creator', 'observer', 'audit', 'key-manager:service-admin']

/** Services of the catalogue: types, and what follows the address. */
const CATALOGUE: readonly {
  readonly type: string
  readonly name: keyof Testbed['urls']
  readonly suffix?: string
}[] = [
  { type: 'identity', name: 'keystone' },
  { type: 'key-manager', name: 'barbican' },
  { type: 'image', name: 'glance' },
  { type: 'volumev3', name: 'cinder' },
  { type: 'block-storage', name: 'cinder' },
  { type: 'object-store', name: 'swift', suffix: '/AUTH_%(tenant_id)s' },
]

/** What `keystone_fill.py` is to make. */
export function wantedIdentity(settings: Settings, urls: Testbed['urls']): object {
  const people = USERS.filter(({ name }) => name !== 'admin')
  return {
    adminPassword: passwordOf(settings, 'admin'),
    region: REGION,
    projects: [...new Set(people.map(({ project }) => project))],
    roles: ROLES,
    users: people.map(({ name, project, roles }) => ({
      name,
      password: passwordOf(settings, name),
      grants: roles.map((role) => ({ project, role })),
    })),
    services: CATALOGUE.flatMap(({ type, name, suffix = '' }) =>
      urls[name] === undefined ? [] : [{ type, name, url: `${urls[name]}${suffix}` }],
    ),
  }
}

/** The ids that keystone gave, by name. */
export interface IdentityIds {
  readonly projects: Readonly<Record<string, string>>
  readonly users: Readonly<Record<string, string>>
}

export function describeUsers(settings: Settings, ids: IdentityIds): Record<string, TestbedUser> {
  return Object.fromEntries(
    USERS.map(({ name, project, roles }) => [
      name,
      {
        id: ids.users[name] ?? '',
        password: passwordOf(settings, name),
        project,
        projectId: ids.projects[project] ?? '',
        roles,
      },
    ]),
  )
}

export function passwordOf(settings: Settings, user: string): string {
  const password = settings.passwords[user]
  if (password === undefined) throw new Error(`${user} has no password in settings.json`)
  return password
}

/** `clouds.yaml` for the OpenStack client, a cloud for each user; JSON is YAML too. */
export function cloudsYaml(testbed: Testbed): string {
  const cloud = (name: string, { password, project }: TestbedUser): object => ({
    region_name: testbed.region,
    identity_api_version: 3,
    auth: {
      auth_url: testbed.urls.keystone,
      username: name,
      password,
      project_name: project,
      user_domain_name: 'Default',
      project_domain_name: 'Default',
    },
  })
  const clouds = Object.entries(testbed.users).map(([name, user]) => [name, cloud(name, user)])
  return `${JSON.stringify({ clouds: Object.fromEntries(clouds) }, null, 2)}\n`
}
