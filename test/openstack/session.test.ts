import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { createServer } from 'node:tls'
import { inspect } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'
import { fetchToken } from '../../scripts/openstack-testbed/rest.js'
import { Secret } from '../../src/core/secret.js'
import { Barbican, Cinder, Session } from '../../src/openstack/index.js'
import { Authority, CA, SIGNER } from '../harness/authority.js'
import { cloudOf, openSession } from '../harness/cloud-session.js'
import { userOf } from '../harness/openstack.js'
import { jsonOf, openApi } from '../harness/openstack-api.js'
import { scratchDirectory } from '../harness/run.js'
import { sharedTestbed } from '../harness/testbed.js'
import { weakLink } from '../harness/weak-link.js'

const testbed = sharedTestbed()
const authority = new Authority(scratchDirectory())

type Cloud = Session['cloud']

async function whoIs(changes: Partial<Cloud>): Promise<string> {
  const session = await openSession(testbed(), 'alice', changes)
  const { user, project } = (await session.token()).identity
  return `${user.name} in ${project?.name}`
}

function secret(text: string): Secret {
  return new Secret(Buffer.from(text))
}

describe('many requests at once', () => {
  it('with one signal are no leak that Node would warn of', async () => {
    const warnings: Error[] = []
    const onWarning = (warning: Error): unknown => warnings.push(warning)
    process.on('warning', onWarning)
    const session = await openSession(testbed(), 'alice')
    const { signal } = new AbortController()
    const barbican = new Barbican(session)
    await Promise.all(Array.from({ length: 30 }, async () => await barbican.list({}, signal)))
    process.off('warning', onWarning)
    expect(warnings).toEqual([])
  })
})

describe('keystone gives a token', () => {
  it('for ids instead of names', async () => {
    const { id, projectId, password } = userOf(testbed(), 'alice')
    const login = { kind: 'password', user: { id }, password: secret(password) } as const
    const scope = { kind: 'project', project: { id: projectId } } as const
    expect(await whoIs({ login, scope })).toBe('alice in demo')
  })

  it('for an application credential, by id and by name', async () => {
    const { id: user } = userOf(testbed(), 'alice')
    const ask = await openApi(testbed(), 'alice', 'keystone')
    const name = `volseal ${Date.now()}`
    const { application_credential: made } = await jsonOf<{
      application_credential: { id: string; secret: string }
    }>(
      ask('POST', `/users/${user}/application_credentials`, {
        json: { application_credential: { name } },
      }),
    )
    const credentials = [{ id: made.id }, { name, user: { id: user } }]
    for (const credential of credentials) {
      const kind = 'application-credential'
      const login = { kind, credential, secret: secret(made.secret) } as const
      expect(await whoIs({ login })).toBe('alice in demo')
    }
  })

  it('for a token', async () => {
    const { password, project } = userOf(testbed(), 'alice')
    const account = { user: 'alice', password, project }
    const token = secret(await fetchToken(testbed().urls.keystone ?? '', account))
    expect(await whoIs({ login: { kind: 'token', token } })).toBe('alice in demo')
  })

  it('at an address without its version', async () => {
    const authUrl = (testbed().urls.keystone ?? '').replace(/\/v3$/, '/')
    expect(await whoIs({ authUrl })).toBe('alice in demo')
  })

  it('once, for requests that begin together', async () => {
    const link = await weakLink(testbed().urls.keystone ?? '')
    const session = await openSession(testbed(), 'alice', { authUrl: link.url })
    const cinder = new Cinder(session)
    await Promise.all([cinder.types(), cinder.types(), new Barbican(session).list()])
    expect(link.requests).toEqual(['POST /v3/auth/tokens'])
  })

  it('when it is reached at the third try', async () => {
    const link = await weakLink(testbed().urls.keystone ?? '')
    link.next('closed', { cut: 'answer', after: 10 })
    expect(await whoIs({ authUrl: link.url })).toBe('alice in demo')
  })

  it('that is not shown by printing the session', async () => {
    const session = await openSession(testbed(), 'alice')
    const value = (await session.token()).value()
    const { password } = userOf(testbed(), 'alice')
    const printed = inspect([session, await session.token()], { depth: 9, showHidden: true })
    expect(printed).not.toContain(value)
    expect(printed).not.toContain(password)
    expect(JSON.stringify([session, await session.token()])).not.toContain(value)
  })
})

describe('an error says what to do', () => {
  const failure = async (changes: Partial<Cloud>): Promise<unknown> => {
    const session = await openSession(testbed(), 'alice', changes)
    return await new Cinder(session).types().catch((error: unknown) => error)
  }

  it('when the password is wrong', async () => {
    const { login } = await cloudOf(testbed(), 'alice')
    if (login.kind !== 'password') throw new Error('expected a password')
    const error = await failure({ login: { ...login, password: secret('guessed') } })
    expect(error).toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining(
        'did not give a token to the user alice in the project demo',
      ),
      hint: expect.stringContaining(testbed().clouds),
      http: { service: 'keystone', status: 401 },
    })
    expect(JSON.stringify(error)).not.toContain('guessed')
  })

  it('when keystone is down', async () => {
    expect(await failure({ authUrl: 'http://127.0.0.1:1' })).toMatchObject({
      code: 'unavailable',
      message: 'http://127.0.0.1:1: nobody listens there',
    })
  }, 30_000)

  it('when what answers is no keystone', async () => {
    expect(await failure({ authUrl: testbed().urls.glance ?? '' })).toMatchObject({
      hint: 'is auth_url right?',
    })
  })

  it('when the region has no such service', async () => {
    expect(await failure({ region: 'Elsewhere' })).toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/region Elsewhere, the catalog has it at .*RegionOne/),
    })
  })

  it('when the token is for no project', async () => {
    expect(await failure({ scope: { kind: 'none' } })).toMatchObject({
      hint: expect.stringContaining('project'),
    })
  })

  it('when an address is none', async () => {
    const services = { 'block-storage': { endpoint: 'file:///etc/passwd' } }
    expect(await failure({ services })).toMatchObject({ code: 'usage' })
    for (const authUrl of ['https://admin:s3cret@host/v3', 'https://:s3cret@host/v3']) {
      const error = await failure({ authUrl })
      expect(error).toMatchObject({ code: 'usage' })
      expect(String(error)).not.toContain('s3cret')
    }
  })
})

describe('TLS', () => {
  const root = authority.issue({ subject: 'root', extensions: CA })
  const server = (name: string): { key: Buffer; cert: Buffer } => {
    const { pem, key } = authority.issue({
      subject: 'server',
      issuer: root,
      extensions: [...SIGNER, `subjectAltName=${name}`],
    })
    return { key: readFileSync(key), cert: pem }
  }

  /** keystone behind TLS, with a certificate for a host. */
  async function secured(name: string): Promise<string> {
    const { port } = new URL(testbed().urls.keystone ?? '')
    const listener = createServer(server(name), (client) => {
      const service = connect(Number(port), '127.0.0.1')
      client.on('error', () => undefined).pipe(service)
      service.on('error', () => undefined).pipe(client)
    })
    listener.listen(0, '127.0.0.1')
    await once(listener, 'listening')
    afterAll(() => listener.close())
    const address = listener.address()
    return `https://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/v3`
  }

  it('trusts the authorities of cacert', async () => {
    const authUrl = await secured('IP:127.0.0.1')
    expect(await whoIs({ authUrl, tls: { ca: root.pem } })).toBe('alice in demo')
  })

  it('trusts nobody else, and names the setting', async () => {
    const authUrl = await secured('IP:127.0.0.1')
    const other = authority.issue({ subject: 'root', extensions: CA })
    for (const tls of [{}, { ca: other.pem }]) {
      await expect(whoIs({ authUrl, tls })).rejects.toMatchObject({
        code: 'unavailable',
        kind: 'untrusted',
        hint: expect.stringContaining('cacert'),
      })
    }
  })

  it('does not take a certificate for another host', async () => {
    const authUrl = await secured('DNS:keystone.example')
    await expect(whoIs({ authUrl, tls: { ca: root.pem } })).rejects.toMatchObject({
      kind: 'untrusted',
      message: expect.stringContaining('its certificate is for another host'),
    })
  })

  it('takes anything when it is told to, and warns', async () => {
    const authUrl = await secured('DNS:keystone.example')
    const warnings: string[] = []
    const cloud = await cloudOf(testbed(), 'alice', { authUrl, tls: { insecure: true } })
    const session = new Session(cloud, { warn: (text) => warnings.push(text) })
    expect((await session.token()).identity.user.name).toBe('alice')
    expect(warnings).toEqual([expect.stringContaining('certificates are not checked')])
    await session.close()
  })

  it('that is not there is said', async () => {
    // Glance's server says something where keystone's only hangs up.
    const authUrl = (testbed().urls.glance ?? '').replace('http:', 'https:')
    await expect(whoIs({ authUrl })).rejects.toMatchObject({ kind: 'foreign' })
  })
})
