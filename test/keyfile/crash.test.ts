import { randomInt } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { checkStore } from '../../src/keyfile/index.js'
import { type PlainKey, startChild } from './children.js'
import { LONG, newPlace, opaque, open, payloadOf, type StoreAt, strayFiles } from './stores.js'

/** What a writing child says: `payload` after store(), `version` after setMetadata(), and so on. */
interface Said {
  id: string
  payload?: string
  version?: number
  deleting?: boolean
  deleted?: boolean
}

const WRITER = `
const manager = await keyfile.openLocalKeyManager(at)
for (let round = 0; ; round += 1) {
  const payload = 'payload-' + process.pid + '-' + round
  const id = await manager.store({ type: 'opaque', payload: new Secret(Buffer.from(payload)) })
  say({ id, payload })
  if (round % 2 === 0) {
    for (const version of [1, 2]) {
      await manager.setMetadata(id, { version: String(version) })
      say({ id, version })
    }
  }
  if (round % 4 === 0) {
    say({ id, deleting: true })
    await manager.delete(id)
    say({ id, deleted: true })
  }
}
`

const STORE_ONE = `
const manager = await keyfile.openLocalKeyManager(at)
const payload = new Secret(Buffer.from('the one'))
say(await manager.store({ type: 'opaque', payload }))
`

const CHANGE_ONE = `
const manager = await keyfile.openLocalKeyManager(at)
await manager.setMetadata(job.id, { version: '2' })
say('set')
await manager.delete(job.id)
say('deleted')
`

/** Long runs, and machines that do much else. */
const WITH_TIME = { timeout: 900_000 }

/** What the metadata can be after none, one and both of its reports. */
const POSSIBLE = [['1', '2'], ['2', 'none'], ['none']]

describe('a writer that is killed at a random instant', () => {
  // The store is looked through after each round, so it must not become too large.
  const [stores, rounds] = [LONG ? 30 : 1, 8]
  it(`loses nothing that it reported, ${stores * rounds} times over`, WITH_TIME, async () => {
    for (let store = 0; store < stores; store += 1) {
      expect(await killWriters(rounds)).toBeGreaterThan(rounds)
    }
  })
})

/** Returns how many lines they said, all of which proved true. */
async function killWriters(rounds: number): Promise<number> {
  const place = await newPlace()
  const said: Said[] = []
  for (let round = 0; round < rounds; round += 1) {
    said.push(...(await writeAndKill(place.store, place.key.path)))
    await expectAll(place, said)
  }
  const report = await checkStore(place, { clean: true })
  expect(report).toMatchObject({ damaged: [], leftovers: [] })
  expect(strayFiles(place.store)).toEqual([])
  await expectAll(place, said)
  return said.length
}

async function writeAndKill(store: string, key: string): Promise<Said[]> {
  const child = startChild<Said>(WRITER, { store, key: { kind: 'file', value: key } })
  await child.settled(1)
  await sleep(randomInt(0, 120))
  child.kill('SIGKILL')
  expect(await child.ended).toBe('SIGKILL')
  return child.said
}

async function expectAll(place: StoreAt, said: readonly Said[]): Promise<void> {
  const manager = await open(place)
  const infos = new Map((await manager.list()).map((info) => [info.id, info]))
  const wrong: string[] = []
  for (const id of new Set(said.map((line) => line.id))) {
    const ofOne = said.filter((line) => line.id === id)
    const payload = infos.has(id) ? await payloadOf(manager, id) : undefined
    wrong.push(...contradictions(ofOne, payload, infos.get(id)?.metadata['version']))
  }
  expect(wrong).toEqual([])
  manager.close()
}

/** Where what is in the store is not what was reported of one secret. */
function contradictions(
  lines: readonly Said[],
  payload: string | undefined,
  version: string | undefined,
): string[] {
  const id = lines[0]?.id ?? ''
  const wasDeleted = lines.some(({ deleted }) => deleted)
  if (payload === undefined) {
    return lines.some(({ deleting }) => deleting) ? [] : [`${id} is lost`]
  }
  if (wasDeleted) return [`${id} is there again`]
  const reported = Math.max(0, ...lines.map((line) => line.version ?? 0))
  const behind = Number(version ?? 0) - reported
  if (behind !== 0 && behind !== 1) return [`${id} has metadata ${version}, not ${reported}`]
  return payload === lines[0]?.payload ? [] : [`${id} holds something else`]
}

/** Runs the child again and again, killed before its first operation, its second, and so on. */
async function killAtEachPoint(
  source: string,
  prepare: () => Promise<{ store: string; key: PlainKey; below: string; more?: object }>,
  look: (said: readonly string[]) => Promise<void>,
): Promise<number> {
  for (let nth = 1; ; nth += 1) {
    const { store, key, below, more } = await prepare()
    const child = startChild<string>(
      source,
      { store, key, ...more },
      { below, nth, signal: 'SIGKILL', reads: false },
    )
    const end = await child.ended
    await look(child.said)
    if (end === 0) return nth - 1
    expect(end).toBe('SIGKILL')
  }
}

describe('a process that is killed before each of its file operations', () => {
  it('making a store and its first secret: the next one goes on', async () => {
    let place = await newPlace()
    const points = await killAtEachPoint(
      STORE_ONE,
      async () => {
        place = await newPlace()
        const key: PlainKey = { kind: 'file', value: place.key.path }
        return { store: place.store, key, below: place.directory }
      },
      async (said) => {
        const manager = await open(place)
        const ids = (await manager.list()).map(({ id }) => id)
        // It may be there although it was not reported, but not the other way round.
        expect(ids).toEqual(expect.arrayContaining([...said]))
        for (const id of ids) expect(await payloadOf(manager, id)).toBe('the one')
        const id = await manager.store(opaque('the next'))
        expect(await payloadOf(manager, id)).toBe('the next')
        const report = await checkStore(place, { clean: true })
        expect(report).toMatchObject({ secrets: ids.length + 1, damaged: [], leftovers: [] })
        expect(strayFiles(place.store)).toEqual([])
      },
    )
    expect(points).toBeGreaterThanOrEqual(10)
  })

  it('setting metadata and deleting: done or not, and nothing in the way', async () => {
    const place = await newPlace()
    const manager = await open(place)
    let id = ''
    const points = await killAtEachPoint(
      CHANGE_ONE,
      async () => {
        id = await manager.store({ ...opaque('bytes'), metadata: { version: '1' } })
        const key: PlainKey = { kind: 'file', value: place.key.path }
        return { store: place.store, key, below: place.store, more: { id } }
      },
      async (said) => {
        const info = (await manager.list()).find((found) => found.id === id)
        expect(POSSIBLE[said.length]).toContain(info?.metadata['version'] ?? 'none')
        // The dead process may have held the lock.
        const other = await manager.store(opaque('bytes'))
        const alive = info?.id ?? other
        await manager.setMetadata(alive, { version: '3' })
        expect(await payloadOf(manager, alive)).toBe('bytes')
        await manager.delete(alive)
      },
    )
    expect(points).toBeGreaterThan(6)
    await checkStore(place, { clean: true })
    expect(strayFiles(place.store)).toEqual([])
  })
})

describe('many processes at once', () => {
  const writers = 4
  it('lose none of their secrets', WITH_TIME, async () => {
    const place = await newPlace()
    await open(place)
    const key: PlainKey = { kind: 'file', value: place.key.path }
    const children = Array.from({ length: writers }, () =>
      startChild<Said>(WRITER, { store: place.store, key }),
    )
    await Promise.all(children.map(async (child) => await child.settled(LONG ? 800 : 150)))
    for (const child of children) child.kill('SIGKILL')
    await Promise.all(children.map(async (child) => await child.ended))
    const said = children.flatMap((child) => child.said)
    expect(new Set(said.map(({ id }) => id)).size).toBeGreaterThan(writers * 50)
    await expectAll(place, said)
    expect((await checkStore(place)).damaged).toEqual([])
  })

  const rounds = LONG ? 60 : 3
  it(`make one new store together, ${rounds} times over`, WITH_TIME, async () => {
    for (let round = 0; round < rounds; round += 1) {
      const place = await newPlace()
      const key: PlainKey = { kind: 'file', value: place.key.path }
      // They wait for the same millisecond, so that none finds a store that is finished.
      const source = `while (Date.now() < job.start);\n${STORE_ONE}`
      const job = { store: place.store, key, start: Date.now() + 700 }
      const children = Array.from({ length: writers }, () => startChild<string>(source, job))
      const ends = await Promise.all(children.map(async (child) => await child.ended))
      expect(ends).toEqual(children.map(() => 0))
      const manager = await open(place)
      const ids = (await manager.list()).map(({ id }) => id)
      expect(ids.toSorted()).toEqual(children.flatMap((child) => child.said).toSorted())
      for (const id of ids) expect(await payloadOf(manager, id)).toBe('the one')
      expect(readdirSync(place.store).length).toBe(writers + 1)
    }
  })
})
