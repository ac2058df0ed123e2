import { TestbedFailure } from './failure.js'

/** The few requests that a test bed makes itself. */

const TIMEOUT_MS = 30_000

export interface Account {
  readonly user: string
  readonly password: string
  readonly project: string
}

/** A token of keystone for a user of the Default domain. */
export async function fetchToken(keystoneUrl: string, account: Account): Promise<string> {
  const domain = { id: 'default' }
  const user = { name: account.user, password: account.password, domain }
  const body = {
    auth: {
      identity: { methods: ['password'], password: { user } },
      scope: { project: { name: account.project, domain } },
    },
  }
  const response = await request('POST', `${keystoneUrl}/auth/tokens`, { body })
  return response.headers.get('X-Subject-Token') ?? ''
}

/** @throws {TestbedFailure} for an answer that is no success */
export async function request(
  method: string,
  url: string,
  { token, body }: { token?: string; body?: object } = {},
): Promise<Response> {
  const response = await fetch(url, {
    method,
    headers: {
      'Content-Type': 'application/json',
      ...(token === undefined ? {} : { 'X-Auth-Token': token }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  })
  if (response.ok) return response
  throw new TestbedFailure(`${method} ${url}: ${response.status} ${await response.text()}`)
}
