import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import { expectSuccess, makeScene, onlyJson, run, type Scene, shell } from './scene.js'

const LONG_MS = 300_000
const TERMINAL = fileURLToPath(new URL('../harness/ask_terminal.py', import.meta.url))
const QUESTION = 'passphrase of sealed.pem: '
const SIGN = ['volseal', 'sign', 'image.raw', '--key', 'sealed.pem', '--cert', 'cert.pem']

let scene: Scene
beforeAll(async () => {
  scene = makeScene()
  await expectSuccess(
    shell(
      scene,
      `set -e
      yes image | head -c 100000 >image.raw
      printf 'ä secret\\n' >passphrase; touch empty
      volseal keypair create --type ECC_SECP384R1 --passphrase-file passphrase --out sealed.pem
      volseal cert create --key sealed.pem --passphrase-file passphrase --subject CN=a --out cert.pem`,
    ),
  )
}, LONG_MS)

interface Conversation {
  readonly code: number
  readonly output: string
  /** Whether the terminal showed what was typed: while it was asked for, and afterwards. */
  readonly echo: readonly [boolean, boolean]
}

/** Runs a command on a terminal for each answer. */
async function answered(...answers: string[]): Promise<Conversation[]> {
  const input = JSON.stringify(answers.map((answer) => [SIGN, QUESTION, answer]))
  const talk: Conversation[] = JSON.parse(
    await expectSuccess(run(scene, '/usr/bin/python3', [TERMINAL], { input })),
  )
  return talk
}

describe('a passphrase on a terminal', () => {
  it('is typed unseen', { timeout: LONG_MS }, async () => {
    const talk = await answered(
      'ä secret\r',
      'x\u0015ä sexx\u007F\u007Fcret\r',
      'ä secretö\b\u0004',
    )
    for (const { code, output, echo } of talk) {
      expect({ code, echo }).toEqual({ code: 0, echo: [false, true] })
      expect(output).toContain('signed image.raw')
      // The hint names the command volseal secret.
      expect(output.replaceAll('volseal secret ', '')).not.toContain('secret')
    }
  })

  it.each([
    ['a wrong one', 'secret\r', 12, 'sealed.pem: the passphrase does not open it'],
    ['an empty one', '\r', 2, 'nothing was typed'],
    ['Ctrl-C', 'ä sec\u0003', 130, 'interrupted by Ctrl-C'],
    ['SIGTERM', 'SIGTERM', 143, 'terminated by SIGTERM'],
    ['SIGINT', 'SIGINT', 130, 'interrupted by SIGINT'],
  ])(
    'is refused or not waited for: %s',
    { timeout: LONG_MS },
    async (_what, answer, code, words) => {
      const [talk] = await answered(answer)
      expect(talk).toMatchObject({ code, echo: [false, true] })
      expect(talk?.output).toContain(words)
      expect(talk?.output).not.toContain('sec\n')
    },
  )
})

describe('a passphrase without a terminal', () => {
  it('is not asked for', { timeout: LONG_MS }, async () => {
    const { code, stdout, stderr } = await run(scene, 'volseal', SIGN.slice(1))
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain('--passphrase-fd')
  })

  it.each([
    ['a file', '9<passphrase'],
    ['a pipe', '9< <(cat passphrase)'],
    ['a here-document', '9<<<"$(cat passphrase)"'],
  ])('comes from a descriptor: %s', { timeout: LONG_MS }, async (_what, redirection) => {
    const line = `${SIGN.join(' ')} --passphrase-fd 9 --json ${redirection}`
    expect(onlyJson(await shell(scene, line))).toMatchObject({ ok: true })
  })

  it.each([
    ['', '9<>fifo'],
    [' also where another descriptor is the writer', '8<>fifo 9<fifo'],
  ])(
    'comes from a FIFO that is open for writing as well, as a line%s',
    { timeout: LONG_MS },
    async (_what, redirections) => {
      const sign = `timeout 60 ${SIGN.join(' ')} --passphrase-fd 9 --json`
      const line = `rm -f fifo; mkfifo fifo; exec ${redirections}
        { head -c 3 passphrase; sleep 0.2; tail -c +4 passphrase; echo more; } >fifo & ${sign}`
      expect(onlyJson(await shell(scene, line))).toMatchObject({ ok: true })
    },
  )

  it(
    'that never comes from such a FIFO is not waited for after Ctrl-C',
    async () => {
      const sign = `${SIGN.join(' ')} --passphrase-fd 9 --json`
      const line = `rm -f fifo; mkfifo fifo; exec 9<>fifo
      timeout --signal=INT --kill-after=30 3 ${sign}; echo "code $?" >&2`
      const { stdout, stderr } = await shell(scene, line)
      // timeout(1) gives 124 for what the signal has ended, 137 for what had to be killed.
      expect(stderr).toContain('code 124')
      expect(onlyJson({ stdout })).toMatchObject({ error: { code: 'interrupted' } })
    },
    LONG_MS,
  )

  it.each([
    ['9', '9<>/dev/tty'],
    ['0', '0<>/dev/tty'],
  ])(
    'is not read from descriptor %s where that is a terminal',
    async (fd, redirection) => {
      const sign = `timeout 60 ${SIGN.join(' ')} --passphrase-fd ${fd} --json ${redirection}`
      const line = `script -qec "${sign} >answer" /dev/null >/dev/null; cat answer`
      expect(onlyJson(await shell(scene, line))).toMatchObject({
        error: {
          code: 'usage',
          message: `file descriptor ${fd}: expected a file or a pipe, got a terminal`,
          hint: expect.stringContaining('without the option, a terminal is asked'),
        },
      })
    },
    LONG_MS,
  )

  it('begins where the descriptor stands', { timeout: LONG_MS }, async () => {
    const line = `{ read -r _ <&9; ${SIGN.join(' ')} --passphrase-fd 9 --json; }`
    const file = `(echo header; cat passphrase) >both`
    const answer = onlyJson(await shell(scene, `${file}; ${line} 9<both`))
    expect(answer).toMatchObject({ ok: true })
  })

  it.each([
    ['one that is not open', '--passphrase-fd 99', 'file descriptor 99 is not open'],
    ['one to write to', '--passphrase-fd 9 9>out', 'not one to read from'],
    ['a directory', '--passphrase-fd 9 9<.', 'directory'],
    ['an empty file', '--passphrase-fd 9 9<empty', 'expected a passphrase'],
    ['a device', '--passphrase-fd 9 9</dev/null', 'a character device'],
    ['standard error', '--passphrase-fd 2', 'expected 0 or a number from 3 on'],
    ['no number', '--passphrase-fd x', 'expected a whole number'],
    [
      'two of them',
      '--passphrase-fd 9 --passphrase-file passphrase 9<passphrase',
      'exclude each other',
    ],
    ['standard input twice', '--passphrase-fd 0 --cert - <passphrase', 'named twice'],
  ])('does not come from %s', { timeout: LONG_MS }, async (_what, words, message) => {
    const { code, stderr } = await shell(scene, `${SIGN.join(' ')} ${words}`)
    expect(code).toBe(2)
    expect(stderr).toContain(message)
  })

  it("is never read from Node's own descriptors", { timeout: LONG_MS }, async () => {
    const script = `for fd in $(seq 3 30); do
      timeout 20 ${SIGN.join(' ')} --passphrase-fd $fd >/dev/null 2>>errors; echo $?
    done`
    const codes = await expectSuccess(shell(scene, script))
    expect(new Set(codes.trim().split('\n'))).toEqual(new Set(['2']))
    expect(readFileSync(`${scene.work}/errors`, 'utf8')).toContain('is not one to read from')
  })
})
