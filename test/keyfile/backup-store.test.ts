import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { backupStore, checkStore, rekeyStore } from '../../src/keyfile/index.js'
import { type PlainKey, startChild } from './children.js'
import { contentsOf, keyFile, newPlace, opaque, open, payloadOf, secretFile } from './stores.js'

describe('backupStore', () => {
  it('copies the store, still encrypted, so that it opens with the same key', async () => {
    const place = await newPlace()
    const manager = await open(place)
    const ids = [await manager.store(opaque('one')), await manager.store(opaque('two'))]
    const directory = join(place.directory, 'backup')
    expect(await backupStore(place, directory)).toEqual({ directory, secrets: 2, damaged: [] })
    expect(contentsOf(directory)).toEqual(contentsOf(place.store))
    expect(statSync(directory).mode & 0o777).toBe(0o700)
    for (const name of readdirSync(directory)) {
      expect(statSync(join(directory, name)).mode & 0o777).toBe(0o600)
    }
    const copy = await open({ ...place, store: directory })
    expect(await payloadOf(copy, ids[1] ?? '')).toBe('two')
    expect(readdirSync(place.directory).toSorted()).toEqual(['backup', 'key', 'keys'])
  })

  it('refuses a directory that exists, or that lies in the store, or has no place', async () => {
    const place = await newPlace()
    await open(place)
    const directory = join(place.directory, 'backup')
    mkdirSync(directory)
    await expect(backupStore(place, directory)).rejects.toMatchObject({
      code: 'usage',
      message: `${directory} exists already, and is left as it is`,
    })
    await expect(backupStore(place, join(place.store, 'sub'))).rejects.toMatchObject({
      code: 'usage',
    })
    await expect(backupStore(place, join(directory, 'no/where'))).rejects.toMatchObject({
      code: 'not-found',
    })
    expect(readdirSync(directory)).toEqual([])
    expect(readdirSync(place.store)).toEqual(['store.json'])
  })

  it('makes no store', async () => {
    const place = await newPlace()
    const backup = backupStore(place, join(place.directory, 'backup'))
    await expect(backup).rejects.toMatchObject({ code: 'not-found' })
  })

  it('copies damaged files too, and reports them by the name of the copy', async () => {
    const place = await newPlace()
    const manager = await open(place)
    const [good, bad] = [await manager.store(opaque('good')), await manager.store(opaque('bad'))]
    writeFileSync(secretFile(place.store, bad), '{}')
    const directory = join(place.directory, 'backup')
    const report = await backupStore(place, directory)
    expect(report).toMatchObject({ directory, secrets: 2 })
    expect(report.damaged.map(({ path }) => path)).toEqual([secretFile(directory, bad)])
    expect(await payloadOf(await open({ ...place, store: directory }), good)).toBe('good')
  })

  it('is whole beside writers and a rekey', async () => {
    const place = await newPlace()
    const manager = await open(place)
    const ids: string[] = []
    for (let index = 0; index < 30; index += 1) ids.push(await manager.store(opaque(`${index}`)))
    const next = keyFile(place.directory, 'next')
    const directory = join(place.directory, 'backup')
    const rekeying = rekeyStore(place, next)
    const writing = manager.store(opaque('meanwhile'))
    const report = await backupStore(place, directory).catch(async (error: unknown) => {
      // The rekey was faster than the backup, which had opened the store with the old key.
      expect(error).toMatchObject({ code: 'busy' })
      return await backupStore({ ...place, key: next }, directory)
    })
    expect(report.damaged).toEqual([])
    expect(report.secrets).toBeGreaterThanOrEqual(ids.length)
    await Promise.all([rekeying, writing])
    const keys = [place.key, next]
    const checks = await Promise.allSettled(
      keys.map(async (key) => await checkStore({ store: directory, key })),
    )
    const opened = checks.flatMap((check) => (check.status === 'fulfilled' ? check.value : []))
    expect(opened.length).toBeGreaterThan(0)
    expect(opened.flatMap(({ damaged }) => damaged)).toEqual([])
  })

  it('leaves nothing under its name when it is killed', async () => {
    const place = await newPlace()
    const manager = await open(place)
    await manager.store(opaque('one'))
    const directory = join(place.directory, 'backup')
    const source = `await keyfile.backupStore(at, job.directory); say('done')`
    const key: PlainKey = { kind: 'file', value: place.key.path }
    for (let nth = 1; ; nth += 1) {
      const point = { below: place.directory, nth, signal: 'SIGKILL', reads: false } as const
      const child = startChild(source, { store: place.store, key, directory }, point)
      const end = await child.ended
      const isThere = readdirSync(place.directory).includes('backup')
      // Whole or not there, and never reported without being there.
      expect(child.said.length === 0 || isThere).toBe(true)
      expect(!isThere || contentsOf(directory).size === 2).toBe(true)
      if (end === 0) break
    }
  })
})
