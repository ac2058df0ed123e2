import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { Glance, type ImageContent, Session } from '../../src/openstack/index.js'
import { cloudOf, openSession } from '../harness/cloud-session.js'
import { openstack } from '../harness/openstack.js'
import { openApi } from '../harness/openstack-api.js'
import { sharedTestbed } from '../harness/testbed.js'
import { type Fault, weakLink } from '../harness/weak-link.js'

const testbed = sharedTestbed()
const MIB = 1024 * 1024
const bytes = randomBytes(5 * MIB)

let glance: Glance

beforeAll(async () => {
  glance = new Glance(await openSession(testbed(), 'alice'))
})

/** Glance behind connections that fail. */
async function behind(faults: readonly Fault[]): Promise<Glance> {
  const link = await weakLink(testbed().urls.glance ?? '')
  link.next(...faults)
  const services = { image: { endpoint: link.url } }
  return new Glance(await openSession(testbed(), 'alice', { services }))
}

function content(of: Buffer = bytes): ImageContent {
  return {
    size: of.length,
    again: true,
    async *open() {
      for (let at = 0; at < of.length; at += MIB) yield of.subarray(at, at + MIB)
    },
  }
}

async function newImage(properties: Record<string, string> = {}): Promise<string> {
  const formats = { diskFormat: 'raw', containerFormat: 'bare' }
  return (await glance.create({ name: `ours ${randomUUID()}`, ...formats, properties })).id
}

async function uploaded(): Promise<string> {
  const id = await newImage()
  await glance.upload(id, content())
  return id
}

async function read(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = []
  for await (const chunk of chunks) all.push(chunk)
  return Buffer.concat(all)
}

describe('an image', () => {
  it('is made, filled and read back as it is for the official client', async () => {
    const id = await newImage({ img_signature: 'abc', 'a/b~c': 'grüße' })
    expect(await glance.show(id)).toMatchObject({ status: 'queued', size: null })
    await glance.upload(id, content())
    const image = await glance.show(id)
    expect(image).toMatchObject({
      status: 'active',
      size: bytes.length,
      properties: { img_signature: 'abc', 'a/b~c': 'grüße' },
      hashAlgorithm: 'sha512',
      hashValue: createHash('sha512').update(bytes).digest('hex'),
    })
    const shown = await openstack<{ status: string; size: number; name: string }>(
      testbed(),
      'alice',
      ['image', 'show', id],
    )
    expect(shown).toMatchObject({ status: 'active', size: bytes.length, name: image.name })
    expect((await read(glance.download(id))).equals(bytes)).toBe(true)
  })

  it('of unknown size is uploaded from what can be read once', async () => {
    const id = await newImage()
    await glance.upload(id, { open: content().open, again: false })
    expect((await glance.show(id)).size).toBe(bytes.length)
  })

  it('gives a part', async () => {
    const id = await uploaded()
    const part = await read(glance.download(id, { start: MIB - 1, length: 3 }))
    expect(part).toEqual(bytes.subarray(MIB - 1, MIB + 2))
    const rest = await read(glance.download(id, { start: bytes.length - 5 }))
    expect(rest).toEqual(bytes.subarray(-5))
  })

  it('is changed in one go, or not at all', async () => {
    const id = await newImage({ keep: '1', 'a/b~c': '2' })
    const changed = await glance.change(id, [
      { op: 'add', property: 'new', value: 'n' },
      { op: 'replace', property: 'a/b~c', value: '3' },
    ])
    expect(changed.properties).toMatchObject({ keep: '1', new: 'n', 'a/b~c': '3' })
    await expect(
      glance.change(id, [
        { op: 'remove', property: 'keep' },
        { op: 'replace', property: 'not-there', value: '4' },
      ]),
    ).rejects.toMatchObject({ code: 'busy', http: { status: 409 } })
    expect((await glance.show(id)).properties).toMatchObject({ keep: '1', new: 'n' })
  })

  it('that is protected is not deleted, and the error says what allows it', async () => {
    const formats = { diskFormat: 'raw', containerFormat: 'bare' }
    const { id } = await glance.create({ ...formats, isProtected: true })
    await expect(glance.delete(id)).rejects.toMatchObject({
      code: 'forbidden',
      hint: expect.stringContaining('--unprotected'),
      http: { status: 403 },
    })
  })

  it('is gone when it is deleted', async () => {
    const id = await uploaded()
    await glance.delete(id)
    const gone = { code: 'not-found', http: { status: 404 } }
    await expect(glance.show(id)).rejects.toMatchObject(gone)
    await expect(glance.delete(id)).rejects.toMatchObject(gone)
    await expect(read(glance.download(id))).rejects.toMatchObject(gone)
  })

  it('takes content once', async () => {
    const id = await uploaded()
    await expect(glance.upload(id, content())).rejects.toMatchObject({ http: { status: 409 } })
  })

  it('without content has none to give', async () => {
    await expect(read(glance.download(await newImage()))).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringContaining('has no content'),
    })
  })

  it('may not take a name of Glance for a property', async () => {
    await expect(newImage({ status: 'active' })).rejects.toMatchObject({ code: 'usage' })
  })

  it('with a signature that is wrong is refused as Glance refuses it', async () => {
    const id = await newImage({
      img_signature: 'AAAA',
      img_signature_hash_method: 'SHA-256',
      img_signature_key_type: 'RSA-PSS',
      img_signature_certificate_uuid: randomUUID(),
    })
    await expect(glance.upload(id, content())).rejects.toMatchObject({
      code: 'signature-mismatch',
      http: { status: 400, requestId: expect.stringMatching(/^req-/) },
    })
  })
})

it('lists more images than a page has, each once', async () => {
  const tag = `paging-${randomUUID()}`
  const make = async (): Promise<string> =>
    (await glance.create({ diskFormat: 'raw', containerFormat: 'bare', tags: [tag] })).id
  const made: string[] = []
  for (let round = 0; round < 13; round += 1) {
    made.push(...(await Promise.all(Array.from({ length: 8 }, make))))
  }
  const listed: string[] = []
  for await (const { id } of glance.list({ tag })) listed.push(id)
  expect(listed.toSorted()).toEqual(made.toSorted())
}, 120_000)

describe('over a connection that is lost', () => {
  it('a download goes on with the next byte', async () => {
    const id = await uploaded()
    const lossy = await behind([
      { cut: 'answer', after: 200_000 },
      'closed',
      { cut: 'answer', after: 2 * MIB },
      { cut: 'answer', after: 100 },
    ])
    expect((await read(lossy.download(id))).equals(bytes)).toBe(true)
  })

  it('a download that gets nowhere ends', async () => {
    const id = await uploaded()
    const lossy = await behind(Array.from({ length: 40 }, () => ({ cut: 'answer', after: 10 })))
    await expect(read(lossy.download(id)).then(({ length }) => length)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('the connection was cut'),
    })
  }, 120_000)

  it('an upload ends, and can be made again where Glance has taken the image back', async () => {
    const cut = await behind([{ cut: 'request', after: 3 * MIB }])
    const id = await newImage()
    await expect(cut.upload(id, content())).rejects.toMatchObject({ code: 'unavailable' })
    const { status } = await glance.waitFor(id, ['queued', 'saving', 'active'])
    expect(status).not.toBe('active')
  })

  it('a download is stopped by its signal', async () => {
    const id = await uploaded()
    const controller = new AbortController()
    const chunks = glance.download(id, { signal: controller.signal })
    await chunks.next()
    controller.abort()
    await expect(read(chunks)).rejects.toMatchObject({ code: 'interrupted' })
  })
})

describe('a token that is not taken any more', () => {
  /** A session whose token has been revoked behind its back. */
  async function revoked(): Promise<Session> {
    const session = new Session(await cloudOf(testbed(), 'alice'))
    const token = (await session.token()).value()
    const ask = await openApi(testbed(), 'admin', 'keystone')
    const revoking = ask('DELETE', '/auth/tokens', { headers: { 'X-Subject-Token': token } })
    expect((await revoking).status).toBe(204)
    return session
  }

  it('is renewed, once for all that are under way', async () => {
    const session = await revoked()
    const old = await session.token()
    const client = new Glance(session)
    const ids = await Promise.all([uploaded(), uploaded()])
    const shown = await Promise.all(ids.map(async (id) => await client.show(id)))
    expect(shown.map(({ id }) => id)).toEqual(ids)
    expect(await session.token()).not.toBe(old)
    await session.close()
  })

  it('is renewed for an upload that can be begun again', async () => {
    const session = await revoked()
    const id = await newImage()
    await new Glance(session).upload(id, content())
    expect((await glance.show(id)).size).toBe(bytes.length)
    await session.close()
  })

  it('ends an upload that cannot, and the error says why', async () => {
    const session = await revoked()
    const id = await newImage()
    const upload = new Glance(session).upload(id, { open: content().open, again: false })
    await expect(upload).rejects.toMatchObject({
      code: 'forbidden',
      http: { status: 401 },
      hint: expect.stringContaining('cannot be read a second time'),
    })
    await session.close()
  })
})
