import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { withLock } from '../../src/keyfile/lock.js'
import { startChild } from './children.js'
import { LONG, newPlace, opaque, open, rawKey, temporaryDirectory } from './stores.js'

/** Reads and writes a number with a pause between: two at once would lose a step. */
const COUNT = `
const { readFileSync, writeFileSync } = await import('node:fs')
for (let round = 0; round < job.rounds; round += 1) {
  await withLock(job.store, async () => {
    const number = Number(readFileSync(job.file, 'latin1'))
    await new Promise((resolve) => setTimeout(resolve, 1))
    writeFileSync(job.file, String(number + 1))
  })
}
`
const HOLD = `
await withLock(job.store, async () => {
  say('held')
  await new Promise((resolve) => setTimeout(resolve, 60000))
})
`

describe('the lock of a store', () => {
  it('is held by one process at a time', async () => {
    const store = await temporaryDirectory()
    const file = join(store, 'number')
    writeFileSync(file, '0')
    const rounds = LONG ? 500 : 25
    const job = { store, key: { kind: 'key', value: '' }, file, rounds } as const
    const children = Array.from({ length: 4 }, () => startChild(COUNT, job))
    const ends = await Promise.all(children.map(async (child) => await child.ended))
    expect(ends).toEqual([0, 0, 0, 0])
    expect(readFileSync(file, 'latin1')).toBe(String(rounds * 4))
    expect(readdirSync(store)).toEqual(['number'])
  })

  it('is held by one caller at a time in the same process too', async () => {
    const store = await temporaryDirectory()
    let inside = 0
    const most: number[] = []
    const work = async (): Promise<void> => {
      inside += 1
      most.push(inside)
      await sleep(1)
      inside -= 1
    }
    await Promise.all(Array.from({ length: 10 }, async () => await withLock(store, work)))
    expect(most).toEqual(Array.from({ length: 10 }, () => 1))
  })

  it('is given back when the work fails', async () => {
    const store = await temporaryDirectory()
    const failing = withLock(store, async () => await Promise.reject(new Error('no')))
    await expect(failing).rejects.toThrow('no')
    expect(readdirSync(store)).toEqual([])
  })

  it('is waited for, and then refused with the process that holds it', async () => {
    const store = await temporaryDirectory()
    const child = startChild(HOLD, { store, key: { kind: 'key', value: '' } })
    expect(await child.settled(1)).toBe('said')
    const waiting = withLock(store, async () => await Promise.resolve('mine'), 100)
    await expect(waiting).rejects.toMatchObject({
      code: 'busy',
      message: `the key store ${store} is in use by process ${child.pid}`,
    })
    child.kill('SIGKILL')
    // Even before anybody has waited for the dead child.
    expect(await withLock(store, async () => await Promise.resolve('mine'), 5000)).toBe('mine')
    expect(readdirSync(store)).toEqual([])
  })

  it('is not needed for new secrets and for reading', async () => {
    const place = { ...(await newPlace()), key: rawKey() }
    const manager = await open(place)
    await withLock(place.store, async () => {
      const id = await manager.store(opaque('one'))
      const key = await manager.createKey({ algorithm: 'aes', bitLength: 256 })
      expect((await manager.list()).map((info) => info.id).toSorted()).toEqual([id, key].toSorted())
    })
  })
})
