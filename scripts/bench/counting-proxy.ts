import { once } from 'node:events'
import { createServer, request } from 'node:http'

/** A proxy on this computer that counts what goes through it. */
export interface CountingProxy {
  readonly url: string
  /** The requests since it was last asked. */
  take(): readonly string[]
  close(): void
}

/** For HTTP without TLS, as the test bed speaks it. */
export async function countingProxy(): Promise<CountingProxy> {
  let seen: string[] = []
  const server = createServer((asked, answer) => {
    const url = new URL(asked.url ?? '')
    seen.push(`${asked.method} ${url.pathname}`)
    const onward = request(url, { method: asked.method, headers: asked.headers }, (reply) => {
      answer.writeHead(reply.statusCode ?? 502, reply.headers)
      reply.pipe(answer)
    })
    onward.on('error', () => answer.destroy())
    asked.pipe(onward)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : 0
  return {
    url: `http://127.0.0.1:${port}`,
    take() {
      const taken = seen
      seen = []
      return taken
    },
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
