import { expect, it } from 'vitest'
import { VolsealError } from '../../src/core/errors.js'
import { Secret } from '../../src/core/secret.js'
import {
  type KeyManager,
  MAX_PAYLOAD_BYTES,
  type NewSecret,
  type SecretType,
} from '../../src/keyfile/index.js'

type Subject = () => { readonly manager: KeyManager }

const PEM = `-----BEGIN CERTIFICATE-----\n${'MIIB'.repeat(16)}\n-----END CERTIFICATE-----\n`
const KEY_PEM = PEM.replaceAll('CERTIFICATE', 'PRIVATE KEY')
const TYPES: readonly SecretType[] = [
  'symmetric',
  'public',
  'private',
  'passphrase',
  'certificate',
  'opaque',
]

/** The part of the contract that is for key managers which keep what they are given. */
export function keepsSecrets(subject: Subject): void {
  storesSecrets(subject)
  refusesSecrets(subject)
  listsSecrets(subject)
  deletesSecrets(subject)
  setsMetadata(subject)
  standsTogether(subject)
}

function storesSecrets(subject: Subject): void {
  it.each(TYPES)('keeps a secret of type %s to the bit', async (type) => {
    const { manager } = subject()
    const content = Buffer.from(type === 'certificate' ? PEM : ' \tgrüße\r\n\u0000\n ')
    const id = await manager.store({ type, payload: new Secret(Buffer.from(content)) })
    const { payload, created: _, ...info } = await manager.get(id)
    expect(payload.bytes().equals(content)).toBe(true)
    expect(info).toEqual({
      id,
      type,
      name: null,
      algorithm: null,
      bitLength: type === 'symmetric' ? content.length * 8 : null,
      contentType: type === 'passphrase' ? 'text/plain' : 'application/octet-stream',
      metadata: {},
      origin: 'stored',
    })
  })

  it('keeps all that is said of a secret', async () => {
    const { manager } = subject()
    const said = {
      type: 'private',
      name: 'Signaturschlüssel 🔑',
      algorithm: 'rsa',
      bitLength: 3072,
      contentType: 'application/octet-stream',
      metadata: { 'owner_1-a': 'ops' },
    } as const
    const payload = new Secret(Buffer.from([0, 1, 0x80, 0xff, 0]))
    const id = await manager.store({ ...said, payload })
    expect(await manager.describe(id)).toMatchObject({ ...said, origin: 'stored' })
  })

  it('copies the bytes, so that the caller can wipe its own at once', async () => {
    const { manager } = subject()
    const payload = new Secret(Buffer.from('correct horse'))
    const storing = manager.store({ type: 'passphrase', payload })
    payload.wipe()
    const kept = (await manager.get(await storing)).payload
    expect(kept.bytes().toString()).toBe('correct horse')
  })

  it('keeps the same secret twice under two ids', async () => {
    const { manager } = subject()
    const secret = opaque('twice')
    expect(await manager.store(secret)).not.toBe(await manager.store(secret))
  })
}

function refusesSecrets(subject: Subject): void {
  const long = 'n'.repeat(256)
  const refused: [string, Partial<Record<keyof NewSecret, unknown>>][] = [
    ['no bytes', { payload: new Secret(Buffer.alloc(0)) }],
    ['too many bytes', { payload: new Secret(Buffer.alloc(MAX_PAYLOAD_BYTES + 1, 1)) }],
    ['an unknown type', { type: 'symetric' }],
    ['an unknown content type', { contentType: 'text/html' }],
    ['an empty name', { name: '' }],
    ['a name of 256 characters', { name: long }],
    ['an empty algorithm', { algorithm: '' }],
    ['an algorithm of 256 characters', { algorithm: long }],
    ['0 bits', { bitLength: 0 }],
    ['32,768 bits', { bitLength: 32_768 }],
    ['a metadata key with a space', { metadata: { 'a b': 'c' } }],
    ['an empty metadata key', { metadata: { '': 'c' } }],
    ['a metadata key of 256 characters', { metadata: { [long]: 'c' } }],
    ['a metadata value of 256 characters', { metadata: { a: long } }],
    ['a metadata value that is no string', { metadata: { a: 1 } }],
    ['metadata keys that differ in case only', { metadata: { a: '1', A: '2' } }],
    ['a certificate in DER', { type: 'certificate', payload: bytes(0x30, 0x82, 1, 2) }],
    ['a PEM text without a certificate', { type: 'certificate', payload: text(KEY_PEM) }],
    ['a certificate that is none', { type: 'certificate', payload: bytes(1, 2, 3) }],
    ['text that is no UTF-8', { type: 'passphrase', payload: bytes(0xff, 0xfe) }],
  ]
  it.each(refused)('refuses %s, and keeps nothing', async (_, change) => {
    const { manager } = subject()
    const before = (await manager.list()).length
    // As from a caller without types.
    const secret: NewSecret = Object.assign(opaque('refused bytes'), change)
    const error: unknown = await manager.store(secret).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ name: 'VolsealError', code: 'usage' })
    expect(JSON.stringify(error)).not.toContain('refused bytes')
    expect((await manager.list()).length).toBe(before)
  })

  it('says how to convert a certificate in DER', async () => {
    const secret = { type: 'certificate', payload: bytes(0x30, 0x82, 1, 2) } as const
    await expect(subject().manager.store(secret)).rejects.toHaveProperty(
      'hint',
      expect.stringContaining('openssl x509 -inform DER'),
    )
  })
}

function listsSecrets(subject: Subject): void {
  it('lists what is known of all secrets, oldest first', async () => {
    const { manager } = subject()
    const ids = [await manager.store(opaque('1'))]
    ids.push(await manager.createKey({ algorithm: 'aes', bitLength: 128 }))
    ids.push(await manager.store(opaque('3')))
    const infos = (await manager.list()).filter(({ id }) => ids.includes(id))
    expect(infos.map(({ id }) => id).toSorted()).toEqual(ids.toSorted())
    const times = infos.map(({ created }) => created)
    expect(times).toEqual(times.toSorted())
    for (const info of infos) expect(info).toEqual(await manager.describe(info.id))
  })

  it('lists more secrets than a page of Barbican has', async () => {
    const { manager } = subject()
    const stored = await Promise.all(
      Array.from({ length: 101 }, async (_, index) => await manager.store(opaque(`${index}`))),
    )
    const listed = new Set((await manager.list()).map(({ id }) => id))
    expect(stored.filter((id) => !listed.has(id))).toEqual([])
  })

  it('filters by type and by the exact name', async () => {
    const { manager } = subject()
    const one = await manager.store({ ...opaque('1'), name: 'disk_1' })
    const two = await manager.store({ ...opaque('2'), name: 'disk_1', type: 'symmetric' })
    await manager.store({ ...opaque('3'), name: 'disk_11' })
    await manager.store({ ...opaque('4'), name: 'diskX1' })
    const idsOf = async (filter: object) => (await manager.list(filter)).map(({ id }) => id)
    expect((await idsOf({ name: 'disk_1' })).toSorted()).toEqual([one, two].toSorted())
    expect(await idsOf({ name: 'disk_1', type: 'symmetric' })).toEqual([two])
    expect(await idsOf({ name: 'disk%' })).toEqual([])
    expect(await idsOf({ type: 'certificate' })).toEqual([])
  })
}

function deletesSecrets(subject: Subject): void {
  it('deletes one secret and no other', async () => {
    const { manager } = subject()
    const gone = await manager.store(opaque('gone'))
    const kept = await manager.store(opaque('kept'))
    await manager.delete(gone)
    const ids = (await manager.list()).map(({ id }) => id)
    expect(ids).toContain(kept)
    expect(ids).not.toContain(gone)
    await expect(manager.get(gone)).rejects.toMatchObject({ code: 'not-found' })
    await expect(manager.describe(gone)).rejects.toMatchObject({ code: 'not-found' })
    await expect(manager.delete(gone)).rejects.toMatchObject({ code: 'not-found' })
    await expect(manager.setMetadata(gone, {})).rejects.toMatchObject({ code: 'not-found' })
    await expect(manager.get(gone)).rejects.toMatchObject({ code: 'not-found' })
  })
}

function setsMetadata(subject: Subject): void {
  it('replaces the metadata and nothing else', async () => {
    const { manager } = subject()
    const id = await manager.store({ ...opaque('bytes'), name: 'n', metadata: { old: '1' } })
    const before = await manager.describe(id)
    await manager.setMetadata(id, { Volume_ID: 'grüße', empty: '', '10': 'x', '9': 'y' })
    const { payload, ...info } = await manager.get(id)
    const metadata = { volume_id: 'grüße', empty: '', '10': 'x', '9': 'y' }
    expect(info).toEqual({ ...before, metadata })
    expect(payload.bytes().toString()).toBe('bytes')
    await manager.setMetadata(id, {})
    expect((await manager.describe(id)).metadata).toEqual({})
  })

  it('refuses metadata that cannot be kept, and leaves what is there', async () => {
    const { manager } = subject()
    const id = await manager.store({ ...opaque('bytes'), metadata: { old: '1' } })
    await expect(manager.setMetadata(id, { ä: '1' })).rejects.toMatchObject({ code: 'usage' })
    expect((await manager.describe(id)).metadata).toEqual({ old: '1' })
  })
}

function standsTogether(subject: Subject): void {
  it('does many things at once', async () => {
    const { manager } = subject()
    const work = Array.from({ length: 12 }, async (_, index) => {
      const id = await manager.store(opaque(`payload ${index}`))
      await manager.setMetadata(id, { index: String(index) })
      if (index % 3 === 0) await manager.delete(id)
      return id
    })
    const ids = await Promise.all(work)
    const infos = new Map((await manager.list()).map((info) => [info.id, info]))
    for (const [index, id] of ids.entries()) {
      const kept = index % 3 !== 0
      expect(infos.get(id)?.metadata).toEqual(kept ? { index: String(index) } : undefined)
      const payload = kept ? (await manager.get(id)).payload.bytes().toString() : 'none'
      expect(payload).toBe(kept ? `payload ${index}` : 'none')
    }
  })

  it('does not bring back a deleted secret, whatever is set meanwhile', async () => {
    const { manager } = subject()
    for (let round = 0; round < 20; round += 1) {
      const id = await manager.store(opaque('bytes'))
      const setting = manager.setMetadata(id, { a: 'b' }).catch((error: unknown) => error)
      await manager.delete(id)
      // Set before, or too late.
      expect([undefined, 'not-found']).toContain(codeOf(await setting))
      await expect(manager.get(id)).rejects.toMatchObject({ code: 'not-found' })
    }
  })

  it('keeps one of two metadata that are set at once, whole', async () => {
    const { manager } = subject()
    const id = await manager.store(opaque('bytes'))
    const [one, two] = [
      { a: '1', b: '1' },
      { a: '2', b: '2' },
    ]
    await Promise.all([manager.setMetadata(id, one), manager.setMetadata(id, two)])
    expect([one, two]).toContainEqual((await manager.describe(id)).metadata)
  })
}

function codeOf(error: unknown): string | undefined {
  return error instanceof VolsealError ? error.code : undefined
}

function opaque(content: string): NewSecret {
  return { type: 'opaque', payload: new Secret(Buffer.from(content)) }
}

function text(content: string): Secret {
  return new Secret(Buffer.from(content))
}

function bytes(...values: number[]): Secret {
  return new Secret(Buffer.from(values))
}
