import { copyFileSync, existsSync, readdirSync, rmSync, watch, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { Disk, type DiskEvent, type Unflushed } from '../../scripts/virtual-machine/disk.js'
import { putHeader } from '../../src/encryptor/format/put-header.js'
import { lookAtDevice } from '../../src/encryptor/index.js'
import { VolsealError } from '../../src/index.js'
import { type Ended, runProgram } from '../harness/program.js'
import { CLI, run, scratchDirectory } from '../harness/run.js'
import { SIGNAL_AT } from '../harness/signal-at.js'
import { blankFile, cryptsetupFormat, opensWith, sha256 } from '../harness/volumes.js'
import {
  contentOf,
  fillWithNoise,
  firstUse,
  MIB,
  outcome,
  PASSPHRASE,
  PLAN,
  watchWrites,
} from './formatting.js'

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })

const SIZE = 18 * MIB
const directory = scratchDirectory()
const hook = join(directory, 'signal-at.mjs')
const home = { XDG_DATA_HOME: join(directory, 'data'), XDG_CONFIG_HOME: join(directory, 'config') }
let keyId = ''
let keyHex = ''
let files = 0

beforeAll(async () => {
  writeFileSync(hook, SIGNAL_AT)
  keyId = (await volseal(['secret', 'create'])).stdout.trim()
  const payload = join(directory, 'payload')
  await volseal(['secret', 'get', keyId, '--out', payload])
  keyHex = run('sh', ['-c', 'od -An -vtx1 "$0" | tr -d " \\n"', payload]).toString()
})

function blank(): string {
  files += 1
  return blankFile(directory, `volume-${files}`, SIZE)
}

function noisy(): string {
  const path = blank()
  fillWithNoise(path, SIZE)
  return path
}

async function volseal(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return await runProgram('node', [CLI, ...args], { env: { ...home, TMPDIR: directory, ...env } })
}

interface Point {
  readonly nth: number
  readonly signal: NodeJS.Signals
}

/** `luks format` as its user runs it, with signals at steps: writes to the target, and its syncs. */
async function format(
  path: string,
  args: readonly string[],
  points: readonly Point[] = [],
): Promise<Ended> {
  const at = points.map((point) => ({ ...point, file: path, steps: true }))
  const command = ['luks', 'format', path, '--key-id', keyId, ...args]
  const env = { NODE_OPTIONS: `--import=${hook}`, TEST_SIGNAL_AT: JSON.stringify(at) }
  return await volseal(command, env)
}

const volume = (id: string, ...more: string[]): string[] => ['--volume-id', id, ...more]

/** The steps of putting a header: marker, sync, the rest, sync, the first sector, sync. */
const STEPS = [1, 2, 3, 4, 5, 6]

const KILLED = [
  { provider: 'luks', ground: 'a blank device', make: blank, more: [], steps: [2, 4, 6] },
  { provider: 'luks2', ground: 'a blank device', make: blank, more: [], steps: STEPS },
  {
    provider: 'luks2',
    ground: 'unknown bytes',
    make: noisy,
    more: ['--evidence', 'vouched'],
    steps: [1, 3, 5],
  },
] as const

describe.each(KILLED)('$provider, killed on $ground', ({ provider, make, more, steps }) => {
  it.each(steps)('at step %i, is completed by the same command and by no other', async (nth) => {
    const path = make()
    const before = (await contentOf(path)).kind
    const args = ['--provider', provider, ...more]
    const killed = await format(path, [...args, ...volume('vol-1')], [{ nth, signal: 'SIGKILL' }])
    expect(killed.code).toBe(null)
    const { kind } = await contentOf(path)
    expect(kind).toBe(nth === 1 ? before : nth === 6 ? 'luks' : 'begun')
    if (kind === 'begun') await expectOnlyFor('vol-1', path)
    if (kind !== 'luks') {
      expect(await format(path, [...args, ...volume('vol-1')])).toMatchObject({ code: 0 })
    }
    expect(opensWith(path, keyHex)).toBe(true)
  })
})

/** Neither another volume nor none may go on. */
async function expectOnlyFor(volumeId: string, path: string): Promise<void> {
  const digest = sha256(path)
  expect(await outcome(firstUse(path, { volumeId: 'vol-2' }))).toBe('not-blank')
  expect(await outcome(firstUse(path, { volumeId: 'vol-2', evidence: 'vouched' }))).toBe(
    'not-blank',
  )
  const { code, stderr } = await format(path, ['--provider', 'luks2'])
  expect(code).toBe(21)
  expect(stderr).toContain(`the beginning of the LUKS volume ${volumeId}`)
  expect(stderr).toContain(`to complete it: --volume-id ${volumeId}`)
  expect(sha256(path)).toBe(digest)
}

describe('a forced formatting that was killed', () => {
  const FORCED: Readonly<Record<number, string>> = {
    1: 'data',
    18: 'blank',
    21: 'begun',
    23: 'begun',
  }

  it('while the old content was wiped, or with its marker, is completed when it is forced again', async () => {
    // 17 writes wipe the head, one the tail; then comes a sync.
    for (const nth of Object.keys(FORCED).map(Number)) {
      const path = blank()
      run('mke2fs', ['-q', '-F', '-t', 'ext4', path])
      const args = ['--provider', 'luks2', ...volume('vol-1', '--force', basename(path))]
      const killed = await format(path, args, [{ nth, signal: 'SIGKILL' }])
      expect(killed.code).toBe(null)
      const { kind } = await contentOf(path)
      // ext4 leaves the first sector free: once the rest is wiped, the device is blank.
      expect({ nth, kind }).toEqual({ nth, kind: FORCED[nth] })
      expect(await format(path, args)).toMatchObject({ code: 0 })
      expect(opensWith(path, keyHex)).toBe(true)
    }
  })
})

describe('a forced formatting over a LUKS volume that was killed', () => {
  // Before the second write the first piece is gone, and with it what a header needs.
  it.each([
    [1, 2],
    [2, 1],
  ])('at write %i, had kept the header, and is completed', async (nth, backups) => {
    const path = blank()
    cryptsetupFormat(path, 'luks2', 'the old key')
    const kept = join(directory, `backups-${nth}`)
    const args = ['--provider', 'luks2', '--force', basename(path), '--backup-dir', kept]
    expect(await format(path, args, [{ nth, signal: 'SIGKILL' }])).toMatchObject({ code: null })
    expect(readdirSync(kept)).toHaveLength(1)
    expect(await format(path, args)).toMatchObject({ code: 0 })
    expect(opensWith(path, keyHex)).toBe(true)
    const [first = '', ...more] = readdirSync(kept).toSorted()
    expect(more).toHaveLength(backups - 1)
    const back = ['luks', 'restore', join(kept, first), path, '--force', basename(path)]
    expect(await volseal([...back, '--no-backup'])).toMatchObject({ code: 0 })
    expect(opensWith(path, 'the old key')).toBe(true)
  })
})

it('a forced formatting over a LUKS volume that is interrupted names the header that it kept', async () => {
  const path = blank()
  cryptsetupFormat(path, 'luks2', 'the old key')
  const kept = join(directory, 'backups-interrupted')
  const args = ['--provider', 'luks2', '--force', basename(path), '--backup-dir', kept]
  const { code, stderr } = await format(path, args, [{ nth: 19, signal: 'SIGINT' }])
  expect(code).toBe(130)
  const [file = ''] = readdirSync(kept)
  expect(stderr).toContain('may be partly written: the same command again completes it')
  expect(stderr).toContain(`the header as it was is in ${join(kept, file)}`)
  const back = ['luks', 'restore', join(kept, file), path, '--force', basename(path)]
  expect(await volseal([...back, '--no-backup'])).toMatchObject({ code: 0 })
  expect(opensWith(path, 'the old key')).toBe(true)
})

describe('interrupted', () => {
  it.each(STEPS)('at step %i, a blank device is blank again', async (nth) => {
    const path = blank()
    const args = ['--provider', 'luks2', ...volume('vol-1')]
    const { code, stderr } = await format(path, args, [{ nth, signal: 'SIGINT' }])
    expect({ code, stderr }).toEqual({
      code: 130,
      stderr: 'volseal: error: interrupted by SIGINT\n',
    })
    expect(sha256(path)).toBe(sha256(blank()))
    expect(readdirSync(directory).filter((name) => name.startsWith('volseal'))).toEqual([])
  })

  it.each([1, 4, 6])('at step %i, what was vouched for keeps the marker', async (nth) => {
    const path = noisy()
    const args = ['--provider', 'luks2', '--evidence', 'vouched', ...volume('vol-1')]
    const { code, stderr } = await format(path, args, [{ nth, signal: 'SIGTERM' }])
    expect(code).toBe(143)
    expect(stderr).toContain('the same command again completes it')
    expect(await contentOf(path)).toMatchObject({ kind: 'begun', volumeId: 'vol-1' })
    expect(await format(path, args)).toMatchObject({ code: 0 })
  })

  it('and killed while it is made blank again, it has its marker to the last', async () => {
    // After the interruption at step 4: zeros where the header lay, a sync, zeros over the marker.
    for (const nth of [5, 30, 68]) {
      const path = blank()
      const args = ['--provider', 'luks2', ...volume('vol-1')]
      const points: Point[] = [
        { nth: 4, signal: 'SIGINT' },
        { nth, signal: 'SIGKILL' },
      ]
      expect((await format(path, args, points)).code).toBe(null)
      expect({ nth, ...(await contentOf(path)) }).toMatchObject({ nth, kind: 'begun' })
      expect(await format(path, args)).toMatchObject({ code: 0 })
    }
  })
})

/** What is lost of the writes since the last flush: all, or any of the sectors. */
const LOSSES: readonly Unflushed[] = ['lost', 1, 2, 3, 4]

interface Recorded {
  readonly events: readonly DiskEvent[]
  /** The device before the first of them. */
  readonly base: string
}

/** Records what a formatting of a device does to it. */
async function record(path: string, work: () => Promise<unknown>): Promise<Recorded> {
  const base = `${path}.base`
  copyFileSync(path, base)
  const writes = await watchWrites(path)
  await work().finally(() => {
    writes.end()
  })
  return { events: writes.events, base }
}

/** Every state in which the power can leave the device, and whether the last flush was done. */
async function* statesOf(
  { events, base }: Recorded,
  losses: readonly Unflushed[] = LOSSES,
): AsyncGenerator<{ path: string; done: boolean; unflushed: Unflushed }> {
  const path = `${base}.state`
  for (let count = 0; count <= events.length; count += 1) {
    for (const unflushed of losses) {
      copyFileSync(base, path)
      const disk = new Disk(path)
      disk.replay(events.slice(0, count))
      disk.loseCache(unflushed)
      disk.close()
      yield { path, done: count === events.length, unflushed }
    }
  }
  rmSync(path)
}

describe.each([
  { ground: 'a blank device', make: blank, before: 'blank', evidence: 'blank' },
  { ground: 'unknown bytes', make: noisy, before: 'data', evidence: 'vouched' },
] as const)('the power goes while $ground is formatted', ({ make, before, evidence }) => {
  it('leaves nothing that the same volume is refused, and loses nothing that was done', async () => {
    const path = make()
    const recorded = await record(path, async () => await firstUse(path, { evidence }))
    expect(recorded.events.map(({ kind }) => kind)).toEqual(
      Array.from({ length: 3 }, () => ['write', 'flush']).flat(),
    )
    const kinds = new Set<string>()
    for await (const state of statesOf(recorded)) {
      const { kind } = await contentOf(state.path)
      kinds.add(kind)
      expect([before, 'begun', 'luks']).toContain(kind)
      if (kind === 'luks') expect(opensWith(state.path, PASSPHRASE)).toBe(true)
      else {
        expect(state.done).toBe(false)
        if (state.unflushed === 'lost' || state.unflushed === 1)
          await expectCompleted(state.path, evidence)
      }
    }
    expect([...kinds].toSorted()).toEqual([before, 'begun', 'luks'].toSorted())
  })
})

async function expectCompleted(path: string, evidence: 'blank' | 'vouched'): Promise<void> {
  const { kind } = await contentOf(path)
  if (kind === 'begun') {
    expect(await outcome(firstUse(path, { evidence, volumeId: 'vol-2' }))).toBe('not-blank')
  }
  expect(await outcome(firstUse(path, { evidence }))).toBe('formatted')
  expect(opensWith(path, PASSPHRASE)).toBe(true)
}

describe('the power goes', () => {
  it('while a marker is gone on from: it is there until the volume is', async () => {
    const path = blank()
    const first = await record(
      path,
      async () => await firstUse(path, {}, { plan: { ...PLAN, provider: 'luks' } }),
    )
    const begun = new Disk(first.base)
    begun.replay(first.events.slice(0, 3))
    begun.close()
    copyFileSync(first.base, path)
    for await (const state of statesOf(await record(path, async () => await firstUse(path, {})))) {
      const { kind } = await contentOf(state.path)
      expect(['begun', 'luks']).toContain(kind)
      if (kind === 'luks') expect(opensWith(state.path, PASSPHRASE)).toBe(true)
      expect(kind === 'luks' || !state.done).toBe(true)
    }
  })

  it('while a volume that does not open is taken back: never a broken one', async () => {
    const made = blank()
    await firstUse(made, {}, { plan: { ...PLAN, provider: 'luks' } })
    const header = run('head', ['-c', String(2 * MIB), made])
    const path = blankFile(directory, 'small', 3 * MIB)
    const device = await lookAtDevice(path)
    const recorded = await record(path, async () => {
      const file = await open(path, 'r+')
      const prove = async (): Promise<void> => {
        await Promise.reject(new VolsealError('wrong-key', 'does not open'))
      }
      const putting = { file, device, header, ground: 'blank', volumeId: 'vol-1', prove } as const
      await expect(putHeader(putting)).rejects.toMatchObject({ code: 'wrong-key' })
      await file.close()
    })
    expect(await contentOf(path)).toEqual({ kind: 'blank' })
    const kinds = new Set<string>()
    for await (const state of statesOf(recorded, ['lost', 1])) {
      const { kind } = await contentOf(state.path)
      kinds.add(kind)
      if (kind === 'luks') expect(opensWith(state.path, PASSPHRASE)).toBe(true)
      expect(kind === 'blank' || !state.done).toBe(true)
    }
    expect([...kinds].toSorted()).toEqual(['begun', 'blank', 'luks'])
  })
})

describe('somebody else who writes meanwhile', () => {
  it('is not overwritten when the device is looked at again', async () => {
    const path = blank()
    const name = `${path}.header`
    // The temporary header's directory is made between the two looks.
    const watcher = watch(directory, (_, file) => {
      if (file?.startsWith('volseal') === true && !existsSync(name)) {
        writeFileSync(name, '')
        run('sh', ['-c', 'printf x | dd of="$0" bs=1 seek=5000 conv=notrunc status=none', path])
      }
    })
    try {
      const ended = await format(path, ['--provider', 'luks2', ...volume('vol-1')])
      expect(ended).toMatchObject({ code: 21 })
      expect(await contentOf(path)).toMatchObject({ kind: 'data', at: 5000 })
    } finally {
      watcher.close()
    }
  })

  it('in the first sector is left alone', async () => {
    const path = blank()
    const writes = await watchWrites(path, (step) => {
      if (step === 4) run('sh', ['-c', 'printf XFSB | dd of="$0" conv=notrunc status=none', path])
    })
    expect(await outcome(firstUse(path, {}))).toBe('busy')
    writes.end()
    expect(run('head', ['-c', '4', path]).toString()).toBe('XFSB')
  })
})
