import { setMaxListeners } from 'node:events'
import { Readable } from 'node:stream'
import type { Agent, buildConnector, Dispatcher } from 'undici'
import { abortReason, throwIfAborted, VolsealError } from '../../core/errors.js'
import { connectionFailure } from './connection-failure.js'
import { type DirectRule, directRules, isDirect } from './no-proxy.js'

/**
 * The only importer of undici: one request, one answer. It keeps connections open, knows how long to
 * wait, and follows no redirect; what may be asked again is decided in `repeat.ts`.
 */

/** How far the other side of a TLS connection is trusted, and who we are to it. */
export interface TlsSettings {
  /** PEM of the only authorities that are trusted; those of Node when not given. */
  readonly ca?: Buffer | undefined
  /** PEM of a client certificate and its key. */
  readonly cert?: Buffer | undefined
  readonly key?: Buffer | undefined
  /** Whether anybody is trusted. */
  readonly insecure?: boolean | undefined
}

/** Addresses of proxies, which may hold a user and password. */
export interface Proxies {
  readonly http?: string | undefined
  readonly https?: string | undefined
  /** What is asked directly (NO_PROXY): names, addresses and networks, separated by commas. */
  readonly none?: string | undefined
}

/** Times in milliseconds. */
export interface Patience {
  /** Until there is a connection. */
  readonly connect: number
  /** Until an answer begins, counted from the last byte of the request that went out. */
  readonly answer: number
  /** Between two pieces of an answer. */
  readonly silence: number
}

const PATIENCE: Patience = { connect: 15_000, answer: 60_000, silence: 60_000 }

/** Per host: many at once would take the service's workers from its other users. */
const MOST_CONNECTIONS = 16

export type HttpMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

export interface HttpRequest {
  readonly method: HttpMethod
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Buffer | AsyncIterable<Uint8Array> | undefined
  readonly signal?: AbortSignal | undefined
  /** Milliseconds; `Patience.answer` when not given. */
  readonly answerWithin?: number | undefined
}

export interface HttpAnswer {
  readonly status: number
  /** A header's value; those of several headers of one name joined. */
  header(name: string): string | undefined
  /** The bytes as they come, to be read once. @throws {VolsealError} `unavailable` when cut */
  chunks(): AsyncIterable<Buffer>
  /** For an answer whose bytes nobody wants; without it the connection stays occupied. */
  discard(): Promise<void>
}

export interface HttpClientOptions {
  readonly tls?: TlsSettings | undefined
  readonly patience?: Partial<Patience> | undefined
  readonly proxies?: Proxies | undefined
}

export class HttpClient {
  readonly #tls: TlsSettings
  readonly #patience: Patience
  readonly #proxies: Proxies
  readonly #direct: readonly DirectRule[]
  /** By the proxy's address; '' is without one. */
  readonly #agents = new Map<string, Dispatcher>()

  constructor({ tls = {}, patience, proxies = {} }: HttpClientOptions = {}) {
    this.#tls = tls
    this.#proxies = proxies
    this.#direct = directRules(proxies.none ?? '')
    this.#patience = { ...PATIENCE, ...patience }
  }

  /** @throws {VolsealError} `unavailable` (a `ConnectionFailure`), `interrupted`; what the body throws */
  async exchange(request: HttpRequest): Promise<HttpAnswer> {
    const { url, method, headers, body = null, signal } = request
    throwIfAborted(signal)
    // All that is under way at once listens to it, and each stops when it is over.
    if (signal !== undefined) setMaxListeners(0, signal)
    const undici = await import('undici')
    const proxy = this.#proxyOf(url) ?? ''
    const agent = this.#agents.get(proxy) ?? this.#makeAgent(undici, proxy)
    this.#agents.set(proxy, agent)
    try {
      const answer = await undici.request(url, {
        dispatcher: agent,
        method,
        headers,
        body: body === null || Buffer.isBuffer(body) ? body : streamOf(body),
        signal,
        // Of those of the agent, undici's way through proxies knows nothing.
        headersTimeout: request.answerWithin ?? this.#patience.answer,
        bodyTimeout: this.#patience.silence,
      })
      return answerOf(answer, request)
    } catch (error) {
      throw failure(error, request)
    }
  }

  /** Ends all connections; what is under way fails. */
  async close(): Promise<void> {
    const agents = [...this.#agents.values()]
    this.#agents.clear()
    await Promise.all(agents.map(async (agent) => await agent.destroy()))
  }

  #proxyOf(url: URL): string | undefined {
    if (isDirect(url, this.#direct)) return undefined
    return url.protocol === 'https:' ? this.#proxies.https : this.#proxies.http
  }

  #makeAgent({ Agent: Direct, ProxyAgent }: typeof import('undici'), proxy: string): Dispatcher {
    const options = this.#agentOptions()
    if (proxy === '') return new Direct(options)
    return new ProxyAgent({
      ...options,
      uri: proxy,
      requestTls: options.connect,
      // Proxies tunnel to few ports, and forward what is not encrypted.
      proxyTunnel: false,
    })
  }

  #agentOptions(): Agent.Options & { connect: buildConnector.BuildOptions } {
    const { ca, cert, key, insecure = false } = this.#tls
    const { connect, answer, silence } = this.#patience
    return {
      connections: MOST_CONNECTIONS,
      pipelining: 1,
      headersTimeout: answer,
      bodyTimeout: silence,
      connect: {
        timeout: connect,
        minVersion: 'TLSv1.2',
        rejectUnauthorized: !insecure,
        ...(ca === undefined ? {} : { ca }),
        ...(cert === undefined ? {} : { cert }),
        ...(key === undefined ? {} : { key }),
      },
    }
  }
}

/** Of chunks of a mebibyte, Node would hold sixteen. */
function streamOf(body: AsyncIterable<Uint8Array>): Readable {
  return Readable.from(body, { highWaterMark: 1 })
}

function answerOf(
  { statusCode, headers, body }: Dispatcher.ResponseData,
  request: HttpRequest,
): HttpAnswer {
  return {
    status: statusCode,
    header(name) {
      const value = headers[name.toLowerCase()]
      return Array.isArray(value) ? value.join(', ') : value
    },
    async *chunks() {
      try {
        for await (const chunk of body) yield Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk)
      } catch (error) {
        throw failure(error, request)
      }
    },
    async discard() {
      // A cut connection is as good.
      await body.dump({ limit: MOST_DISCARDED }).catch(() => undefined)
    },
  }
}

/** More than that is not waited for: a new connection is cheaper. */
const MOST_DISCARDED = 128 * 1024

/** Errors of the request's own body are ours already. */
function failure(error: unknown, { url, signal }: HttpRequest): VolsealError {
  if (error instanceof VolsealError) return error
  if (signal?.aborted === true) return abortReason(signal)
  return connectionFailure(error, url)
}
