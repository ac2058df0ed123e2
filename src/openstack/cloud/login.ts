import { VolsealError } from '../../core/errors.js'
import type { DomainName, InDomain, Login, Scope } from './cloud.js'
import { type Settings, secretOf, textOf } from './settings.js'

/** Names of keystoneauth's plugins (`auth_type`), and ours. */
const KINDS: Readonly<Record<string, Login['kind']>> = {
  password: 'password',
  v3password: 'password',
  token: 'token',
  v3token: 'token',
  v3applicationcredential: 'application-credential',
}

/** @throws {VolsealError} `usage` when something is missing, or a way that is not known is asked for */
export function loginOf(
  settings: Settings,
  name: string,
  origin: string,
  said: Settings = settings,
): Login {
  const missing = (key: string): never => {
    throw new VolsealError('usage', `the cloud ${name}: ${key} is missing in ${origin}`, {
      hint: `it may also be in secure.yaml, or in OS_${key.toUpperCase()}`,
    })
  }
  const kind = kindOf(settings, name, said)
  if (kind === 'token') {
    return { kind, token: secretOf(settings, 'token', 'auth_token') ?? missing('token') }
  }
  if (kind === 'password') {
    const user = userOf(settings) ?? missing('username')
    return { kind, user, password: secretOf(settings, 'password') ?? missing('password') }
  }
  const secret = secretOf(settings, 'application_credential_secret')
  return {
    kind,
    credential: credentialOf(settings) ?? missing('application_credential_id'),
    secret: secret ?? missing('application_credential_secret'),
  }
}

function kindOf(settings: Settings, name: string, own: Settings): Login['kind'] {
  const said = textOf(settings, 'auth_type', 'auth_plugin')
  if (said === undefined) return guessed(own)
  const kind = KINDS[said]
  if (kind !== undefined) return kind
  const known = Object.keys(KINDS).join(', ')
  throw new VolsealError(
    'usage',
    `the cloud ${name}: auth_type: expected one of ${known}, got ${said}`,
    {
      hint: 'another way in can give a token: openstack token issue, then auth_type: token',
    },
  )
}

/**
 * By what the cloud says of itself: variables that complete it may be those of another one. A user with
 * a password is what openstacksdk takes where nothing else is said.
 */
function guessed(settings: Settings): Login['kind'] {
  if (settings.has('password') && userOf(settings) !== undefined) return 'password'
  const credential = ['secret', 'id', 'name'].map((part) => `application_credential_${part}`)
  if (credential.some((key) => settings.has(key))) return 'application-credential'
  const hasToken = settings.has('token') || settings.has('auth_token')
  return hasToken && !settings.has('password') ? 'token' : 'password'
}

function credentialOf(
  settings: Settings,
): { id: string } | { name: string; user: InDomain } | undefined {
  const id = textOf(settings, 'application_credential_id')
  if (id !== undefined) return { id }
  const name = textOf(settings, 'application_credential_name')
  const user = userOf(settings)
  return name === undefined || user === undefined ? undefined : { name, user }
}

function userOf(settings: Settings): InDomain | undefined {
  const id = textOf(settings, 'user_id')
  if (id !== undefined) return { id }
  const name = textOf(settings, 'username', 'user_name')
  return name === undefined ? undefined : { name, domain: domainOf(settings, 'user') }
}

/**
 * The domain of a user or project. An id counts before any name, also a default one (keystoneauth1's
 * generic plugins); beside a project, `domain_id` is no scope but the domain of both (openstacksdk's
 * `_handle_domain_id`). Keystone's first domain has the id `default`.
 */
function domainOf(settings: Settings, of: 'user' | 'project'): DomainName {
  const both = projectOf(settings) === undefined ? [] : ['domain']
  const said = (part: 'id' | 'name'): string | undefined =>
    [`${of}_domain`, ...both, 'default_domain']
      .map((name) => textOf(settings, `${name}_${part}`))
      .find((text) => text !== undefined)
  const id = said('id')
  if (id !== undefined) return { id }
  const name = said('name')
  return name === undefined ? { id: textOf(settings, 'default_domain') ?? 'default' } : { name }
}

function projectOf(settings: Settings): string | undefined {
  return textOf(settings, 'project_id', 'tenant_id', 'project_name', 'tenant_name')
}

/** @throws {VolsealError} `usage` for a trust, which would be another user's rights */
export function scopeOf(settings: Settings): Scope {
  const trust = settings.get('trust_id')
  if (trust !== undefined && textOf(settings, 'trust_id') !== undefined) {
    throw new VolsealError('usage', `${trust.from}: trust_id is not known here`, {
      hint: 'log in as the user who is trusted, or with a token: openstack token issue',
    })
  }
  const id = textOf(settings, 'project_id', 'tenant_id')
  if (id !== undefined) return { kind: 'project', project: { id } }
  const name = textOf(settings, 'project_name', 'tenant_name')
  if (name !== undefined) {
    return { kind: 'project', project: { name, domain: domainOf(settings, 'project') } }
  }
  const domainId = textOf(settings, 'domain_id')
  if (domainId !== undefined) return { kind: 'domain', domain: { id: domainId } }
  const domainName = textOf(settings, 'domain_name')
  if (domainName !== undefined) return { kind: 'domain', domain: { name: domainName } }
  return { kind: textOf(settings, 'system_scope') === 'all' ? 'system' : 'none' }
}
