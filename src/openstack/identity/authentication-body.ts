import type { Secret } from '../../core/secret.js'
import type { Cloud, InDomain, Login, Scope } from '../cloud/cloud.js'

/** What keystone is told (Identity API v3, `POST /v3/auth/tokens`). */
export function authenticationBody({ login, scope }: Cloud): object {
  const identity = { methods: [METHODS[login.kind]], ...methodBody(login) }
  // The credential is for one project, and keystone refuses any scope beside it.
  const scoped = login.kind === 'application-credential' ? undefined : scopeBody(scope)
  return { auth: { identity, ...(scoped === undefined ? {} : { scope: scoped }) } }
}

const METHODS: Readonly<Record<Login['kind'], string>> = {
  password: 'password',
  'application-credential': 'application_credential',
  token: 'token',
}

function methodBody(login: Login): object {
  if (login.kind === 'password') {
    return { password: { user: { ...named(login.user), password: valueOf(login.password) } } }
  }
  if (login.kind === 'token') return { token: { id: valueOf(login.token) } }
  const { credential } = login
  const who =
    'id' in credential ? credential : { name: credential.name, user: named(credential.user) }
  return { application_credential: { ...who, secret: valueOf(login.secret) } }
}

function named(thing: InDomain): object {
  return 'id' in thing ? { id: thing.id } : { name: thing.name, domain: thing.domain }
}

function valueOf(secret: Secret): string {
  return secret.bytes().toString('utf8')
}

function scopeBody(scope: Scope): object | undefined {
  if (scope.kind === 'project') return { project: named(scope.project) }
  if (scope.kind === 'domain') return { domain: scope.domain }
  return scope.kind === 'system' ? { system: { all: true } } : undefined
}

/** Who wants a token, for errors; never how it is proven. */
export function describeLogin({ login, scope }: Cloud): string {
  const project = scope.kind === 'project' ? ` in the project ${nameOf(scope.project)}` : ''
  if (login.kind === 'password') return `the user ${nameOf(login.user)}${project}`
  if (login.kind === 'token') return `the token of the configuration${project}`
  return `the application credential ${nameOf(login.credential)}`
}

function nameOf(thing: { readonly id: string } | { readonly name: string }): string {
  return 'id' in thing ? thing.id : thing.name
}
