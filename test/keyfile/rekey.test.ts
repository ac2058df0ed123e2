import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { record } from '../../src/core/check.js'
import { checkStore, rekeyStore } from '../../src/keyfile/index.js'
import { expectSecrets, opens, storeWith } from './pairs.js'
import {
  contentsOf,
  keyFile,
  newPlace,
  opaque,
  open,
  passphrase,
  payloadOf,
  secretFile,
  strayFiles,
} from './stores.js'

function parsed(content: Buffer | undefined): Record<string, unknown> {
  return record(JSON.parse(String(content)), 'file')
}

describe('rekeyStore', () => {
  it('puts all secrets under the new key, and leaves payloads and headers as they are', async () => {
    const pair = await storeWith(5)
    const before = contentsOf(pair.store)
    const report = await rekeyStore({ store: pair.store, key: pair.old }, pair.next)
    expect(report).toEqual({ secrets: 5, finishedPending: false })
    await expectSecrets(pair, pair.next)
    for (const id of pair.secrets.keys()) {
      const name = `${id}.json`
      const [old, now] = [parsed(before.get(name)), parsed(contentsOf(pair.store).get(name))]
      expect(now).not.toEqual(old)
      const { kekId, wrappedKey } = now
      expect(now).toEqual({ ...old, kekId, wrappedKey })
    }
  })

  it('goes from a key file to a passphrase and to another key file, which it makes', async () => {
    const place = await newPlace()
    const id = await (await open(place)).store(opaque('kept'))
    const [words, other] = [passphrase('correct horse'), keyFile(place.directory, 'new/other')]
    await rekeyStore(place, words)
    await rekeyStore({ ...place, key: words }, other)
    expect(await payloadOf(await open({ ...place, key: other }), id)).toBe('kept')
    await expect(open(place)).rejects.toMatchObject({ code: 'keystore-damaged' })
    await expect(open({ ...place, key: words })).rejects.toThrow(
      'is opened by a key, not by a passphrase',
    )
  })

  it('refuses the key that the store has', async () => {
    const { store, old } = await storeWith(1)
    await expect(rekeyStore({ store, key: old }, old)).rejects.toMatchObject({ code: 'usage' })
    expect(strayFiles(store)).toEqual([])
  })

  it('refuses a new key file in the store, and one that others can read', async () => {
    const place = await newPlace()
    await open(place)
    const within = keyFile(place.store, 'key')
    await expect(rekeyStore(place, within)).rejects.toMatchObject({ code: 'usage' })
    const loose = keyFile(place.directory, 'loose')
    writeFileSync(loose.path, `${'0'.repeat(64)}\n`, { mode: 0o644 })
    await expect(rekeyStore(place, loose)).rejects.toMatchObject({ code: 'forbidden' })
    expect((await checkStore(place)).unfinishedRekey).toBe(false)
  })

  it('refuses a store that is not there, and a wrong key', async () => {
    const place = await newPlace()
    await expect(rekeyStore(place, passphrase('p'))).rejects.toMatchObject({ code: 'not-found' })
    const pair = await storeWith(1)
    await expect(rekeyStore({ store: pair.store, key: pair.next }, pair.old)).rejects.toMatchObject(
      { code: 'keystore-damaged' },
    )
  })

  it('refuses a store with a damaged secret, and names it', async () => {
    const pair = await storeWith(3)
    const [id = ''] = pair.secrets.keys()
    const path = secretFile(pair.store, id)
    writeFileSync(path, readFileSync(path).subarray(0, -10))
    const error: unknown = await rekeyStore({ store: pair.store, key: pair.old }, pair.next).catch(
      (thrown: unknown) => thrown,
    )
    expect(error).toMatchObject({ code: 'keystore-damaged' })
    expect(String(error)).toContain(`1 of 3 secrets are damaged, the first is ${path}`)
    expect(await opens(pair.store, pair.next)).toBe(false)
  })

  it('tells who has the store open with the old key to open it again', async () => {
    const pair = await storeWith(1)
    const manager = await open({ store: pair.store, key: pair.old })
    const [id = ''] = pair.secrets.keys()
    await rekeyStore({ store: pair.store, key: pair.old }, pair.next)
    const busy = { code: 'busy', hint: 'open it again, with the new key' }
    await expect(manager.get(id)).rejects.toMatchObject(busy)
    await expect(manager.list()).rejects.toMatchObject(busy)
    await expect(manager.store(opaque('x'))).rejects.toMatchObject(busy)
    await expect(manager.setMetadata(id, {})).rejects.toMatchObject(busy)
    await expect(manager.delete(id)).rejects.toMatchObject(busy)
    await expectSecrets(pair, pair.next)
  })
})
