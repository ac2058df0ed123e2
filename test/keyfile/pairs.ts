import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import { VolsealError } from '../../src/core/errors.js'
import { Secret } from '../../src/core/secret.js'
import type { StoreKeySource } from '../../src/keyfile/index.js'
import type { PlainKey } from './children.js'
import { opaque, open, payloadOf, temporaryDirectory } from './stores.js'

/** A store that is to be put under another key. */
export interface Pair {
  readonly store: string
  readonly old: StoreKeySource
  readonly next: StoreKeySource
  readonly oldPlain: PlainKey
  readonly nextPlain: PlainKey
  /** Payloads by id. */
  readonly secrets: Map<string, string>
}

/** A store with some secrets and two keys, the second of which is not used yet. */
export async function storeWith(count: number): Promise<Pair> {
  const store = `${await temporaryDirectory()}/keys`
  const keys = [randomBytes(32), randomBytes(32)] as const
  const [old, next] = keys.map((key): StoreKeySource => ({ kind: 'key', key: new Secret(key) }))
  const [oldPlain, nextPlain] = keys.map(
    (key): PlainKey => ({ kind: 'key', value: key.toString('hex') }),
  )
  if (!old || !next || !oldPlain || !nextPlain) throw new Error('unreachable')
  const manager = await open({ store, key: old })
  const secrets = new Map<string, string>()
  for (let index = 0; index < count; index += 1) {
    secrets.set(await manager.store(opaque(`secret ${index}`)), `secret ${index}`)
  }
  return { store, old, next, oldPlain, nextPlain, secrets }
}

/** Opens every secret with that key. */
export async function expectSecrets({ store, secrets }: Pair, key: StoreKeySource): Promise<void> {
  const manager = await open({ store, key })
  for (const [id, payload] of secrets) expect(await payloadOf(manager, id)).toBe(payload)
  const ids = (await manager.list()).map(({ id }) => id)
  expect(ids).toEqual(expect.arrayContaining([...secrets.keys()]))
}

/** Whether the key opens the store; false only for a wrong key. */
export async function opens(store: string, key: StoreKeySource): Promise<boolean> {
  try {
    await open({ store, key })
    return true
  } catch (error) {
    if (error instanceof VolsealError && error.message.includes('is not the one of')) return false
    throw error
  }
}
