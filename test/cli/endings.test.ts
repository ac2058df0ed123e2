import {
  createWriteStream,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { SIGNAL_AT } from '../harness/signal-at.js'
import { preparedScene } from './prepared.js'
import {
  copyScene,
  type Ended,
  expectSuccess,
  leftovers,
  onlyJson,
  type Running,
  run,
  type Scene,
  shell,
  start,
} from './scene.js'

const LONG_MS = 300_000
const OPTIONS = { timeout: LONG_MS }
const PARALLEL = { concurrent: true }

const SIGNALS = [
  ['SIGINT', { exit: 130, code: 'interrupted' }],
  ['SIGTERM', { exit: 143, code: 'terminated' }],
] as const

let prepared: Scene
beforeAll(async () => {
  prepared = await preparedScene()
}, LONG_MS)

const SIGNED = ['--cert', 'cert.pem', '--properties', 'image.raw.signature.json']
const REQUEST = ['cert', 'request', '--key', 'key.pem', '--subject', 'CN=a', '--out', 'request.pem']
const TO_VOLUME = ['--encrypt', 'luks', '--key-id']

const WAIT = { timeout: 60_000, interval: 20 }

function openFiles(pid: number): string[] {
  const directory = `/proc/${pid}/fd`
  return readdirSync(directory).map((fd) => {
    try {
      return readlinkSync(join(directory, fd))
    } catch {
      return ''
    }
  })
}

/** What a directory holds, to be compared with what it holds later. */
function filesOf(directory: string): string[] {
  return readdirSync(directory).toSorted()
}

/**
 * Feeds most of image.raw to a FIFO and then stalls: all but a pipe's worth (64 KiB) has been read
 * when this comes back, so that the reader is in the middle of the image.
 */
async function stall({ work }: Scene): Promise<() => void> {
  const pipe = createWriteStream(join(work, 'fifo'))
  pipe.on('error', () => undefined)
  const image = readFileSync(join(work, 'image.raw'))
  await new Promise((resolve) => pipe.write(image.subarray(0, 2_900_000), resolve))
  return () => pipe.destroy()
}

/** Stops a command in the middle of reading an image, and gives its answer. */
async function stopWhileReading(
  scene: Scene,
  args: readonly string[],
  signal: NodeJS.Signals,
): Promise<Record<string, unknown>> {
  await expectSuccess(run(scene, 'mkfifo', ['fifo']))
  const before = filesOf(scene.work)
  const running = start(scene, 'volseal', args)
  const release = await stall(scene)
  const answer = await stopped(running, signal)
  release()
  expect(filesOf(scene.work)).toEqual(before)
  expect(leftovers(scene)).toEqual([])
  return answer
}

async function stopped(running: Running, signal: NodeJS.Signals): Promise<Record<string, unknown>> {
  process.kill(running.pid, signal)
  const ended = await running.ended
  return { exit: ended.code, stderr: ended.stderr, ...onlyJson(ended) }
}

for (const [signal, { exit, code }] of SIGNALS) {
  describe(`${signal} while the image is read`, PARALLEL, () => {
    const interrupted = { exit, ok: false, stderr: '', error: { code } }

    it('ends sign, which writes nothing', OPTIONS, async () => {
      const scene = await copyScene(prepared)
      const args = ['sign', 'fifo', '--key', 'key.pem', '--cert', 'cert.pem', '--json']
      expect(await stopWhileReading(scene, args, signal)).toMatchObject(interrupted)
      await expectSuccess(shell(scene, 'volseal sign image.raw --key key.pem --cert cert.pem'))
    })

    it('ends verify', OPTIONS, async () => {
      const scene = await copyScene(prepared)
      const args = ['verify', 'fifo', ...SIGNED, '--json']
      expect(await stopWhileReading(scene, args, signal)).toMatchObject(interrupted)
      await expectSuccess(shell(scene, 'volseal verify image.raw --cert cert.pem'))
    })

    it('ends write, which makes no file', OPTIONS, async () => {
      const scene = await copyScene(prepared)
      const args = ['write', 'fifo', 'disk.raw', ...SIGNED, '--json']
      expect(await stopWhileReading(scene, args, signal)).toMatchObject(interrupted)
      await expectSuccess(shell(scene, 'volseal write image.raw disk.raw --cert cert.pem'))
    })

    it('ends write, which leaves a target as it is', OPTIONS, async () => {
      const scene = await copyScene(prepared)
      await shell(scene, 'yes old | head -c 4000000 >disk.raw; cp disk.raw before')
      const args = ['write', 'fifo', 'disk.raw', ...SIGNED, '--json']
      expect(await stopWhileReading(scene, args, signal)).toMatchObject(interrupted)
      await expectSuccess(run(scene, 'cmp', ['disk.raw', 'before']))
    })

    it('ends write, which leaves a volume blank', OPTIONS, async () => {
      const scene = await copyScene(prepared)
      const keyId = scene.env['KEY_ID'] ?? ''
      const args = ['write', 'fifo', 'volume.img', ...SIGNED, ...TO_VOLUME, keyId, '--json']
      expect(await stopWhileReading(scene, args, signal)).toMatchObject(interrupted)
      await expectBlank(scene)
    })

    it.each([
      ['a certificate', ['verify', 'image.raw', '--cert', 'fifo']],
      ['a key', ['sign', 'image.raw', '--cert', 'cert.pem', '--key', 'fifo']],
      ['a passphrase', [...REQUEST, '--passphrase-file', 'fifo']],
      ['properties', ['verify', 'image.raw', '--cert', 'cert.pem', '--properties', 'fifo']],
    ])('ends the wait for %s', OPTIONS, async (_, args) => {
      const scene = await copyScene(prepared)
      await expectSuccess(run(scene, 'mkfifo', ['fifo']))
      const silent = await open(join(scene.work, 'fifo'), 'r+')
      const running = start(scene, 'volseal', [...args, '--json'])
      await vi.waitFor(
        () => expect(openFiles(running.pid)).toContain(join(scene.work, 'fifo')),
        WAIT,
      )
      expect(await stopped(running, signal)).toMatchObject({ ...interrupted, error: { code } })
      await silent.close()
    })

    it('ends verify of standard input', OPTIONS, async () => {
      const scene = await copyScene(prepared)
      const args = ['verify', '-', ...SIGNED, '--json']
      const running = start(scene, 'volseal', args, { keepInput: true })
      const image = readFileSync(join(scene.work, 'image.raw'))
      const { stdin } = running.process
      await new Promise((resolve) => stdin.write(image.subarray(0, 2_900_000), resolve))
      expect(await stopped(running, signal)).toMatchObject(interrupted)
    })
  })
}

async function expectBlank(scene: Scene): Promise<void> {
  await expectSuccess(run(scene, 'cmp', ['-n', '67108864', 'volume.img', '/dev/zero']))
}

describe('a signal in text mode', () => {
  it('is told on standard error, and on nothing else', OPTIONS, async () => {
    const scene = await copyScene(prepared)
    await expectSuccess(run(scene, 'mkfifo', ['fifo']))
    const running = start(scene, 'volseal', ['verify', 'fifo', ...SIGNED])
    const release = await stall(scene)
    process.kill(running.pid, 'SIGINT')
    const stderr = 'volseal: error: interrupted by SIGINT\n'
    expect(await running.ended).toEqual({ code: 130, stdout: '', stderr })
    release()
  })

  it('ends a command that waits for a passphrase', OPTIONS, async () => {
    const scene = await copyScene(prepared)
    const args = ['sign', 'image.raw', '--key', 'key.pem', '--passphrase-file', '-', '--json']
    const running = start(scene, 'volseal', args, { keepInput: true })
    const { stdin } = running.process
    // More than a pipe or a socket holds, so that most of it has been read.
    await new Promise((resolve) => stdin.write(Buffer.alloc(900_000, 'x'), resolve))
    expect(await stopped(running, 'SIGINT')).toMatchObject({ exit: 130, ok: false })
  })
})

/** Runs a command that gets a signal at its nth write to a file of that name, or to one before it. */
async function stopAtWrite(
  scene: Scene,
  args: readonly string[],
  at: { readonly file: string; readonly nth: number },
): Promise<Record<string, unknown>> {
  const ended = await runUntilWrite(scene, args, { ...at, signal: 'SIGINT' })
  return { exit: ended.code, ...onlyJson(ended) }
}

async function runUntilWrite(
  scene: Scene,
  args: readonly string[],
  at: { readonly file: string; nth: number; signal: string; readonly steps?: boolean },
): Promise<Ended> {
  const hook = join(scene.work, '..', 'signal-at.mjs')
  writeFileSync(hook, SIGNAL_AT)
  const point = { ...at, file: join(scene.work, at.file) }
  const env = { NODE_OPTIONS: `--import=${hook}`, TEST_SIGNAL_AT: JSON.stringify(point) }
  const ended = await run(scene, 'volseal', args, { env })
  expect(leftovers(scene)).toEqual([])
  return ended
}

describe('a kill while a file is made', PARALLEL, () => {
  const image = ['write', 'image.raw', 'made', '--cert', 'cert.pem']

  it.each([
    ['its first bytes are written', 1],
    ['it is flushed', 4],
  ])('leaves nothing of an image when %s', OPTIONS, async (_when, nth) => {
    const scene = await copyScene(prepared)
    const before = filesOf(scene.work)
    const at = { file: '#', nth, signal: 'SIGKILL', steps: true }
    expect((await runUntilWrite(scene, image, at)).code).toBeNull()
    expect(filesOf(scene.work)).toEqual(before)
    await expectSuccess(run(scene, 'volseal', image))
  })

  const commands = {
    'a key': ['keypair', 'create', '--type', 'ECC_SECP384R1', '--out', 'made'],
    'an image, where a file must have a name,': image,
  }
  it.each(Object.entries(commands))(
    'leaves %s until the next run',
    OPTIONS,
    async (_what, args) => {
      const scene = await copyScene(prepared)
      const before = filesOf(scene.work)
      const ln = join(scene.work, '..', 'bin', 'ln')
      writeFileSync(ln, '#!/bin/sh\necho "ln: unrecognized option: L" >&2\nexit 1\n', {
        mode: 0o755,
      })
      const at = { file: '.volseal.', nth: 1, signal: 'SIGKILL', steps: true }
      expect((await runUntilWrite(scene, args, at)).code).toBeNull()
      const [left = '', ...more] = filesOf(scene.work).filter((name) => !before.includes(name))
      expect({ left, more }).toEqual({
        left: expect.stringMatching(/^\.volseal\..*\.tmp$/),
        more: [],
      })
      // A name of another boot may be of a computer that shares the directory, and is at work.
      const elsewhere = left.replace(/-[\da-f]{32}-/, `-${'0'.repeat(32)}-`)
      const old = elsewhere.replace(/[\da-f]{12}/, '0'.repeat(12))
      await shell(scene, `touch ${elsewhere}; touch -d '2 days ago' ${old} .volseal.notes`)
      await expectSuccess(run(scene, 'volseal', args))
      expect(filesOf(scene.work)).toEqual(
        [...before, 'made', elsewhere, '.volseal.notes'].toSorted(),
      )
    },
  )
})

describe('a signal while the target is written', PARALLEL, () => {
  const interrupted = { exit: 130, ok: false, error: { code: 'interrupted' } }
  const write = ['write', 'image.raw', 'disk.raw', '--cert', 'cert.pem', '--json']

  it('leaves nothing of a new file', OPTIONS, async () => {
    const scene = await copyScene(prepared)
    const before = filesOf(scene.work)
    expect(await stopAtWrite(scene, write, { file: '#', nth: 1 })).toMatchObject(interrupted)
    expect(filesOf(scene.work)).toEqual(before)
    await expectSuccess(shell(scene, 'volseal write image.raw disk.raw --cert cert.pem'))
  })

  it('says what is partly written, and a second run writes it', OPTIONS, async () => {
    const scene = await copyScene(prepared)
    await shell(scene, 'yes old | head -c 4000000 >disk.raw')
    const answer = await stopAtWrite(scene, write, { file: 'disk.raw', nth: 1 })
    expect(answer).toMatchObject(interrupted)
    expect(answer['error']).toMatchObject({
      message: 'interrupted by SIGINT; disk.raw is partly written',
      hint: expect.stringContaining('write the whole image again'),
    })
    await expectSuccess(shell(scene, 'volseal write image.raw disk.raw --cert cert.pem'))
    await expectSuccess(run(scene, 'cmp', ['-n', '3000000', 'image.raw', 'disk.raw']))
  })

  it('makes a device blank again that was being formatted', OPTIONS, async () => {
    const scene = await copyScene(prepared)
    const keyId = scene.env['KEY_ID'] ?? ''
    const format = ['luks', 'format', 'volume.img', '--provider', 'luks2', '--key-id', keyId]
    const at = { file: 'volume.img', nth: 1 }
    expect(await stopAtWrite(scene, [...format, '--json'], at)).toMatchObject(interrupted)
    await expectBlank(scene)
    await expectSuccess(run(scene, 'volseal', format))
  })
})

/** Puts a program before the real one that says its process id, and then waits at a gate. */
async function gate(scene: Scene, program: string, when: string): Promise<string> {
  const root = join(scene.work, '..')
  const [real, started] = [await realPath(scene, program), join(root, 'started')]
  await expectSuccess(run(scene, 'mkfifo', [started, join(root, 'gate')]))
  const wait = `echo $$ >'${started}'; read -r _ <'${join(root, 'gate')}'`
  const script = `#!/bin/sh\ncase "$*" in *${when}*) ${wait} ;; esac\nexec '${real}' "$@"\n`
  writeFileSync(join(root, 'bin', program), script, { mode: 0o755 })
  return started
}

async function realPath(scene: Scene, program: string): Promise<string> {
  return (await expectSuccess(shell(scene, `command -v ${program}`))).trim()
}

/** Whether a process runs; one that nobody has waited for yet does not. */
function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

/** The fifth field of proc_pid_stat(5). */
function processGroup(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return Number(stat.slice(stat.lastIndexOf(')')).split(' ')[3])
}

describe('a signal while another program works', PARALLEL, () => {
  /** Ctrl-C goes to the whole process group, kill to one process. */
  const ways = [
    ['SIGINT to the process', 'SIGINT', false],
    ['SIGTERM to the process', 'SIGTERM', false],
    ['SIGINT to its group', 'SIGINT', true],
  ] as const

  async function stopAtGate(
    scene: Scene,
    args: readonly string[],
    started: string,
    { signal, group }: { readonly signal: NodeJS.Signals; readonly group: boolean },
  ): Promise<Record<string, unknown>> {
    const running = start(scene, 'volseal', args, { ownGroup: true })
    const pid = Number(await readFile(started, 'utf8'))
    expect(isAlive(pid)).toBe(true)
    const ofProgram = processGroup(pid)
    process.kill(group ? -running.pid : running.pid, signal)
    const ended = await running.ended
    // A terminal's Ctrl-C goes to volseal's group, and must not reach the program by itself.
    expect(ofProgram).not.toBe(running.pid)
    expect(isAlive(pid)).toBe(false)
    expect(leftovers(scene)).toEqual([])
    rmSync(join(scene.work, '..', 'gate'))
    return { exit: ended.code, ...onlyJson(ended) }
  }

  it.each(ways)('%s: luks format leaves the device blank', OPTIONS, async (_way, signal, group) => {
    const scene = await copyScene(prepared)
    const started = await gate(scene, 'cryptsetup', 'luksFormat')
    const keyId = scene.env['KEY_ID'] ?? ''
    const args = [
      'luks',
      'format',
      'volume.img',
      '--provider',
      'luks2',
      '--key-id',
      keyId,
      '--json',
    ]
    const answer = await stopAtGate(scene, args, started, { signal, group })
    expect(answer).toMatchObject({ exit: signal === 'SIGINT' ? 130 : 143, ok: false })
    await expectBlank(scene)
  })

  it.each(ways)('%s: an encrypted write can be repeated', OPTIONS, async (_way, signal, group) => {
    const scene = await copyScene(prepared)
    const started = await gate(scene, 'qemu-img', 'driver=luks')
    const keyId = scene.env['KEY_ID'] ?? ''
    const write = ['write', 'image.raw', 'volume.img', '--cert', 'cert.pem', ...TO_VOLUME, keyId]
    const answer = await stopAtGate(scene, [...write, '--json'], started, { signal, group })
    expect(answer).toMatchObject({
      exit: signal === 'SIGINT' ? 130 : 143,
      error: { message: expect.stringContaining('the volume on volume.img is partly written') },
    })
    rmSync(join(scene.work, '..', 'bin', 'qemu-img'))
    await expectSuccess(run(scene, 'volseal', write))
  })

  it('a second Ctrl-C ends volseal and the program at once', OPTIONS, async () => {
    const scene = await copyScene(prepared)
    const root = join(scene.work, '..')
    const [real, heard] = [await realPath(scene, 'qemu-img'), join(root, 'heard')]
    await expectSuccess(run(scene, 'mkfifo', [heard]))
    // Holds out against the first SIGTERM, and says that it came.
    const script = [
      '#!/bin/sh',
      `case "$*" in *driver=luks*) ;; *) exec '${real}' "$@" ;; esac`,
      `trap 'trap - TERM; echo $$ >${heard}' TERM`,
      `echo $$ >${heard}`,
      'while :; do sleep 0.05; done',
    ]
    writeFileSync(join(root, 'bin', 'qemu-img'), `${script.join('\n')}\n`, { mode: 0o755 })
    const write = ['write', 'image.raw', 'volume.img', '--cert', 'cert.pem', ...TO_VOLUME]
    const args = [...write, scene.env['KEY_ID'] ?? '', '--json']
    const running = start(scene, 'volseal', args, { ownGroup: true })
    const pid = Number(await readFile(heard, 'utf8'))
    process.kill(-running.pid, 'SIGINT')
    expect(Number(await readFile(heard, 'utf8'))).toBe(pid)
    expect(isAlive(pid)).toBe(true)
    process.kill(-running.pid, 'SIGINT')
    expect((await running.ended).code).toBe(130)
    await vi.waitFor(() => expect(isAlive(pid)).toBe(false))
  })
})

describe('drawing a large key', () => {
  const terminal = fileURLToPath(new URL('../harness/ask_terminal.py', import.meta.url))
  const create = ['volseal', 'keypair', 'create', '--type', 'RSA-PSS', '--bits', '8192']

  it.each([
    // Node would wait for the thread that draws: the process ends by the signal itself.
    ['Ctrl-C', '\u0003', -2, 'interrupted by SIGINT'],
    ['SIGTERM', 'SIGTERM', -15, 'terminated by SIGTERM'],
  ])(
    'is announced on a terminal, and ends at once by %s',
    OPTIONS,
    async (_what, answer, code, words) => {
      const scene = await copyScene(prepared)
      const before = filesOf(scene.work)
      const announcement = 'drawing a key of this size'
      const input = JSON.stringify([[[...create, '--out', 'large.pem'], announcement, answer]])
      const talk = JSON.parse(
        await expectSuccess(run(scene, '/usr/bin/python3', [terminal], { input })),
      )
      expect(talk).toMatchObject([{ code, output: expect.stringContaining(words) }])
      expect(filesOf(scene.work)).toEqual(before)
    },
  )

  it('is silent elsewhere, and of usual keys', OPTIONS, async () => {
    const scene = await copyScene(prepared)
    const line = 'volseal keypair create --type RSA-PSS --bits 4104 --out large.pem'
    expect(await shell(scene, line)).toMatchObject({ code: 0, stderr: '' })
    const usual = line.replace('4104', '2048').replace('large', 'usual')
    const shown = await expectSuccess(shell(scene, `script -qec "${usual}" /dev/null </dev/null`))
    expect(shown).not.toContain('drawing')
  })
})
