import { randomBytes, randomInt, randomUUID } from 'node:crypto'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { VolsealError } from '../../src/core/errors.js'
import { Secret } from '../../src/core/secret.js'
import { checkStore, type LocalKeyManager } from '../../src/keyfile/index.js'
import { newDerivation } from '../../src/keyfile/key-derivation.js'
import { Keyring } from '../../src/keyfile/keyring.js'
import {
  decodeSecretFile,
  encodeSecretFile,
  type SecretFile,
  sealSecret,
  unsealSecret,
} from '../../src/keyfile/secret-file.js'
import { decodeStoreFile, encodeStoreFile } from '../../src/keyfile/store-file.js'
import { LONG, newPlace, opaque, open, payloadOf, rawKey, secretFile } from './stores.js'

/** A secret file in memory, and the key that opens it. */
function sealed(): { bytes: Buffer; file: SecretFile; keyring: Keyring } {
  const keyring = new Keyring()
  const kekId = randomUUID()
  keyring.add(kekId, new Secret(randomBytes(32)))
  const info = {
    id: randomUUID(),
    type: 'symmetric',
    name: 'grüße',
    algorithm: 'aes',
    bitLength: 88,
    created: '2026-01-02T03:04:05.678Z',
    contentType: 'application/octet-stream',
    metadata: { one: '1', two: '' },
    origin: 'stored',
  } as const
  const file = sealSecret(info, new Secret(Buffer.from('hello world')), keyring, kekId)
  return { bytes: encodeSecretFile(file), file, keyring }
}

/** What the bytes open to, or the refusal; an unknown KEK is what the store refuses later. */
function outcome(bytes: Buffer, id: string, keyring: Keyring): string {
  try {
    const file = decodeSecretFile(bytes, id, 'FILE')
    if (!keyring.has(file.kekId)) return 'refused'
    return unsealSecret(file, keyring, 'FILE').payload.bytes().toString()
  } catch (error) {
    const named = error instanceof VolsealError && error.message.startsWith('FILE is damaged: ')
    return named ? 'refused' : `failed: ${String(error)}`
  }
}

/** Every way to change a byte; in the short run each single bit, and a few at random. */
function flips(): number[] {
  if (LONG) return Array.from({ length: 255 }, (_, index) => index + 1)
  const bits = Array.from({ length: 8 }, (_, bit) => 1 << bit)
  return [...bits, ...bits.map(() => randomInt(1, 256))]
}

/** The bytes with one of them changed, each in turn. */
function* changes(bytes: Buffer): Generator<Buffer> {
  for (const [index, byte] of bytes.entries()) {
    for (const flip of flips()) {
      const changed = Buffer.from(bytes)
      changed[index] = byte ^ flip
      yield changed
    }
  }
}

describe('a secret file', () => {
  it('opens as it was written', () => {
    const { bytes, file, keyring } = sealed()
    expect(outcome(bytes, file.info.id, keyring)).toBe('hello world')
    expect(decodeSecretFile(bytes, file.info.id, 'FILE').info).toEqual(file.info)
  })

  it('is refused with any one byte changed', () => {
    const { bytes, file, keyring } = sealed()
    const outcomes = new Set<string>()
    for (const changed of changes(bytes)) {
      outcomes.add(outcome(changed, file.info.id, keyring))
    }
    expect([...outcomes]).toEqual(['refused'])
  })

  it('is refused at every shorter length, and with anything behind it', () => {
    const { bytes, file, keyring } = sealed()
    for (let length = 0; length < bytes.length; length += 1) {
      expect(outcome(bytes.subarray(0, length), file.info.id, keyring)).toBe('refused')
    }
    for (const more of ['\n', ' ', '{}', '\0']) {
      const longer = Buffer.concat([bytes, Buffer.from(more)])
      expect(outcome(longer, file.info.id, keyring)).toBe('refused')
    }
  })

  it.each([
    ['id', { id: randomUUID() }],
    ['type', { type: 'opaque' }],
    ['name', { name: null }],
    ['algorithm', { algorithm: 'des' }],
    ['bit length', { bitLength: 256 }],
    ['time', { created: '2025-01-02T03:04:05.678Z' }],
    ['content type', { contentType: 'text/plain' }],
    ['metadata', { metadata: { one: '1' } }],
    ['metadata keys', { metadata: { one: '', two: '1' } }],
    ['origin', { origin: 'generated' }],
  ] as const)('is refused with another %s, well spelled', (_, change) => {
    const { file, keyring } = sealed()
    const info = { ...file.info, ...change }
    const bytes = encodeSecretFile({ ...file, info })
    expect(outcome(bytes, info.id, keyring)).toBe('refused')
  })

  it('is refused with parts of another one', () => {
    const { file, keyring } = sealed()
    const { payload, wrappedKey, kekId } = sealSecret(
      file.info,
      new Secret(Buffer.from('hello earth')),
      keyring,
      file.kekId,
    )
    const { id } = file.info
    expect(outcome(encodeSecretFile({ ...file, payload }), id, keyring)).toBe('refused')
    expect(outcome(encodeSecretFile({ ...file, wrappedKey }), id, keyring)).toBe('refused')
    // Only a whole older state of the same secret cannot be told.
    const whole = encodeSecretFile({ info: file.info, payload, wrappedKey, kekId })
    expect(outcome(whole, id, keyring)).toBe('hello earth')
  })
})

describe('a damaged file in a store', () => {
  const step = LONG ? 1 : 7
  it('is named by everything that reads it, and the others stay usable', async () => {
    const place = { ...(await newPlace()), key: rawKey() }
    const manager = await open(place)
    const [id, other] = [await manager.store(opaque('one')), await manager.store(opaque('two'))]
    const path = secretFile(place.store, id)
    const bytes = readFileSync(path)
    for (let index = 0; index < bytes.length; index += step) {
      const changed = Buffer.from(bytes)
      changed[index] = (changed[index] ?? 0) ^ (1 << randomInt(8))
      writeFileSync(path, changed)
      await expectNamed(manager, id, path)
    }
    expect(await payloadOf(manager, other)).toBe('two')
    const { damaged, secrets } = await checkStore(place)
    expect(secrets).toBe(2)
    expect(damaged).toEqual([{ path, reason: expect.any(String) as unknown }])
    writeFileSync(path, bytes)
    expect(await payloadOf(manager, id)).toBe('one')
    expect((await checkStore(place)).damaged).toEqual([])
  })

  it('is named when two have changed places', async () => {
    const place = { ...(await newPlace()), key: rawKey() }
    const manager = await open(place)
    const [one, two] = [await manager.store(opaque('one')), await manager.store(opaque('two'))]
    const paths = [secretFile(place.store, one), secretFile(place.store, two)] as const
    copyFileSync(paths[0], join(place.directory, 'aside'))
    copyFileSync(paths[1], paths[0])
    copyFileSync(join(place.directory, 'aside'), paths[1])
    const messages = [
      `${paths[0]} is damaged: it holds the secret ${two}`,
      `${paths[1]} is damaged: it holds the secret ${one}`,
    ]
    await expect(manager.get(one)).rejects.toThrow(messages[0])
    await expect(manager.get(two)).rejects.toThrow(messages[1])
    await expect(manager.list()).rejects.toMatchObject({ code: 'keystore-damaged' })
    const { damaged } = await checkStore(place)
    expect(damaged.map(({ path }) => path)).toEqual([...paths].toSorted())
  })

  it('can be deleted', async () => {
    const place = await newPlace()
    const manager = await open(place)
    const id = await manager.store(opaque('one'))
    writeFileSync(secretFile(place.store, id), '{')
    await expect(manager.get(id)).rejects.toMatchObject({ code: 'keystore-damaged' })
    await manager.delete(id)
    expect(await manager.list()).toEqual([])
  })
})

async function expectNamed(manager: LocalKeyManager, id: string, path: string): Promise<void> {
  const named = {
    code: 'keystore-damaged',
    message: expect.stringContaining(`${path} is damaged: `) as unknown,
  }
  await expect(manager.get(id)).rejects.toMatchObject(named)
  await expect(manager.describe(id)).rejects.toMatchObject(named)
  await expect(manager.list()).rejects.toMatchObject({
    code: 'keystore-damaged',
    report: { damaged: [{ path }] },
  })
  await expect(manager.setMetadata(id, {})).rejects.toMatchObject(named)
}

describe('store.json', () => {
  it('is refused with any one byte changed, and at every shorter length', async () => {
    const place = { ...(await newPlace()), key: rawKey() }
    await open(place)
    const bytes = readFileSync(join(place.store, 'store.json'))
    const outcomes = new Set<string>()
    const look = (changed: Buffer): void => {
      try {
        decodeStoreFile(changed, 'FILE')
        outcomes.add('taken')
      } catch (error) {
        const text = error instanceof VolsealError ? `${error.code} ${error.message}` : 'failed'
        outcomes.add(text.slice(0, 'keystore-damaged FILE is damaged'.length))
      }
    }
    for (const changed of changes(bytes)) look(changed)
    for (let length = 0; length < bytes.length; length += 1) look(bytes.subarray(0, length))
    expect([...outcomes]).toEqual(['keystore-damaged FILE is damaged'])
  })

  it('is named when it is damaged, unlike with a wrong key', async () => {
    const place = { ...(await newPlace()), key: rawKey() }
    const manager = await open(place)
    const id = await manager.store(opaque('one'))
    const path = join(place.store, 'store.json')
    const bytes = readFileSync(path)
    await expect(open({ ...place, key: rawKey() })).rejects.toThrow('is not the one of')
    writeFileSync(path, bytes.subarray(0, -1))
    const named = { code: 'keystore-damaged', message: expect.stringContaining(path) as unknown }
    await expect(open(place)).rejects.toMatchObject(named)
    await expect(manager.store(opaque('two'))).rejects.toMatchObject(named)
    const report = await checkStore(place)
    expect(report.secrets).toBe(1)
    expect(report.damaged).toEqual([{ path, reason: 'it is not spelled as volseal writes it' }])
    writeFileSync(path, bytes)
    expect(await payloadOf(manager, id)).toBe('one')
  })

  it.each([
    ['cost', 2 ** 30],
    ['cost', 2 ** 17 + 1],
    ['cost', 2 ** 10],
    ['blockSize', 1024],
    ['parallelization', 1_000_000],
    ['salt', Buffer.alloc(8)],
  ])('is refused with a scrypt %s of %s, well spelled', (field, value) => {
    const current = { id: randomUUID(), kdf: newDerivation(), verifier: Buffer.alloc(28) }
    expect(decodeStoreFile(encodeStoreFile({ current, bridge: null }), 'FILE')).toEqual({
      current,
      bridge: null,
    })
    const kdf = { ...current.kdf, [field]: value }
    const bytes = encodeStoreFile({ current: { ...current, kdf }, bridge: null })
    expect(() => decodeStoreFile(bytes, 'FILE')).toThrow(/^FILE is damaged: .*scrypt/)
  })
})
