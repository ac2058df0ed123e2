import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { KeyManager } from '../../src/keyfile/index.js'
import { keepsSecrets } from './key-manager-keeping.js'

/** A key manager to be tried, fresh for each test. */
export interface ContractSubject {
  readonly manager: KeyManager
  /** A secret that is there from the beginning; needed of a manager that keeps nothing itself. */
  readonly known?: string
  dispose(): Promise<void>
}

export interface ContractOptions {
  /** False for a manager that only hands out a key it was given. */
  readonly keeps?: boolean
}

type Subject = () => ContractSubject

const UNKNOWN = '5b0f4e7c-6a3d-4d0e-9f1a-2c8b7e6d5f40'
const BAD_IDS = [
  '',
  'secret',
  '../store',
  UNKNOWN.toUpperCase(),
  `${UNKNOWN}\n`,
  `https://barbican/v1/secrets/${UNKNOWN}`,
  // Version 1, and a variant that RFC 9562 does not have.
  '5b0f4e7c-6a3d-1d0e-9f1a-2c8b7e6d5f40',
  '5b0f4e7c-6a3d-4d0e-cf1a-2c8b7e6d5f40',
]

/** Registers the tests that every key manager passes. `make` is called once for each of them. */
export function keyManagerContract(
  name: string,
  make: () => Promise<ContractSubject>,
  { keeps = true }: ContractOptions = {},
): void {
  describe(`${name} as a key manager`, () => {
    let subject: ContractSubject
    beforeEach(async () => {
      subject = await make()
    })
    afterEach(async () => {
      await subject.dispose()
    })
    const current: Subject = () => subject
    readsSecrets(current)
    refusesIds(current, keeps)
    if (!keeps) return
    createsKeys(current)
    keepsSecrets(current)
  })
}

function readsSecrets(subject: Subject): void {
  it('describes a secret as it gets it, without the bytes', async () => {
    const { manager } = subject()
    const id = await knownId(subject())
    const { payload, ...info } = await manager.get(id)
    expect(payload.length).toBeGreaterThan(0)
    expect(info.id).toBe(id)
    expect(await manager.describe(id)).toEqual(info)
  })

  it('hands out bytes of which the receiver may wipe its own', async () => {
    const { manager } = subject()
    const id = await knownId(subject())
    const first = (await manager.get(id)).payload
    const copy = Buffer.from(first.bytes())
    first.wipe()
    expect((await manager.get(id)).payload.bytes().equals(copy)).toBe(true)
  })

  it('does not show the bytes when a secret is printed', async () => {
    const secret = await subject().manager.get(await knownId(subject()))
    const printed = JSON.stringify(secret)
    expect(printed).not.toContain(secret.payload.bytes().toString('hex'))
    expect(printed).toContain('[secret]')
  })
}

function refusesIds(subject: Subject, keeps: boolean): void {
  const calls: [string, (manager: KeyManager, id: string) => Promise<unknown>][] = [
    ['get', async (manager, id) => await manager.get(id)],
    ['describe', async (manager, id) => await manager.describe(id)],
  ]
  if (keeps) {
    calls.push(
      ['delete', async (manager, id) => await manager.delete(id)],
      ['setMetadata', async (manager, id) => await manager.setMetadata(id, { a: 'b' })],
    )
  }
  it.each(calls)('%s: an id that is not there is not-found', async (_, call) => {
    await expect(call(subject().manager, UNKNOWN)).rejects.toMatchObject({
      name: 'VolsealError',
      code: 'not-found',
    })
  })

  it.each(calls)('%s: what is no version-4 UUID is a usage error', async (_, call) => {
    for (const id of BAD_IDS) {
      await expect(call(subject().manager, id)).rejects.toMatchObject({ code: 'usage' })
    }
  })
}

function createsKeys(subject: Subject): void {
  it.each([64, 128, 192, 256, 512])('draws a key of %i bits', async (bitLength) => {
    const { manager } = subject()
    const before = Date.now()
    const id = await manager.createKey({ algorithm: 'aes', bitLength, name: 'volume key' })
    const { payload, created, ...info } = await manager.get(id)
    expect(payload.length).toBe(bitLength / 8)
    expect(info).toEqual({
      id,
      type: 'symmetric',
      name: 'volume key',
      algorithm: 'aes',
      bitLength,
      contentType: 'application/octet-stream',
      metadata: {},
      origin: 'generated',
    })
    expect(created).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/)
    // A service may have a clock of its own.
    expect(Math.abs(Date.parse(created) - before)).toBeLessThan(60_000)
  })

  it('draws another key each time, and needs no name', async () => {
    const { manager } = subject()
    const one = await manager.get(await manager.createKey({ algorithm: 'aes', bitLength: 256 }))
    const two = await manager.get(await manager.createKey({ algorithm: 'aes', bitLength: 256 }))
    expect(one.id).not.toBe(two.id)
    expect(one.name).toBeNull()
    expect(one.payload.bytes().equals(two.payload.bytes())).toBe(false)
  })

  it.each([0, -8, 8, 56, 63, 65, 100, 257, 520, 1024, 128.5, Number.NaN])(
    'refuses a key of %d bits',
    async (bitLength) => {
      const key = { algorithm: 'aes', bitLength }
      await expect(subject().manager.createKey(key)).rejects.toMatchObject({ code: 'usage' })
    },
  )

  it('keeps metadata of a key', async () => {
    const { manager } = subject()
    const metadata = { volume: 'f2a1', host: 'k1' }
    const id = await manager.createKey({ algorithm: 'aes', bitLength: 256, metadata })
    expect((await manager.describe(id)).metadata).toEqual(metadata)
  })
}

async function knownId({ manager, known }: ContractSubject): Promise<string> {
  return known ?? (await manager.createKey({ algorithm: 'aes', bitLength: 256 }))
}
