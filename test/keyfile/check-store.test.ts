import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { checkStore } from '../../src/keyfile/index.js'
import { withTemporary } from '../../src/keyfile/store-directory.js'
import { startChild } from './children.js'
import {
  contentsOf,
  makeFifo,
  newPlace,
  opaque,
  open,
  rawKey,
  secretFile,
  strayFiles,
} from './stores.js'

const DIE_WRITING = `
await withTemporary(job.store, async () => process.kill(process.pid, 'SIGKILL'))
`
const DIE_LOCKED = `
await withLock(job.store, async () => process.kill(process.pid, 'SIGKILL'))
`

describe('checkStore', () => {
  it('reports a sound store, and changes nothing', async () => {
    const place = await newPlace()
    const manager = await open(place)
    await manager.store(opaque('one'))
    await manager.createKey({ algorithm: 'aes', bitLength: 256 })
    const before = contentsOf(place.store)
    const report = await checkStore(place, { clean: true })
    expect(report).toEqual({
      secrets: 2,
      damaged: [],
      leftovers: [],
      removed: [],
      unfinishedRekey: false,
    })
    expect(contentsOf(place.store)).toEqual(before)
  })

  it('reports all damaged secrets, each with its reason', async () => {
    const place = await newPlace()
    const manager = await open(place)
    const ids = [await manager.store(opaque('1')), await manager.store(opaque('2'))]
    ids.push(await manager.store(opaque('3')), await manager.store(opaque('4')))
    const paths = ids.map((id) => secretFile(place.store, id))
    const [one = '', two = '', three = ''] = paths
    writeFileSync(one, '{"format":')
    writeFileSync(two, Buffer.alloc(2 ** 20 + 1))
    rmSync(three)
    mkdirSync(three)
    const { secrets, damaged } = await checkStore(place)
    expect(secrets).toBe(4)
    expect(new Map(damaged.map(({ path, reason }) => [path, reason]))).toEqual(
      new Map([
        [one, 'content: expected JSON'],
        [two, 'expected at most 1048576 bytes, got 1048577'],
        [three, 'it is no regular file'],
      ]),
    )
    const sound = { id: ids[3] }
    await expect(manager.list()).rejects.toMatchObject({
      code: 'keystore-damaged',
      report: { secrets: [sound], damaged: expect.arrayContaining([...damaged]) },
    })
    await expect(manager.list({ name: 'other' })).rejects.toMatchObject({ report: { secrets: [] } })
  })

  it('does not wait for a FIFO in the place of a secret', async () => {
    const place = await newPlace()
    const id = await (await open(place)).store(opaque('1'))
    const path = secretFile(place.store, id)
    rmSync(path)
    makeFifo(path)
    expect((await checkStore(place)).damaged).toEqual([{ path, reason: 'it is no regular file' }])
  })

  it('names a secret that is under another key', async () => {
    const [place, other] = [await newPlace(), await newPlace()]
    await open(place)
    const id = await (await open(other)).store(opaque('of another store'))
    writeFileSync(secretFile(place.store, id), readFileSync(secretFile(other.store, id)))
    expect((await checkStore(place)).damaged).toEqual([
      {
        path: secretFile(place.store, id),
        reason: 'its key is sealed under a key that is not the one of the store',
      },
    ])
  })

  it('reports a store.json that is missing, and counts the secrets', async () => {
    const place = await newPlace()
    await (await open(place)).store(opaque('1'))
    const path = join(place.store, 'store.json')
    rmSync(path)
    expect(await checkStore(place)).toMatchObject({
      secrets: 1,
      damaged: [{ path, reason: 'it is missing, though secrets are there: 1' }],
    })
  })

  it('makes no store, and takes no wrong key', async () => {
    const place = await newPlace()
    await expect(checkStore(place)).rejects.toMatchObject({ code: 'not-found' })
    expect(readdirSync(place.directory)).toEqual([])
    await open(place)
    const wrong = checkStore({ ...place, key: rawKey() })
    await expect(wrong).rejects.toMatchObject({ code: 'keystore-damaged' })
  })

  it('reports what dead processes left, and removes it when asked to', async () => {
    const place = await newPlace()
    await open(place)
    const job = { store: place.store, key: { kind: 'file', value: place.key.path } } as const
    for (const source of [DIE_WRITING, DIE_LOCKED]) {
      expect(await startChild(source, job).ended).toBe('SIGKILL')
    }
    const left = strayFiles(place.store).map((name) => join(place.store, name))
    expect(left.length).toBe(2)
    const report = await checkStore(place)
    expect(report.leftovers.toSorted()).toEqual(left.toSorted())
    expect(report.removed).toEqual([])
    const cleaned = await checkStore(place, { clean: true })
    expect(cleaned.leftovers).toEqual([])
    expect(cleaned.removed.toSorted()).toEqual(left.toSorted())
    expect(strayFiles(place.store)).toEqual([])
  })

  it('leaves alone what living processes and others have there', async () => {
    const place = await newPlace()
    await open(place)
    for (const name of ['notes.txt', 'old.json', '0123456789ab.tmp']) {
      writeFileSync(join(place.store, name), '')
    }
    await withTemporary(place.store, async (temporary) => {
      expect(await checkStore(place, { clean: true })).toMatchObject({ leftovers: [], removed: [] })
      expect(strayFiles(place.store)).toEqual(
        expect.arrayContaining(['notes.txt', '0123456789ab.tmp']),
      )
      await temporary.write(Buffer.from('still there'))
    })
  })

  it('takes a process of another pid namespace for living, and one of another boot for dead', async () => {
    const place = await newPlace()
    await open(place)
    let own = ''
    await withTemporary(place.store, async ({ path }) => {
      own = path
    })
    const [id = '', name = ''] = own.slice(place.store.length + 1).split('.')
    const [, start, boot = '', namespace] = name.split('-')
    const dead = `4194999-${start}-${boot}-${namespace}`
    const foreign = `4194999-${start}-${boot}-1`
    const former = `4194999-${start}-${'0'.repeat(boot.length)}-1`
    const reused = `${process.pid}-1-${boot}-${namespace}`
    for (const owner of [dead, foreign, former, reused]) {
      writeFileSync(join(place.store, `${id}.${owner}.tmp`), '')
    }
    const { leftovers } = await checkStore(place)
    const expected = [dead, former, reused].map((owner) => join(place.store, `${id}.${owner}.tmp`))
    expect(leftovers.toSorted()).toEqual(expected.toSorted())
  })
})
