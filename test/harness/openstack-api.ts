import { fetchToken } from '../../scripts/openstack-testbed/rest.js'
import { userOf } from './openstack.js'
import type { ServiceUrl, Testbed } from './testbed.js'

/** The services' own APIs by plain HTTP, with nothing of ours in between. */

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly bytes: Buffer
  readonly text: string
}

export interface Request {
  readonly json?: unknown
  readonly bytes?: Buffer<ArrayBuffer>
  readonly headers?: Readonly<Record<string, string>>
}

/** One user's requests to one service. */
export interface Api {
  (method: string, path: string, request?: Request): Promise<Answer>
}

export async function openApi(testbed: Testbed, user: string, service: ServiceUrl): Promise<Api> {
  const { password, project } = userOf(testbed, user)
  const token = await fetchToken(testbed.urls.keystone ?? '', { user, password, project })
  const base = testbed.urls[service] ?? ''
  return async (method, path, { json, bytes, headers = {} } = {}) => {
    const type = json === undefined ? 'application/octet-stream' : 'application/json'
    const body = json === undefined ? bytes : JSON.stringify(json)
    const response = await fetch(path.startsWith('http') ? path : `${base}${path}`, {
      method,
      headers: { 'X-Auth-Token': token, 'Content-Type': type, ...headers },
      ...(body === undefined ? {} : { body }),
    })
    const received = Buffer.from(await response.arrayBuffer())
    const { status, headers: answered } = response
    return { status, headers: answered, bytes: received, text: received.toString() }
  }
}

/** The JSON of an answer that must be a success. */
export async function jsonOf<T>(answering: Promise<Answer>): Promise<T> {
  const { status, text } = await answering
  if (status >= 300) throw new Error(`${status} ${text}`)
  const body: T = JSON.parse(text)
  return body
}
