import { randomInt } from 'node:crypto'
import { chmodSync, cpSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { checkStore, rekeyStore } from '../../src/keyfile/index.js'
import { type Child, startChild } from './children.js'
import { expectSecrets, opens, type Pair, storeWith } from './pairs.js'
import { LONG, opaque, open, payloadOf, strayFiles, temporaryDirectory } from './stores.js'

const REKEY = `
await keyfile.rekeyStore(at, sourceOf(job.next))
say('done')
`

const STORE_ONE = `
try {
  const manager = await keyfile.openLocalKeyManager(at)
  const payload = new Secret(Buffer.from('the late one'))
  say(await manager.store({ type: 'opaque', payload }))
} catch (error) {
  say(error.code)
}
`

const WRITE_ON = `
const manager = await keyfile.openLocalKeyManager(at)
for (let round = 0; ; round += 1) {
  const payload = 'payload-' + process.pid + '-' + round
  const id = await manager.store({ type: 'opaque', payload: new Secret(Buffer.from(payload)) })
  say({ id, payload })
}
`

/** Long runs, and machines that do much else. */
const WITH_TIME = { timeout: 900_000 }

/** What a rekey that was killed can have come to. */
const STATES = ['before', 'pending', 'after']

interface Written {
  id: string
  payload: string
}

/** After any end of a rekey: everything opens, the rekey can be ended, and then only one key does. */
async function expectFinishes(pair: Pair): Promise<'before' | 'pending' | 'after'> {
  const { store, old, next } = pair
  const [withOld, withNew] = [await opens(store, old), await opens(store, next)]
  if (withOld) await expectSecrets(pair, old)
  if (withNew) await expectSecrets(pair, next)
  expect(withOld || withNew).toBe(true)
  const key = withNew ? next : old
  const { unfinishedRekey } = await checkStore({ store, key })
  expect(unfinishedRekey).toBe(withOld && withNew)
  // Either key will do to go on.
  const opener = unfinishedRekey && randomInt(2) === 0 ? next : old
  const done = { secrets: pair.secrets.size, finishedPending: unfinishedRekey }
  expect(withOld ? await rekeyStore({ store, key: opener }, next) : done).toEqual(done)
  await expectSecrets(pair, next)
  expect(await opens(store, old)).toBe(false)
  const report = await checkStore({ store, key: next }, { clean: true })
  expect(report).toMatchObject({ damaged: [], unfinishedRekey: false })
  expect(strayFiles(store)).toEqual([])
  if (!withNew) return 'before'
  return withOld ? 'pending' : 'after'
}

/** A store is 0700, which the copying of Node 24 does not keep. */
function copyStore(from: string, to: string): void {
  cpSync(from, to, { recursive: true })
  chmodSync(to, 0o700)
}

describe('a rekey that is killed', () => {
  it('before each of its file operations: can be ended, with either key', {
    timeout: 120_000,
  }, async () => {
    const states = new Set<string>()
    const pristine = await storeWith(2)
    const { oldPlain, nextPlain } = pristine
    for (let nth = 1; ; nth += 1) {
      const store = `${await temporaryDirectory()}/keys`
      copyStore(pristine.store, store)
      const point = { below: store, nth, signal: 'SIGKILL', reads: false } as const
      const child = startChild(REKEY, { store, key: oldPlain, next: nextPlain }, point)
      const end = await child.ended
      states.add(await expectFinishes({ ...pristine, store }))
      if (end === 0) break
    }
    expect([...states]).toEqual(STATES)
  })

  const rounds = LONG ? 200 : 5
  it(`at a random instant, ${rounds} times over: likewise`, WITH_TIME, async () => {
    const pristine = await storeWith(30)
    for (let round = 0; round < rounds; round += 1) {
      const store = `${await temporaryDirectory()}/keys`
      copyStore(pristine.store, store)
      const source = `say('started')\n${REKEY}`
      const child = startChild(source, {
        store,
        key: pristine.oldPlain,
        next: pristine.nextPlain,
      })
      await child.settled(1)
      await sleep(randomInt(0, 350))
      child.kill('SIGKILL')
      await child.ended
      expect(STATES).toContain(await expectFinishes({ ...pristine, store }))
    }
  })
})

/** Runs `meanwhile` with the child stopped before its nth operation, then lets it go on. */
async function stopAt<T>(
  source: string,
  pair: Pair,
  nth: number,
  meanwhile: (child: Child<string>) => Promise<T>,
): Promise<{ child: Child<string>; stopped: boolean; result: T }> {
  const { store, oldPlain, nextPlain } = pair
  const point = { below: store, nth, signal: 'SIGSTOP', reads: source !== REKEY } as const
  const child = startChild<string>(source, { store, key: oldPlain, next: nextPlain }, point)
  const stopped = (await child.settled(Number.POSITIVE_INFINITY)) === 'stopped'
  const result = await meanwhile(child)
  child.kill('SIGCONT')
  expect(await child.ended).toBe(0)
  return { child, stopped, result }
}

describe('beside a rekey', () => {
  it('that stands still anywhere, others write and read', WITH_TIME, async () => {
    for (let nth = 1; ; nth += 1) {
      const pair = await storeWith(2)
      const [id = ''] = pair.secrets.keys()
      const early = await open({ store: pair.store, key: pair.old })
      const { stopped } = await stopAt(REKEY, pair, nth, async () => {
        // Until the last step, after which the old key is worth nothing.
        if (!(await opens(pair.store, pair.old))) return
        expect(await payloadOf(early, id)).toBe('secret 0')
        pair.secrets.set(await early.store(opaque('of an old holder')), 'of an old holder')
        expect((await early.list()).length).toBe(3)
      })
      await expectSecrets(pair, pair.next)
      expect(await opens(pair.store, pair.old)).toBe(false)
      if (!stopped) break
    }
  })

  it('a writer that stands still anywhere loses nothing', WITH_TIME, async () => {
    const outcomes = new Set<string>()
    for (let nth = 1; ; nth += 1) {
      const pair = await storeWith(1)
      let rekeyed: Promise<unknown> = Promise.resolve()
      const { child, stopped } = await stopAt(STORE_ONE, pair, nth, async () => {
        const isWriting = strayFiles(pair.store).some((name) => name.endsWith('.tmp'))
        rekeyed = rekeyStore({ store: pair.store, key: pair.old }, pair.next)
        // It waits for a writer that has begun, and for no other.
        await (isWriting ? sleep(150) : rekeyed)
      })
      await rekeyed
      const [answer = ''] = child.said
      if (answer.length === 36) pair.secrets.set(answer, 'the late one')
      outcomes.add(answer.length === 36 ? 'stored' : answer)
      await expectSecrets(pair, pair.next)
      expect((await checkStore({ store: pair.store, key: pair.next })).damaged).toEqual([])
      if (!stopped) break
    }
    // Stopped while it opened the store, or between that and its writing, it fails.
    expect([...outcomes].toSorted()).toEqual(['busy', 'keystore-damaged', 'stored'])
  })

  const rounds = LONG ? 60 : 2
  it(`three writers lose nothing, ${rounds} times over`, WITH_TIME, async () => {
    for (let round = 0; round < rounds; round += 1) {
      const pair = await storeWith(10)
      const { store, oldPlain } = pair
      const writers = Array.from({ length: 3 }, () =>
        startChild<Written>(WRITE_ON, { store, key: oldPlain }),
      )
      await Promise.all(writers.map(async (writer) => await writer.settled(5)))
      await rekeyStore({ store, key: pair.old }, pair.next)
      // They have learned the new key on the way, and can go on with it.
      await Promise.all(writers.map(async (writer) => await writer.settled(writer.said.length + 5)))
      for (const writer of writers) writer.kill('SIGKILL')
      expect(await Promise.all(writers.map(async (writer) => await writer.ended))).toEqual(
        Array.from(writers, () => 'SIGKILL'),
      )
      for (const { id, payload } of writers.flatMap(({ said }) => said))
        pair.secrets.set(id, payload)
      await expectSecrets(pair, pair.next)
      expect((await checkStore({ store, key: pair.next })).damaged).toEqual([])
    }
  })
})
