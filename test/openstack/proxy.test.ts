import { once } from 'node:events'
import { createServer, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { inspect } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'
import { Cinder, loadCloud, Session } from '../../src/openstack/index.js'
import { sharedTestbed } from '../harness/testbed.js'

const testbed = sharedTestbed()

type Cloud = Session['cloud']

describe('a proxy', () => {
  const seen: string[] = []

  /** Forwards what is not encrypted, and tunnels the rest (RFC 9110 §9.3.6). */
  async function proxy(): Promise<string> {
    const server = createServer((asked, answer) => {
      seen.push(`${asked.method} ${asked.url}`)
      const { method, headers } = asked
      const onward = request(new URL(asked.url ?? ''), { method, headers }, (reply) => {
        answer.writeHead(reply.statusCode ?? 500, reply.headers)
        reply.pipe(answer)
      })
      asked.pipe(onward)
    })
    server.on('connect', (asked: { url?: string }, client: Socket) => {
      seen.push(`CONNECT ${asked.url}`)
      const [host, port] = (asked.url ?? '').split(':')
      if (host !== '127.0.0.1') {
        client.end('HTTP/1.1 403 Forbidden\r\n\r\n')
        return
      }
      const service = connect(Number(port), host, () => client.write('HTTP/1.1 200 OK\r\n\r\n'))
      client.on('error', () => undefined).pipe(service)
      service.on('error', () => undefined).pipe(client)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    afterAll(() => server.close())
    const address = server.address()
    seen.length = 0
    return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
  }

  const through = async (env: Readonly<Record<string, string>>): Promise<Cloud> =>
    await loadCloud('alice', { OS_CLIENT_CONFIG_FILE: testbed().clouds, ...env })

  it('is what requests go through, unless NO_PROXY names the host or its network', async () => {
    const url = await proxy()
    const cloud = await through({ http_proxy: url })
    const session = new Session(cloud)
    await new Cinder(session).types()
    await session.close()
    expect(seen).toEqual([
      expect.stringMatching(/^POST http:.*\/auth\/tokens$/),
      expect.stringMatching(/^GET http:.*\/types/),
    ])
    const direct = new Session(
      await through({ HTTP_PROXY: url, NO_PROXY: '127.0.0.0/8,localhost' }),
    )
    await new Cinder(direct).types()
    await direct.close()
    expect(seen).toHaveLength(2)
  })

  it('that refuses the way is named, without its password', async () => {
    const url = (await proxy()).replace('//', '//user:s3cret@')
    const cloud = await through({ all_proxy: url })
    const session = new Session({ ...cloud, authUrl: 'https://keystone.example:5000/v3' })
    const error: unknown = await session.token().catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({
      code: 'unavailable',
      message: 'https://keystone.example:5000: the proxy refused the way there (403)',
    })
    expect(inspect(error, { depth: 9 })).not.toContain('s3cret')
    await session.close()
  }, 30_000)
})
