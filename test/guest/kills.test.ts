import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { collectGarbage, detachVolume } from '../../src/index.js'
import { growDisk } from '../harness/host.js'
import { run, scratchDirectory } from '../harness/run.js'
import { peek, poke } from '../harness/volumes.js'

/**
 * SIGKILL at every step of attach, detach, extend and a first use, inside the virtual machine:
 * afterwards the same command comes to its end, and nothing is left.
 */
const DEVICE = '/dev/vdf'
const MIB = 1024 * 1024
/** Of LUKS2, as volseal makes it. */
const HEADER = 16 * MIB

const directory = scratchDirectory()
const link = join(directory, 'volume')
const bin = join(directory, 'bin')
const counter = join(directory, 'count')

/**
 * Stands before the real cryptsetup: at its nth run it kills whoever started it, `before` the real
 * one, `while` it runs, which nobody then waits for, or `after` it.
 */
const KILLER = `#!/bin/bash
echo >>"${counter}"
real() { /usr/sbin/cryptsetup "$@"; }
[ "$(wc -l <"${counter}")" = "\${KILL_AT%:*}" ] || exec /usr/sbin/cryptsetup "$@"
case \${KILL_AT#*:} in
  before) kill -KILL $PPID ;;
  while) kill -KILL $PPID; real "$@" ;;
  after) real "$@"; kill -KILL $PPID ;;
esac
`

interface Answer {
  readonly exit: number | null
  readonly signal: NodeJS.Signals | null
  readonly json: Record<string, unknown>
}

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

let keyId: string

beforeAll(() => {
  mkdirSync(bin)
  writeFileSync(join(bin, 'cryptsetup'), KILLER)
  chmodSync(join(bin, 'cryptsetup'), 0o755)
  symlinkSync(DEVICE, link)
  keyId = String(volseal(['secret', 'create']).json['id'])
})

function volseal(args: readonly string[], killAt?: string): Answer {
  writeFileSync(counter, '')
  const { PATH, ...env } = process.env
  const { status, signal, stdout } = spawnSync(process.execPath, [MAIN, ...args, '--json'], {
    encoding: 'utf8',
    env: {
      ...env,
      PATH: killAt === undefined ? PATH : `${bin}:${PATH}`,
      KILL_AT: killAt ?? '',
      VOLSEAL_KEY_STORE: join(directory, 'keys'),
      VOLSEAL_KEY_STORE_KEY: join(directory, 'key'),
    },
  })
  const json: Record<string, unknown> = stdout === '' ? {} : JSON.parse(stdout)
  return { exit: status, signal, json }
}

function mappings(): string {
  return run('dmsetup', ['ls']).toString()
}

const WAYS: readonly string[] = ['before', 'while', 'after']
/** Every step in every way takes minutes. */
const isLong = process.env['VOLSEAL_LONG'] === '1'

const ATTACH = ['attach', link, '--link', link, '--key-id']
const DETACH = ['detach', link]
const FIRST_USE = ['--provider', 'luks2', '--first-use', 'volume-1']

/** Kills the command at each of its cryptsetup runs in each way, and looks at what `after` finds. */
async function atEveryStep(
  args: () => readonly string[],
  prepare: () => unknown,
  after: () => unknown,
): Promise<void> {
  await prepare()
  expect(volseal(args(), '0:never')).toMatchObject({ exit: 0 })
  const steps = readFileSync(counter, 'utf8').length
  expect(steps).toBeGreaterThan(0)
  await after()
  for (let step = 1; step <= steps; step += 1) {
    for (const when of isLong ? WAYS : WAYS.slice(step % 3, (step % 3) + 1)) {
      await prepare()
      expect(volseal(args(), `${step}:${when}`)).toMatchObject({ signal: 'SIGKILL' })
      // Nobody waits for the one that was killed `while` it ran.
      run('bash', ['-c', 'while pgrep -x cryptsetup >/dev/null; do sleep 0.1; done'])
      expect({ step, when, ...volseal(args()) }).toMatchObject({ step, when, exit: 0 })
      await after()
    }
  }
}

/** Open, with its link leading there; closed again, nothing is left. */
async function expectAttached(content?: Buffer): Promise<void> {
  expect(readlinkSync(link)).toBe('/dev/mapper/crypt-volume')
  if (content !== undefined) {
    expect(peek(link, 0, content.length).equals(content)).toBe(true)
  }
  await close()
  await expectClosed()
}

/** Without a start of the command, which takes seconds here. */
async function close(): Promise<void> {
  await detachVolume({ device: link })
}

async function expectClosed(): Promise<void> {
  expect(mappings()).toContain('No devices found')
  expect(readlinkSync(link)).toBe(DEVICE)
  expect((await collectGarbage({ places: [directory] })).garbage).toEqual([])
  expect(readdirSync(directory).filter((name) => name.startsWith('.'))).toEqual([])
}

afterEach(close)

describe('a command that is killed at any step', () => {
  it('a first use: the same goes on, and is one whole volume', async () => {
    await atEveryStep(
      () => [...ATTACH, keyId, ...FIRST_USE],
      () => run('blkdiscard', ['--zeroout', DEVICE]),
      async () => {
        await expectAttached()
      },
    )
  })

  it('an attach: the volume keeps its content', async () => {
    const content = Buffer.alloc(MIB, 'guest')
    expect(volseal([...ATTACH, keyId])).toMatchObject({ exit: 0 })
    poke(link, 0, content)
    await close()
    await atEveryStep(
      () => [...ATTACH, keyId],
      () => {},
      async () => {
        await expectAttached(content)
      },
    )
  })

  it('an extend: it is as large as its device, and keeps its content', async () => {
    const content = Buffer.alloc(MIB, 'more')
    expect(volseal([...ATTACH, keyId])).toMatchObject({ exit: 0 })
    poke(link, 0, content)
    let size = Number(run('blockdev', ['--getsize64', DEVICE]).toString())
    await atEveryStep(
      () => ['extend', link, '--key-id', keyId],
      async () => {
        size += MIB
        await growDisk(4, String(size))
      },
      () => {
        expect(Number(run('blockdev', ['--getsize64', link]).toString())).toBe(size - HEADER)
        expect(peek(link, 0, MIB).equals(content)).toBe(true)
      },
    )
    await expectAttached(content)
  })

  it('a detach: it is closed, and its link is back', async () => {
    await atEveryStep(
      () => DETACH,
      () => {
        expect(volseal([...ATTACH, keyId])).toMatchObject({ exit: 0 })
      },
      expectClosed,
    )
  })

  it('what was never gone on with is seen and closed by gc', async () => {
    expect(volseal([...ATTACH, keyId], '1:after')).toMatchObject({ signal: 'SIGKILL' })
    const shown = volseal(['gc', '--links', directory]).json['garbage']
    expect(shown).toMatchObject([{ kind: 'mapping', name: 'crypt-volume' }])
    expect(mappings()).toContain('crypt-volume')
    expect(volseal(['gc', '--apply', '--links', directory])).toMatchObject({ exit: 0 })
    await expectClosed()
    expect(existsSync(link)).toBe(true)
    unlinkSync(link)
    symlinkSync(DEVICE, link)
  })
})
