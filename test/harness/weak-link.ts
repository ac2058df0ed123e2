import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { afterAll } from 'vitest'

/**
 * A connection to a real service that fails where the test says: a service cannot be made to lose
 * one at a given byte.
 */
export interface WeakLink {
  /** What to put in place of the service's address. */
  readonly url: string
  /** First lines of the requests that came. */
  readonly requests: readonly string[]
  /** What happens to the connections that come next, the first first; then they are good. */
  next(...faults: readonly Fault[]): void
}

export type Fault =
  /** Cut when so many bytes have come from the service, or gone to it. */
  | { readonly cut: 'answer' | 'request'; readonly after: number }
  /** Nothing comes, ever. */
  | 'silent'
  /** Closed at once. */
  | 'closed'
  /** This is answered, and the service never hears of it. */
  | { readonly answer: string }
  | 'good'

/** `target` is the service's address. */
export async function weakLink(target: string): Promise<WeakLink> {
  const { hostname, port, pathname } = new URL(target)
  const faults: Fault[] = []
  const requests: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const fault = faults.shift() ?? 'good'
    sockets.add(client)
    client.on('close', () => sockets.delete(client)).on('error', () => undefined)
    if (fault === 'closed') {
      client.destroy()
      return
    }
    client.on('data', (bytes: Buffer) => {
      const [, line] =
        /^((?:GET|POST|PUT|PATCH|DELETE) .*) HTTP/.exec(bytes.toString('latin1')) ?? []
      if (line !== undefined) requests.push(line)
      if (typeof fault === 'object' && 'answer' in fault) client.end(fault.answer)
    })
    if (fault === 'silent' || (typeof fault === 'object' && 'answer' in fault)) return
    join(client, connect(Number(port), hostname), fault)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  afterAll(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  const own = typeof address === 'object' ? address?.port : 0
  return {
    url: `http://127.0.0.1:${own}${pathname === '/' ? '' : pathname}`,
    requests,
    next: (...more) => {
      faults.push(...more)
    },
  }
}

function join(client: Socket, service: Socket, fault: Fault): void {
  const limit = (of: 'answer' | 'request'): number =>
    typeof fault === 'object' && 'cut' in fault && fault.cut === of ? fault.after : Infinity
  const end = (): void => {
    client.resetAndDestroy()
    service.destroy()
  }
  carry(service, client, limit('answer'), end)
  carry(client, service, limit('request'), end)
  service.on('error', end)
  service.on('close', () => client.end())
  client.on('close', () => service.destroy())
}

function carry(from: Socket, to: Socket, most: number, end: () => void): void {
  let left = most
  from.on('data', (bytes: Buffer) => {
    const part = bytes.subarray(0, left)
    left -= part.length
    if (left > 0) {
      if (!to.write(part)) {
        from.pause()
        to.once('drain', () => from.resume())
      }
      return
    }
    // What was let through is to arrive before the end does.
    to.write(part, () => setTimeout(end, 20))
  })
}
