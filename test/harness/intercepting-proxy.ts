import { once } from 'node:events'
import {
  createServer,
  type IncomingMessage,
  request as requestOf,
  type ServerResponse,
} from 'node:http'
import { pipeline } from 'node:stream/promises'
import { afterAll } from 'vitest'

/**
 * Stands between the command and a real service, and acts at a request that the test names: what a
 * lost answer or a killed process leaves depends on which it was.
 */
export interface InterceptingProxy {
  /** What to put in place of the service's address. */
  readonly url: string
  /** `POST /v2/images` of each request, in their order. */
  readonly requests: readonly string[]
  /** What is done at the next request that begins so. */
  at(request: RegExp, act: Act): void
  /** From now on nobody listens there. */
  stop(): void
}

export interface Act {
  /** Before the service hears of it. */
  readonly before?: () => unknown
  /** When the service has answered, before the answer goes on. */
  readonly after?: () => unknown
  /** The service has done it, and the connection is cut before its answer goes on. */
  readonly lost?: boolean
}

/** `target` is the service's address. */
export async function interceptingProxy(target: string): Promise<InterceptingProxy> {
  const { origin, pathname } = new URL(target)
  const acts: [RegExp, Act][] = []
  const requests: string[] = []
  const take = (line: string): Act => {
    requests.push(line)
    const index = acts.findIndex(([pattern]) => pattern.test(line))
    return index < 0 ? {} : (acts.splice(index, 1)[0]?.[1] ?? {})
  }
  const server = createServer((request, response) => {
    const act = take(`${request.method} ${request.url}`)
    // Either side may be killed at any time; the other then sees a cut connection.
    carry(origin, request, response, act).catch(() => request.socket.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const stop = (): void => {
    server.close()
    server.closeAllConnections()
  }
  afterAll(stop)
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : 0
  return {
    url: `http://127.0.0.1:${port}${pathname === '/' ? '' : pathname}`,
    requests,
    at: (pattern, act) => {
      acts.push([pattern, act])
    },
    stop,
  }
}

async function carry(
  origin: string,
  request: IncomingMessage,
  response: ServerResponse,
  { before, after, lost = false }: Act,
): Promise<void> {
  await before?.()
  const { method, headers, url = '/' } = request
  const forwarded = requestOf(`${origin}${url}`, { method, headers, agent: false })
  const [[answer]]: [IncomingMessage[], void] = await Promise.all([
    once(forwarded, 'response'),
    pipeline(request, forwarded),
  ])
  if (answer === undefined) return
  await after?.()
  if (lost) {
    answer.destroy()
    request.socket.destroy()
    return
  }
  response.writeHead(answer.statusCode ?? 502, answer.headers)
  await pipeline(answer, response)
}
