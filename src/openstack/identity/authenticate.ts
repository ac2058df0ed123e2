import { json, record, text } from '../../core/check.js'
import { VolsealError } from '../../core/errors.js'
import type { Cloud } from '../cloud/cloud.js'
import { malformed, readBytes } from '../http/answer.js'
import type { HttpAnswer, HttpClient } from '../http/http-client.js'
import { repeat } from '../http/repeat.js'
import { readRefusal, serviceError } from '../http/service-error.js'
import { authenticationBody, describeLogin } from './authentication-body.js'
import { serviceUrl } from './catalog.js'
import { type CatalogEndpoint, type Identity, Token } from './token.js'

/** A catalog of a large cloud with many regions has some hundred kilobytes. */
const MOST_BYTES = 8 * 1024 * 1024

/**
 * A new token from keystone (Identity API v3, "Authentication and token management").
 *
 * @throws {VolsealError} `forbidden` when it refuses, `unavailable`, `usage`
 */
export async function authenticate(cloud: Cloud, http: HttpClient): Promise<Token> {
  const url = tokensUrl(cloud)
  const { answer } = await repeat(
    async () =>
      await http.exchange({
        method: 'POST',
        url,
        headers: {
          'Content-Type': 'application/json',
          Accept: 'application/json',
          'User-Agent': 'volseal',
        },
        body: Buffer.from(JSON.stringify(authenticationBody(cloud))),
      }),
    // A second token is no harm.
    { idempotent: true },
  )
  if (answer.status !== 201) throw await refused(cloud, answer)
  return await readToken(answer)
}

/** auth_url is told with and without its version. */
function tokensUrl({ authUrl, name }: Cloud): URL {
  const url = serviceUrl(authUrl, `${name}: auth_url`)
  const path = url.pathname.replace(/\/+$/, '')
  if (path.endsWith('/v2.0')) {
    throw new VolsealError('usage', `${name}: auth_url: expected keystone's API v3, got ${authUrl}`)
  }
  url.pathname = `${path.endsWith('/v3') ? path : `${path}/v3`}/auth/tokens`
  return url
}

async function refused(cloud: Cloud, answer: HttpAnswer): Promise<VolsealError> {
  const refusal = await readRefusal('keystone', answer)
  const attempt = `keystone did not give a token to ${describeLogin(cloud)}`
  const isLogin = refusal.status === 401 || refusal.status === 403
  const hint = isLogin
    ? `are name, password, project and domains right? they come from ${cloud.origin}`
    : 'is auth_url right?'
  return serviceError(refusal, attempt, { hint })
}

async function readToken(answer: HttpAnswer): Promise<Token> {
  const value = answer.header('x-subject-token')
  const bytes = await readBytes(answer, MOST_BYTES, 'keystone')
  if (value === undefined || value === '') throw malformed('keystone', 'a token, got none')
  try {
    const body = record(json(bytes.toString('utf8'), 'answer'), 'answer')
    const token = record(body['token'], 'token')
    const facts = { identity: readIdentity(token), catalog: readCatalog(token['catalog']) }
    return new Token(value, lifetimeOf(token), facts)
  } catch (error) {
    throw malformed('keystone', `a token with its user and catalog (${messageOf(error)})`)
  }
}

/** Seconds between two times of keystone's clock, so that ours may be wrong. */
function lifetimeOf(token: Record<string, unknown>): number {
  const issued = Date.parse(text(token['issued_at'], 'issued_at'))
  const expires = Date.parse(text(token['expires_at'], 'expires_at'))
  const lifetime = (expires - issued) / 1000
  return Number.isFinite(lifetime) ? lifetime : 0
}

function readIdentity(token: Record<string, unknown>): Identity {
  const user = record(token['user'], 'user')
  const project = token['project'] === undefined ? null : record(token['project'], 'project')
  const roles = Array.isArray(token['roles']) ? token['roles'] : []
  return {
    user: named(user, 'user'),
    project: project === null ? null : named(project, 'project'),
    roles: roles.map((role: unknown) => text(record(role, 'role')['name'], 'role.name')),
  }
}

function named(value: Record<string, unknown>, what: string): { id: string; name: string } {
  return { id: text(value['id'], `${what}.id`), name: text(value['name'], `${what}.name`) }
}

/** What is not a whole endpoint is passed over: services that are not asked may be anything. */
function readCatalog(catalog: unknown): CatalogEndpoint[] {
  const services: unknown[] = Array.isArray(catalog) ? catalog : []
  return services.flatMap((service) => {
    const { type, endpoints } = record(service, 'catalog')
    const list: unknown[] = Array.isArray(endpoints) ? endpoints : []
    return list.flatMap((endpoint) => readEndpoint(type, record(endpoint, 'endpoint')))
  })
}

function readEndpoint(type: unknown, endpoint: Record<string, unknown>): CatalogEndpoint[] {
  const { interface: kind, url } = endpoint
  const region = endpoint['region_id'] ?? endpoint['region'] ?? ''
  if (typeof type !== 'string' || typeof region !== 'string') return []
  if (typeof kind !== 'string' || typeof url !== 'string') return []
  return [{ type, interface: kind, url, region }]
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown'
}
