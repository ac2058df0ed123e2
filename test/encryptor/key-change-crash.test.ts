import { randomBytes } from 'node:crypto'
import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { tokenJson } from '../../src/encryptor/header/volume-token.js'
import { inspectVolume, mangledPassphrase } from '../../src/encryptor/index.js'
import { Secret } from '../../src/index.js'
import {
  type Ended,
  expectSuccess,
  leftovers,
  makeScene,
  onlyJson,
  run as runIn,
  shell,
} from '../cli/scene.js'
import { changesMade, cutAtChange, type Moment } from '../harness/cryptsetup-cut.js'
import { run } from '../harness/run.js'
import { SIGNAL_AT } from '../harness/signal-at.js'
import { blankFile, cryptsetupFormat, opensWith, poke, sha256 } from '../harness/volumes.js'

/**
 * kill -9 of the command at each change of a header, in three moments. Then a key that opened the
 * volume before, or is to open it afterwards, opens it; the same command ends what was begun, and
 * where there is an --abort it undoes it.
 */

const LONG_MS = 300_000
const MIB = 1024 * 1024
const scene = makeScene()
let oldId = ''
let oldHex = ''

beforeAll(async () => {
  oldId = (await expectSuccess(runIn(scene, 'volseal', ['secret', 'create']))).trim()
  oldHex = await hexOfKey(oldId)
}, LONG_MS)

async function hexOfKey(id: string): Promise<string> {
  return (
    await expectSuccess(shell(scene, `volseal secret get ${id} | od -An -vtx1 | tr -d ' \\n'`))
  ).trim()
}

async function volseal(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  return await runIn(scene, 'volseal', args, { env })
}

let files = 0
function volume(type: 'luks1' | 'luks2', passphrase: string): string {
  files += 1
  const path = blankFile(scene.work, `volume-${files}`, 18 * MIB)
  cryptsetupFormat(path, type, passphrase)
  return path
}

function copyOf(path: string): string {
  const copy = `${path}-copy`
  copyFileSync(path, copy)
  return copy
}

/** Runs the command with a kill at the nth change; what it said is lost with it. */
async function killedAt(args: readonly string[], nth: number, moment: Moment): Promise<void> {
  const ended = await volseal(args, cutAtChange(scene.work, scene.env['PATH'] ?? '', nth, moment))
  expect(ended).toMatchObject({ code: null, stdout: '', stderr: '' })
}

/**
 * After a change is before the next one, so that only the last one has all three. In the everyday run
 * each change of LUKS2 has one moment, in turn, and LUKS1, which changes less in the same order, a
 * sample; all of them are for the long run (VOLSEAL_LONG=1).
 */
function pointsOf(type: 'luks1' | 'luks2', changes: number): [nth: number, moment: Moment][] {
  const numbers = Array.from({ length: changes }, (_, index) => index + 1)
  const points = numbers.flatMap((nth): [number, Moment][] => [
    [nth, 'instead'],
    [nth, 'during'],
  ])
  const last: [number, Moment] = [changes, 'after']
  if (IS_LONG) return [...points, last]
  if (type === 'luks1') return [[changes, 'during']]
  const inTurn = numbers.map((nth): [number, Moment] => [nth, nth % 2 === 1 ? 'instead' : 'during'])
  return [...inTurn, last]
}

const IS_LONG = process.env['VOLSEAL_LONG'] === '1'

interface TokenJson {
  readonly key_id: string
  readonly phase: string
}

function jsonOf(path: string): Record<string, TokenJson> {
  const dump = run('cryptsetup', ['luksDump', '--dump-json-metadata', path]).toString()
  const { tokens }: { tokens: Record<string, TokenJson> } = JSON.parse(dump)
  return tokens
}

/** As volseal gives it to a volume. */
function ownToken(): Record<string, unknown> {
  const said = { keyslots: [0], volumeId: 'v', encoding: 'hex', phase: 'ready' } as const
  const token: Record<string, unknown> = JSON.parse(tokenJson({ ...said, keyId: oldId }))
  return token
}

function tokensOf(path: string): [keyId: string, phase: string][] {
  return Object.values(jsonOf(path)).map(({ key_id: keyId, phase }) => [keyId, phase])
}

/** LUKS2 adds a slot, announces it, removes the old slot, settles the token, removes the old one. */
describe.each([
  ['luks1', 2],
  ['luks2', 5],
] as const)('a rekey of %s', (type, changes) => {
  function volumeWithToken(): string {
    const path = volume(type, oldHex)
    const token = {
      keyslots: [0],
      keyId: oldId,
      volumeId: 'v',
      encoding: 'hex',
      phase: 'ready',
    } as const
    if (type === 'luks2')
      run('cryptsetup', ['token', 'import', '--json-file', '-', path], tokenJson(token))
    return path
  }

  function expectTokens(path: string, tokens: readonly (readonly [string, string])[]): void {
    if (type === 'luks2') expect(tokensOf(path)).toEqual(tokens)
  }

  it('makes so many changes', async () => {
    const path = volumeWithToken()
    const env = cutAtChange(scene.work, scene.env['PATH'] ?? '', 0, 'after')
    await expectSuccess(volseal(['luks', 'rekey', path, '--key-id', oldId], env))
    expect(changesMade(env)).toBe(changes)
  })

  it.each(pointsOf(type, changes))(
    'killed at change %i, %s',
    async (nth, moment) => {
      const path = volumeWithToken()
      const newId = (await expectSuccess(volseal(['secret', 'create']))).trim()
      const newHex = await hexOfKey(newId)
      const args = ['--key-id', oldId, '--new-key-id', newId, '--json']
      await killedAt(['luks', 'rekey', path, ...args], nth, moment)
      expect(opensWith(path, oldHex) || opensWith(path, newHex)).toBe(true)
      // What is done "during" the kill is still going on, and can be waited for in one place only.
      if (moment !== 'during') await expectAbort(copyOf(path), args, newHex)

      const again = onlyJson(await volseal(['luks', 'rekey', path, ...args]))
      expect(again).toMatchObject({ ok: true, newKeyId: newId, others: [] })
      expect([opensWith(path, oldHex), opensWith(path, newHex)]).toEqual([false, true])
      expectTokens(path, [[newId, 'ready']])
    },
    LONG_MS,
  )

  /** The change that removes the old key; before it both open the volume. */
  const removal = type === 'luks1' ? 2 : 3
  it.each(type === 'luks1' ? [2] : [1, 2, 3])(
    'interrupted at change %i',
    async (nth) => {
      const path = volumeWithToken()
      const newId = (await expectSuccess(volseal(['secret', 'create']))).trim()
      const newHex = await hexOfKey(newId)
      const args = ['luks', 'rekey', path, '--key-id', oldId, '--new-key-id', newId, '--json']
      const env = cutAtChange(scene.work, scene.env['PATH'] ?? '', nth, 'interrupt')
      const ended = await volseal(args, env)
      const isDone = nth === removal
      expect({ nth, code: ended.code }).toEqual({ nth, code: isDone ? 0 : 130 })
      if (!isDone) {
        const hint = expect.stringContaining('both keys open the volume; the same command again')
        expect(onlyJson(ended)).toMatchObject({ error: { code: 'interrupted', hint } })
      }
      expect([opensWith(path, oldHex), opensWith(path, newHex)]).toEqual([!isDone, true])
      expect(onlyJson(await volseal(args))).toMatchObject({ ok: true, newKeyId: newId })
      expect([opensWith(path, oldHex), opensWith(path, newHex)]).toEqual([false, true])
      expectTokens(path, [[newId, 'ready']])
    },
    LONG_MS,
  )

  async function expectAbort(path: string, args: readonly string[], newHex: string): Promise<void> {
    const wasOpen = opensWith(path, oldHex)
    const ended = await volseal(['luks', 'rekey', path, ...args, '--abort'])
    expect(ended.code).toBe(wasOpen ? 0 : 20)
    expect([opensWith(path, oldHex), opensWith(path, newHex)]).toEqual([wasOpen, !wasOpen])
    if (wasOpen) expectTokens(path, [[oldId, 'ready']])
  }

  it(
    'killed while the new key is being taken over',
    async () => {
      const path = volumeWithToken()
      const hook = join(scene.work, `kill-${type}`)
      writeFileSync(hook, '#!/bin/sh\nkill -9 $PPID\n', { mode: 0o755 })
      const args = ['luks', 'rekey', path, '--key-id', oldId, '--json']
      const killed = await volseal([...args, '--commit', hook])
      expect(killed.code).toBe(null)
      expect(opensWith(path, oldHex)).toBe(true)
      expect((await inspectVolume(path)).keyslots).toHaveLength(2)

      const undone = copyOf(path)
      const aborted = onlyJson(await volseal([...args.with(2, undone), '--abort']))
      expect(aborted).toMatchObject({ state: 'aborted', removed: [1] })
      const newId = String(aborted['newKeyId'])
      expectTokens(undone, [[oldId, 'ready']])
      expectTokens(path, [
        [oldId, 'ready'],
        [newId, 'adding'],
      ])
      const resumed = onlyJson(await volseal([...args, '--commit', '/bin/true']))
      expect(resumed).toMatchObject({ state: 'resumed', newKeyId: newId })
      const newHex = await hexOfKey(newId)
      expect([opensWith(path, oldHex), opensWith(path, newHex)]).toEqual([false, true])
      expect([opensWith(undone, oldHex), opensWith(undone, newHex)]).toEqual([true, false])
    },
    LONG_MS,
  )
})

describe.each([
  ['luks1', 2],
  // Of its two tokens as well.
  ['luks2', 4],
] as const)('tuning %s', (type, changes) => {
  it.each(pointsOf(type, changes))(
    'killed at change %i, %s',
    async (nth, moment) => {
      files += 1
      const path = blankFile(scene.work, `volume-${files}`, 18 * MIB)
      const dear = ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '50000']
      run('cryptsetup', ['luksFormat', '-q', '--type', type, ...dear, '--key-file=-', path], oldHex)
      if (type === 'luks2') {
        for (const token of [ownToken(), { type: 'other', keyslots: ['0'], of: 'somebody' }]) {
          run('cryptsetup', ['token', 'import', '--json-file', '-', path], JSON.stringify(token))
        }
      }
      const args = ['luks', 'tune', path, '--key-id', oldId, '--json']
      await killedAt(args, nth, moment)
      expect(opensWith(path, oldHex)).toBe(true)
      expect(onlyJson(await volseal(args))).toMatchObject({ ok: true })
      expect(opensWith(path, oldHex)).toBe(true)
      const { keyslots } = await inspectVolume(path)
      expect(keyslots).toMatchObject([{ pbkdf: 'pbkdf2', iterations: 1000 }])
      if (type === 'luks2') {
        const slots = [String(keyslots[0]?.number)]
        const own = { ...ownToken(), keyslots: slots }
        const other = { type: 'other', keyslots: slots, of: 'somebody' }
        expect(Object.values(jsonOf(path))).toMatchObject([own, other])
      }
    },
    LONG_MS,
  )
})

describe.each([
  ['luks1', 2],
  ['luks2', 3],
] as const)('the repair of a mangled passphrase of %s', (type, changes) => {
  it.each(pointsOf(type, changes))(
    'killed at change %i, %s',
    async (nth, moment) => {
      const key = Buffer.concat([Buffer.of(0, 4, 0x40), randomBytes(29)])
      const file = join(scene.work, `key-${nth}-${moment}`)
      writeFileSync(file, key)
      const put = ['secret', 'put', file, '--type', 'symmetric']
      const id = (await expectSuccess(volseal(put))).trim()
      const mangled = mangledPassphrase(new Secret(key))?.bytes().toString() ?? ''
      const path = volume(type, mangled)
      const flags = ['--repair-mangled', '--key-is-random', '--json']
      const args = ['luks', 'rekey', path, '--key-id', id, ...flags]
      await killedAt(args, nth, moment)
      const right = key.toString('hex')
      expect(opensWith(path, mangled) || opensWith(path, right)).toBe(true)
      expect(onlyJson(await volseal(args))).toMatchObject({ ok: true })
      expect([opensWith(path, mangled), opensWith(path, right)]).toEqual([false, true])
    },
    LONG_MS,
  )
})

describe.each(['luks1', 'luks2'] as const)('restoring the header of %s', (type) => {
  it.each(IS_LONG || type === 'luks2' ? [1, 2] : [2])(
    'killed at write %i',
    async (nth) => {
      const path = volume(type, oldHex)
      const backup = `${path}.header`
      await expectSuccess(volseal(['luks', 'backup', path, '--out', backup]))
      const whole = sha256(path)
      // Key material that was overwritten: the header itself can still be read.
      poke(path, 40_000, Buffer.alloc(100_000))
      expect(opensWith(path, oldHex)).toBe(false)
      const hook = join(scene.work, 'signal-at.mjs')
      writeFileSync(hook, SIGNAL_AT)
      const point = { file: path, nth, signal: 'SIGKILL' }
      const env = { NODE_OPTIONS: `--import=${hook}`, TEST_SIGNAL_AT: JSON.stringify(point) }
      const args = ['luks', 'restore', backup, path]
      expect((await volseal(args, env)).code).toBe(null)
      await expectSuccess(volseal(args))
      expect(sha256(path)).toBe(whole)
      expect(opensWith(path, oldHex)).toBe(true)
    },
    LONG_MS,
  )
})

it('leaves nothing but what a kill leaves', () => {
  expect(leftovers(scene)).toEqual([])
})
