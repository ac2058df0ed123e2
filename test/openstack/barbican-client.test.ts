import { randomBytes, randomUUID } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { Secret } from '../../src/core/secret.js'
import { barbicanKeyManager, type KeyManager } from '../../src/keyfile/index.js'
import { Barbican } from '../../src/openstack/index.js'
import { volseal } from '../harness/cloud-command.js'
import { openSession } from '../harness/cloud-session.js'
import { askCastellan, openstack, userOf } from '../harness/openstack.js'
import { jsonOf, openApi } from '../harness/openstack-api.js'
import { sharedTestbed } from '../harness/testbed.js'
import { type Fault, type WeakLink, weakLink } from '../harness/weak-link.js'

const testbed = sharedTestbed()
const PEM = `-----BEGIN CERTIFICATE-----\n${'MIIB'.repeat(16)}\n-----END CERTIFICATE-----\n`

let barbican: Barbican
let manager: KeyManager

beforeAll(async () => {
  barbican = await barbicanOf('alice')
  manager = barbicanKeyManager(barbican)
})

async function barbicanOf(user: string): Promise<Barbican> {
  return new Barbican(await openSession(testbed(), user))
}

/** Barbican behind connections that fail. */
async function behind(
  ...faults: readonly Fault[]
): Promise<{ barbican: Barbican; link: WeakLink }> {
  const link = await weakLink(testbed().urls.barbican ?? '')
  const services = { 'key-manager': { endpoint: link.url } }
  const session = await openSession(
    testbed(),
    'alice',
    { services },
    { patience: { answer: 2000 } },
  )
  await session.token()
  link.next(...faults)
  return { barbican: new Barbican(session), link }
}

function secretOf(text: string): Secret {
  return new Secret(Buffer.from(text))
}

async function stored(text = 'the bytes'): Promise<string> {
  return await barbican.store({ type: 'opaque' }, secretOf(text))
}

describe('what others see of what we store', () => {
  it.each([
    ['symmetric', randomBytes(32)],
    ['passphrase', Buffer.from('correct horse\n')],
    ['opaque', randomBytes(100)],
  ] as const)('castellan gets a %s secret to the bit', async (type, bytes) => {
    const id = await manager.store({
      type,
      payload: new Secret(Buffer.from(bytes)),
      ...(type === 'symmetric' ? { algorithm: 'aes' } : {}),
    })
    const got = await askCastellan(testbed(), 'carol', { do: 'get', id })
    expect(got).toEqual({ ok: true, type, payload: bytes.toString('base64') })
  })

  it('the official client shows name, type and metadata', async () => {
    const metadata = { volume: 'f2a1', empty: '' }
    const name = `Schlüssel ${randomUUID()}`
    const id = await manager.createKey({ algorithm: 'aes', bitLength: 256, name, metadata })
    const href = `${testbed().urls.barbican}/v1/secrets/${id}`
    const shown = await openstack<Record<string, unknown>>(testbed(), 'carol', [
      'secret',
      'get',
      href,
    ])
    expect(shown).toMatchObject({ Name: name, 'Secret type': 'symmetric', 'Bit length': 256 })
    const ask = await openApi(testbed(), 'carol', 'barbican')
    const kept = await jsonOf<{ metadata: object }>(ask('GET', `/v1/secrets/${id}/metadata`))
    expect(kept.metadata).toMatchObject(metadata)
  })

  it('a key fetch is two requests, once the token is there', async () => {
    const id = await manager.createKey({ algorithm: 'aes', bitLength: 256 })
    const { barbican: far, link } = await behind()
    const { payload } = await barbicanKeyManager(far).fetch(id)
    expect(payload.length).toBe(32)
    expect(link.requests.toSorted()).toEqual([
      `GET /v1/secrets/${id}`,
      `GET /v1/secrets/${id}/payload`,
    ])
  })
})

describe('what others have stored', () => {
  const store = async (secret: object): Promise<string> => {
    const ask = await openApi(testbed(), 'alice', 'barbican')
    const { secret_ref: ref } = await jsonOf<{ secret_ref: string }>(
      ask('POST', '/v1/secrets', { json: secret }),
    )
    return ref.split('/').at(-1) ?? ''
  }

  it('a certificate as text is handed out with its content type', async () => {
    const id = await store({
      secret_type: 'certificate',
      payload: PEM,
      payload_content_type: 'text/plain',
    })
    const { payload, ...secret } = await manager.fetch(id)
    expect(secret).toMatchObject({ type: 'certificate', contentType: 'text/plain' })
    // Barbican has stripped it.
    expect(payload.bytes().toString()).toBe(PEM.trimEnd())
  })

  it('a certificate in DER is handed out as it is', async () => {
    const der = Buffer.from([0x30, 0x82, 1, 2, 0xff])
    const id = await store({
      secret_type: 'certificate',
      payload: der.toString('base64'),
      payload_content_type: 'application/octet-stream',
      payload_content_encoding: 'base64',
    })
    expect((await manager.get(id)).payload.bytes()).toEqual(der)
  })

  it('a secret without bytes says that it has none', async () => {
    const id = await store({ name: 'half made' })
    await expect(manager.fetch(id)).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringContaining('has no payload'),
    })
    expect(await manager.describe(id)).toMatchObject({ name: 'half made', origin: 'stored' })
  })

  it('an expired secret is not there', async () => {
    const expiration = new Date(Date.now() + 2500)
    const id = await barbican.store({ type: 'opaque', expiration }, secretOf('bytes'))
    expect((await barbican.show(id)).expiration).toBe(expiration.toISOString())
    await new Promise((resolve) => {
      setTimeout(resolve, 3500)
    })
    await expect(manager.fetch(id)).rejects.toMatchObject({
      code: 'not-found',
      hint: expect.stringContaining('expired'),
      http: { status: 404 },
    })
  })
})

describe('a refusal', () => {
  it.each(['bob', 'oscar'])('to let %s store says which role is missing', async (user) => {
    const { id, projectId } = userOf(testbed(), user)
    const refused = await barbicanOf(user)
    await expect(refused.store({ type: 'opaque' }, secretOf('hidden bytes'))).rejects.toMatchObject(
      {
        code: 'forbidden',
        message: expect.stringContaining(`for ${user} in the project demo`),
        hint: expect.stringContaining(
          `openstack role add --user ${id} --project ${projectId} creator`,
        ),
        http: { service: 'barbican', status: 403, requestId: expect.stringMatching(/^req-/) },
      },
    )
  })

  it("of another project's secret says how its owner shares it, and that works", async () => {
    const id = await stored()
    const other = await barbicanOf('dave')
    const dave = userOf(testbed(), 'dave').id
    await expect(other.payload(id)).rejects.toMatchObject({
      code: 'forbidden',
      hint: expect.stringContaining(`openstack acl user add --user ${dave}`),
      http: { status: 403 },
    })
    await barbican.setAcl(id, { users: [dave], projectAccess: true })
    expect(await barbican.acl(id)).toEqual({ users: [dave], projectAccess: true })
    expect((await other.payload(id)).bytes().toString()).toBe('the bytes')
    await expect(other.delete(id)).rejects.toMatchObject({ code: 'forbidden' })
  })

  it('of a private secret is told to others of the project', async () => {
    const id = await stored()
    await barbican.setAcl(id, { users: [], projectAccess: false })
    const carol = await barbicanOf('carol')
    await expect(carol.payload(id)).rejects.toMatchObject({ code: 'forbidden' })
    expect((await barbican.payload(id)).length).toBe(9)
  })

  it('of a secret that is too large names the limit, and leaves nothing', async () => {
    const before = (await barbican.list()).length
    const payload = new Secret(randomBytes(20_001))
    await expect(manager.store({ type: 'opaque', payload })).rejects.toMatchObject({
      code: 'usage',
      hint: expect.stringContaining('20,000 bytes'),
      http: { status: 413 },
    })
    expect((await barbican.list()).length).toBe(before)
  })

  it('never shows what was to be stored', async () => {
    const name = 'n'.repeat(300)
    const payload = secretOf('hidden bytes')
    const error: unknown = await barbican.store({ type: 'opaque', name }, payload).catch(String)
    expect(String(error)).toContain('the property name is not accepted')
    expect(String(error)).not.toContain(Buffer.from('hidden bytes').toString('base64'))
  })

  it('of a key that cannot be drawn says what can', async () => {
    const hint = expect.stringContaining('128, 192 and 256 bits')
    const draw = async (algorithm: string, bitLength: number): Promise<unknown> =>
      await manager.createKey({ algorithm, bitLength }).catch((error: unknown) => error)
    expect(await draw('rot13', 256)).toMatchObject({ code: 'usage', hint })
    // Barbican itself stumbles over it, and says so.
    expect(await draw('aes', 72)).toMatchObject({ code: 'unavailable', hint })
  })
})

it('takes as large a secret as Barbican does', async () => {
  const bytes = randomBytes(20_000)
  const id = await manager.store({ type: 'opaque', payload: new Secret(Buffer.from(bytes)) })
  expect((await manager.fetch(id)).payload.bytes().equals(bytes)).toBe(true)
})

it('has no secret deleted that something else needs, without --force', async () => {
  const id = await barbican.store({ type: 'opaque', name: 'needed' }, secretOf('needed'))
  const consumer = { service: 'share', resourceType: 'share', resourceId: randomUUID() }
  await barbican.addConsumer(id, consumer)
  const refused = await volseal(testbed(), 'alice', ['secret', 'delete', id])
  expect(refused).toMatchObject({ code: 22, stderr: expect.stringContaining(consumer.resourceId) })
  await barbican.show(id)
  const forced = await volseal(testbed(), 'alice', ['secret', 'delete', id, '--force'])
  expect(forced).toMatchObject({ code: 0 })
})

it('registers consumers, and removes them', async () => {
  const id = await stored()
  const consumer = { service: 'image', resourceType: 'image', resourceId: randomUUID() }
  await barbican.addConsumer(id, consumer)
  await barbican.addConsumer(id, consumer)
  expect(await barbican.consumers(id)).toEqual([consumer])
  await barbican.removeConsumer(id, consumer)
  expect(await barbican.consumers(id)).toEqual([])
})

describe('over a connection that is lost', () => {
  it('reading is tried again', async () => {
    const id = await stored()
    const { barbican: far } = await behind('closed', { cut: 'answer', after: 20 })
    expect((await far.payload(id)).bytes().toString()).toBe('the bytes')
  })

  it('storing is not, and says that it may have been done', async () => {
    const { barbican: far, link } = await behind({ cut: 'answer', after: 5 })
    await expect(far.store({ type: 'opaque' }, secretOf('hidden'))).rejects.toMatchObject({
      code: 'unavailable',
      hint: expect.stringContaining('may have been done'),
    })
    expect(link.requests).toEqual(['POST /v1/secrets'])
  })

  it('deleting twice is deleting', async () => {
    const id = await stored()
    const { barbican: far, link } = await behind({ cut: 'answer', after: 5 })
    await far.delete(id)
    expect(link.requests).toHaveLength(2)
    await expect(barbican.show(id)).rejects.toMatchObject({ code: 'not-found' })
  })

  it('a service that never answers is not waited for', async () => {
    const { barbican: far } = await behind('silent')
    await expect(far.list()).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('no answer within the time'),
    })
  })

  it('a service that is down is named', async () => {
    const services = { 'key-manager': { endpoint: 'http://127.0.0.1:1' } }
    const down = new Barbican(await openSession(testbed(), 'alice', { services }))
    await expect(down.list()).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('http://127.0.0.1:1: nobody listens there'),
    })
  }, 30_000)

  it('half a secret is not left behind', async () => {
    const before = (await barbican.list()).length
    // The metadata cannot be noted; then it works again.
    const { barbican: far, link } = await behind('good', { answer: REFUSAL })
    const storing = barbicanKeyManager(far).store({
      type: 'opaque',
      payload: secretOf('hidden'),
      metadata: { a: 'b' },
    })
    await expect(storing).rejects.toMatchObject({ http: { status: 500 } })
    expect(link.requests.at(-1)).toMatch(/^DELETE /)
    expect((await barbican.list()).length).toBe(before)
  })
})

const REFUSAL = 'HTTP/1.1 500 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}'

describe('a Barbican that is another than it seems', () => {
  const answer = (body: object, status = '200 OK', headers = ''): Fault => {
    const text = JSON.stringify(body)
    return {
      answer: `HTTP/1.1 ${status}\r\n${headers}Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
    }
  }

  it('cannot send us elsewhere with a secret_ref', async () => {
    const elsewhere = await weakLink('http://127.0.0.1:1')
    const id = randomUUID()
    const { barbican: far, link } = await behind(
      answer({ secret_ref: `${elsewhere.url}/v1/secrets/${id}` }, '201 Created'),
    )
    expect(await far.store({ type: 'opaque' }, secretOf('hidden'))).toBe(id)
    await expect(far.show(id)).rejects.toMatchObject({ code: 'not-found' })
    expect(link.requests.at(-1)).toBe(`GET /v1/secrets/${id}`)
    expect(elsewhere.requests).toEqual([])
  })

  it.each(['http://x/v1/secrets/../../etc', 'x', '', 7, null])(
    'cannot name a secret %s',
    async (ref) => {
      const { barbican: far } = await behind(answer({ secret_ref: ref }, '201 Created'))
      await expect(far.store({ type: 'opaque' }, secretOf('hidden'))).rejects.toMatchObject({
        code: 'unavailable',
        message: expect.stringContaining('the answer of barbican'),
      })
    },
  )

  const listed = (id: string, total: number): Fault => {
    const secret = { secret_ref: `http://x/v1/secrets/${id}`, created: '2026-01-01T00:00:00' }
    return answer({ secrets: [secret], total })
  }

  it('may have shorter pages than it was asked for', async () => {
    const [one, two] = [randomUUID(), randomUUID()]
    const { barbican: far, link } = await behind(listed(one, 2), listed(two, 2))
    expect((await far.list()).map(({ id }) => id)).toEqual([one, two])
    expect(link.requests.at(-1)).toContain('offset=1')
  })

  it('cannot have its list read for ever, nor half of it taken for all', async () => {
    const same = listed(randomUUID(), 5)
    const { barbican: far, link } = await behind(...Array.from({ length: 40 }, () => same))
    await expect(far.list()).rejects.toMatchObject({ code: 'unavailable' })
    expect(link.requests.length).toBeLessThan(20)
  })

  it('cannot redirect the token', async () => {
    const elsewhere = await weakLink('http://127.0.0.1:1')
    const { barbican: far } = await behind(
      answer({}, '302 Found', `Location: ${elsewhere.url}/v1/secrets\r\n`),
    )
    await expect(far.list()).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('redirected to'),
    })
    expect(elsewhere.requests).toEqual([])
  })

  it('gives back other bytes than it was given: found out, and undone', async () => {
    const { barbican: far, link } = await behind('good', {
      answer: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nother',
    })
    const storing = barbicanKeyManager(far).store({ type: 'opaque', payload: secretOf('mine') })
    await expect(storing).rejects.toMatchObject({ code: 'io' })
    expect(link.requests.at(-1)).toMatch(/^DELETE /)
  })

  it('is asked again when it says when', async () => {
    const busy = answer({}, '503 Service Unavailable', 'Retry-After: 1\r\n')
    const { barbican: far, link } = await behind(busy, busy)
    const id = await far.store({ type: 'opaque' }, secretOf('twice declined'))
    expect(link.requests).toHaveLength(3)
    expect((await barbican.payload(id)).bytes().toString()).toBe('twice declined')
  })

  it('is left alone when it says nothing, or a long time', async () => {
    const { barbican: far, link } = await behind(
      answer({}, '503 Service Unavailable'),
      answer({}, '503 Service Unavailable', 'Retry-After: 3600\r\n'),
    )
    await expect(far.list()).rejects.toMatchObject({ http: { status: 503 } })
    await expect(far.list()).rejects.toMatchObject({ http: { status: 503 } })
    expect(link.requests).toHaveLength(2)
  })

  it('draws no control characters on the terminal', async () => {
    const { barbican: far } = await behind(
      answer({ description: 'bad\u001b[31m red\u202e <b>x</b>' }, '400 Bad Request'),
    )
    const error: unknown = await far.list().catch((thrown: unknown) => thrown)
    expect(String(error)).toContain('400 Bad Request: bad [31m red x')
  })
})
