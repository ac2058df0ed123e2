import { randomBytes } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { askCastellan, openstack, tryOpenstack } from '../harness/openstack.js'
import { type Api, jsonOf, openApi } from '../harness/openstack-api.js'
import { sharedTestbed } from '../harness/testbed.js'

const testbed = sharedTestbed()
const OCTETS = 'application/octet-stream'
const key = randomBytes(32)

interface SecretRef {
  readonly secret_ref: string
}

async function storeKey(ask: Api): Promise<string> {
  const secret = {
    name: 'a volume key',
    secret_type: 'symmetric',
    algorithm: 'aes',
    bit_length: 256,
    payload: key.toString('base64'),
    payload_content_type: OCTETS,
    payload_content_encoding: 'base64',
  }
  const { secret_ref: ref } = await jsonOf<SecretRef>(ask('POST', '/v1/secrets', { json: secret }))
  return ref.split('/').at(-1) ?? ''
}

describe('barbican', () => {
  const payload = (id: string): string => `/v1/secrets/${id}/payload`
  const headers = { Accept: OCTETS }
  let id: string

  beforeAll(async () => {
    id = await storeKey(await openApi(testbed(), 'alice', 'barbican'))
  })

  it.each(['alice', 'carol', 'oscar'])('gives a secret of their project to %s', async (name) => {
    const ask = await openApi(testbed(), name, 'barbican')
    const answer = await ask('GET', payload(id), { headers })
    expect(answer.status).toBe(200)
    expect(answer.bytes).toEqual(key)
  })

  it.each([
    ['bob', 'member alone'],
    ['erin', 'audit alone'],
    ['dave', 'another project'],
    ['cinder', 'a service without creator'],
  ])('gives it to no %s (%s)', async (name) => {
    const ask = await openApi(testbed(), name, 'barbican')
    const { status, bytes } = await ask('GET', payload(id), { headers })
    expect(status).toBe(403)
    expect(bytes.includes(key)).toBe(false)
  })

  it.each(['bob', 'oscar', 'cinder'])('lets %s store none', async (name) => {
    const ask = await openApi(testbed(), name, 'barbican')
    const answer = await ask('POST', '/v1/secrets', { json: { name: 'a secret' } })
    expect(answer.status).toBe(403)
    expect(answer.text).toContain('Secret creation attempt not allowed')
  })

  it('draws a key on an order', async () => {
    const ask = await openApi(testbed(), 'nova', 'barbican')
    const meta = { name: 'drawn', algorithm: 'aes', bit_length: 256, payload_content_type: OCTETS }
    const order = { type: 'key', meta }
    const { order_ref: ref } = await jsonOf<{ order_ref: string }>(
      ask('POST', '/v1/orders', { json: order }),
    )
    const done = await jsonOf<SecretRef & { status: string }>(ask('GET', ref))
    expect(done.status).toBe('ACTIVE')
    expect((await ask('GET', `${done.secret_ref}/payload`, { headers })).bytes).toHaveLength(32)
  })

  it('deletes for its creator, and then knows of nothing', async () => {
    const ask = await openApi(testbed(), 'alice', 'barbican')
    const own = await storeKey(ask)
    expect((await ask('DELETE', `/v1/secrets/${own}`)).status).toBe(204)
    expect((await ask('GET', payload(own), { headers })).status).toBe(404)
  })
})

describe('the peers', () => {
  it('castellan stores, gets and deletes what the API shows', async () => {
    const request = { name: 'a passphrase', payload: Buffer.from('open sesame').toString('base64') }
    const stored = await askCastellan(testbed(), 'alice', {
      do: 'store',
      type: 'passphrase',
      ...request,
    })
    if (!stored.ok) throw new Error(stored.error)
    const { id = '' } = stored
    const ask = await openApi(testbed(), 'carol', 'barbican')
    const described = await jsonOf<{ secret_type: string }>(ask('GET', `/v1/secrets/${id}`))
    expect(described.secret_type).toBe('passphrase')
    const got = await askCastellan(testbed(), 'carol', { do: 'get', id })
    expect(got).toEqual({ ok: true, type: 'passphrase', payload: request.payload })
    expect(await askCastellan(testbed(), 'alice', { do: 'delete', id })).toEqual({ ok: true })
    expect((await ask('GET', `/v1/secrets/${id}`)).status).toBe(404)
  })

  it('castellan says Forbidden where barbican does', async () => {
    const payload = key.toString('base64')
    const request = { do: 'store', type: 'symmetric', name: 'a key', payload } as const
    const answer = await askCastellan(testbed(), 'bob', request)
    expect(answer).toEqual({ ok: false, error: expect.stringMatching(/Forbidden/) })
  })

  it('the openstack client stores and lists', async () => {
    const name = `by the client ${randomBytes(4).toString('hex')}`
    const storing = ['secret', 'store', '--name', name, '--payload', 'text']
    const stored = await openstack<{ 'Secret href': string }>(testbed(), 'alice', storing)
    const listing = ['secret', 'list', '--name', name]
    const listed = await openstack<{ 'Secret href': string }[]>(testbed(), 'carol', listing)
    expect(listed.map((row) => row['Secret href'])).toEqual([stored['Secret href']])
    const refused = await tryOpenstack(testbed(), 'bob', storing)
    expect(refused.code).toBe(1)
    expect(refused.stderr).toContain('Forbidden')
  })
})
