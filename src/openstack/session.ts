import { setMaxListeners } from 'node:events'
import { abortReason, throwIfAborted, VolsealError } from '../core/errors.js'
import type { Cloud } from './cloud/cloud.js'
import { readJson } from './http/answer.js'
import { type HttpAnswer, HttpClient, type HttpMethod, type Patience } from './http/http-client.js'
import { repeat } from './http/repeat.js'
import { readRefusal, type ServiceRefusal, serviceError } from './http/service-error.js'
import { authenticate } from './identity/authenticate.js'
import {
  findEndpoint,
  SERVICES,
  type ServiceKind,
  type ServicePlaces,
  servicePlaces,
} from './identity/catalog.js'
import type { Token } from './identity/token.js'

/** Bytes that are sent. */
export type RequestBody =
  | { readonly type: string; readonly bytes: Buffer }
  | {
      readonly type: string
      /** In bytes, when it is known beforehand. */
      readonly size?: number | undefined
      /** The bytes from the first one; called again only when `again` is true. */
      readonly open: () => AsyncIterable<Uint8Array>
      readonly again: boolean
    }

export interface ServiceRequest {
  readonly method: HttpMethod
  /** Parts of the path behind the service's version, as they are. */
  readonly path: readonly string[]
  readonly query?: Readonly<Record<string, string>> | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly body?: RequestBody | undefined
  /** What is tried, for errors: `store a secret`. */
  readonly attempt: string
  /** Whether doing it twice is as good as once; all but POST and PATCH when not given. */
  readonly idempotent?: boolean | undefined
  /** The request holds a secret: nothing that might quote it is shown. */
  readonly discreet?: boolean | undefined
  /** Milliseconds until the answer begins, for what takes the service longer. */
  readonly answerWithin?: number | undefined
  readonly signal?: AbortSignal | undefined
  /** Makes something whose id only the answer tells: the signal comes into effect after it. */
  readonly toTheEnd?: boolean | undefined
}

/** What any call may be given. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined
}

export interface ServiceAnswer extends HttpAnswer {
  /** Whether the connection was lost once before, when it may have been done already. */
  readonly mayBeDone: boolean
}

/** What a service's refusal becomes, where more is known than its status. */
export type Explain = (refusal: ServiceRefusal, token: Token) => VolsealError | undefined

export interface SessionOptions {
  /** Called with what the user should know though it works: an insecure connection. */
  readonly warn?: ((text: string) => void) | undefined
  readonly patience?: Partial<Patience> | undefined
  /** Ends what is under way, except for deleting: that is how what was begun is undone. */
  readonly signal?: AbortSignal | undefined
}

/**
 * One user's dealings with one cloud. It authenticates when the first request needs it, all requests
 * share the token, and a token that a service does not take any more is renewed once for each request.
 * `close` ends its connections.
 */
export class Session {
  readonly cloud: Cloud
  readonly #http: HttpClient
  readonly #signal: AbortSignal | undefined
  // Private fields are shown by no inspection: a token is as good as a password.
  #current: Token | undefined
  #authenticating: Promise<Token> | undefined
  #closed = false

  constructor(cloud: Cloud, { warn, patience, signal }: SessionOptions = {}) {
    this.cloud = cloud
    this.#signal = signal
    this.#http = new HttpClient({ tls: cloud.tls, patience, proxies: cloud.proxies })
    if (cloud.tls.insecure === true) {
      warn?.(
        `${cloud.name}: certificates are not checked (verify: false, OS_INSECURE): whoever is on the way can read passwords and keys`,
      )
    }
  }

  /** The token, made or renewed where needed. */
  async token(signal?: AbortSignal): Promise<Token> {
    const current = this.#current
    return current?.isFresh() === true ? current : await this.#renewed(current, signal)
  }

  /** Where a service is, by the cloud's configuration and its catalog. */
  async places(kind: ServiceKind): Promise<ServicePlaces> {
    return servicePlaces(this.cloud, await this.token(), kind)
  }

  /**
   * Asks a service. Answers from 300 on are thrown.
   *
   * @throws {VolsealError} `ServiceError` with the status; `unavailable`, `interrupted`
   */
  async send(kind: ServiceKind, asked: ServiceRequest, explain?: Explain): Promise<ServiceAnswer> {
    const isStopped = asked.method !== 'DELETE' && asked.toTheEnd !== true
    const { body, signal = isStopped ? this.#signal : undefined } = asked
    const request = { ...asked, signal }
    const repeatable = body === undefined || 'bytes' in body || body.again
    let token = await this.token(signal)
    let answer = await this.#ask(kind, request, token, repeatable)
    if (answer.status === 401 && repeatable) {
      await answer.discard()
      token = await this.#renewed(token, signal)
      answer = await this.#ask(kind, request, token, repeatable)
    }
    if (answer.status < 300 || isDeleted(request, answer)) return answer
    throw await refused(kind, request, answer, token, explain)
  }

  /** Asks a service and reads its answer as JSON. */
  async json(kind: ServiceKind, request: ServiceRequest, explain?: Explain): Promise<unknown> {
    const headers = { Accept: 'application/json', ...request.headers }
    const answer = await this.send(kind, { ...request, headers }, explain)
    return await readJson(answer, SERVICES[kind].name)
  }

  /** Asks a service whose answer says nothing more. */
  async done(
    kind: ServiceKind,
    request: ServiceRequest,
    explain?: Explain,
  ): Promise<{ readonly mayBeDone: boolean }> {
    const answer = await this.send(kind, request, explain)
    await answer.discard()
    return answer
  }

  async close(): Promise<void> {
    this.#current = undefined
    this.#closed = true
    await this.#http.close()
  }

  async #ask(
    kind: ServiceKind,
    request: ServiceRequest,
    token: Token,
    repeatable: boolean,
  ): Promise<ServiceAnswer> {
    const { method, body, signal, answerWithin } = request
    const url = urlOf(findEndpoint(this.cloud, token, kind), request)
    const ask = async (): Promise<HttpAnswer> =>
      await this.#http.exchange({
        method,
        url,
        headers: {
          'X-Auth-Token': token.value(),
          'User-Agent': 'volseal',
          ...bodyHeaders(body),
          ...request.headers,
        },
        body: body === undefined || 'bytes' in body ? body?.bytes : body.open(),
        signal,
        answerWithin,
      })
    if (!repeatable) return { ...(await ask()), mayBeDone: false }
    const idempotent = request.idempotent ?? (method !== 'POST' && method !== 'PATCH')
    const { answer, mayBeDone } = await repeat(ask, { idempotent, signal })
    return { ...answer, mayBeDone }
  }

  /** A token in place of `old`; one that another request has got meanwhile is as good as a new one. */
  async #renewed(old: Token | undefined, signal: AbortSignal | undefined): Promise<Token> {
    const current = this.#current
    if (current !== undefined && current !== old) return current
    throwIfAborted(signal)
    if (this.#closed) throw new VolsealError('interrupted', 'the session is closed')
    this.#authenticating ??= this.#authenticate()
    return await unlessAborted(this.#authenticating, signal)
  }

  /** Without the signal of any request: others may be waiting for it too. */
  async #authenticate(): Promise<Token> {
    try {
      this.#current = await authenticate(this.cloud, this.#http)
      return this.#current
    } finally {
      this.#authenticating = undefined
    }
  }
}

/** What a lost connection has deleted is not there when it is deleted again. */
function isDeleted({ method }: ServiceRequest, { status, mayBeDone }: ServiceAnswer): boolean {
  return method === 'DELETE' && status === 404 && mayBeDone
}

/** Waits for what others may be waiting for as well. @throws {VolsealError} `interrupted` */
async function unlessAborted<T>(waiting: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await waiting
  throwIfAborted(signal)
  setMaxListeners(0, signal)
  return await new Promise((resolve, reject) => {
    const onAbort = (): void => reject(abortReason(signal))
    signal.addEventListener('abort', onAbort, { once: true })
    void waiting.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

function urlOf(endpoint: URL, { path, query = {} }: ServiceRequest): URL {
  const url = new URL(endpoint)
  const parts = path.map(pathPart).join('/')
  url.pathname = `${endpoint.pathname.replace(/\/+$/, '')}/${parts}`
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
  return url
}

/** These would be another address. */
const NO_NAMES: readonly string[] = ['', '.', '..']

function pathPart(part: string): string {
  if (!NO_NAMES.includes(part)) return encodeURIComponent(part)
  throw new VolsealError('usage', `expected an id or a name, got ${JSON.stringify(part)}`)
}

function bodyHeaders(body: RequestBody | undefined): Record<string, string> {
  if (body === undefined) return {}
  const size = 'bytes' in body ? body.bytes.length : body.size
  return {
    'Content-Type': body.type,
    ...(size === undefined ? {} : { 'Content-Length': String(size) }),
  }
}

async function refused(
  kind: ServiceKind,
  request: ServiceRequest,
  answer: HttpAnswer,
  token: Token,
  explain: Explain | undefined,
): Promise<VolsealError> {
  const { name } = SERVICES[kind]
  const refusal = await readRefusal(name, answer, { discreet: request.discreet === true })
  const attempt = `${name} did not ${request.attempt}`
  const { status } = refusal
  if (status < 400) return redirected(refusal, attempt, answer.header('location'))
  return (
    explain?.(refusal, token) ??
    serviceError(refusal, attempt, { hint: status === 401 ? unauthorizedHint(request) : undefined })
  )
}

/** Where a redirect leads to may be anywhere, and the token would go there. */
function redirected(
  refusal: ServiceRefusal,
  attempt: string,
  location: string | undefined,
): VolsealError {
  const origin = URL.canParse(location ?? '') ? ` to ${new URL(location ?? '').origin}` : ''
  return serviceError(refusal, `${attempt}, but redirected${origin}, which is not followed`, {
    hint: 'set the right address with an endpoint override in clouds.yaml',
  })
}

function unauthorizedHint({ body }: ServiceRequest): string {
  const isStream = body !== undefined && !('bytes' in body) && !body.again
  return isStream
    ? 'the token has expired while the bytes were sent, and they cannot be read a second time: run it again'
    : 'the token is not accepted though it is new; does the service ask another keystone?'
}
