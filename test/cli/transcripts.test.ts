import { closeSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { chosenPath } from '../../src/cli/program.js'
import { isInstalled } from '../harness/run.js'
import { COMMAND, expectSuccess, leftovers, makeScene, run, type Scene } from './scene.js'
import { parseTranscript, replay, withoutBlankLines } from './transcript.js'

const DIRECTORY = new URL('../transcripts/', import.meta.url)
const LONG_MS = 300_000

/** Sessions that only some machines can have, and what they lack. */
const LACKING: Readonly<Record<string, string | undefined>> = {
  'policy.txt': isInstalled('jq') ? undefined : 'the Debian package jq',
  'signers.txt': isInstalled('jq') ? undefined : 'the Debian package jq',
  'without-device-mapper.txt': hasDeviceMapper() ? 'a machine without device-mapper' : undefined,
}

function hasDeviceMapper(): boolean {
  try {
    closeSync(openSync('/dev/mapper/control', 'r+'))
    return true
  } catch {
    return false
  }
}

/** Writes down what turns out instead of refusing it; `git diff` then shows what has changed. */
const isRecording = process.env['VOLSEAL_RECORD'] === '1'

/** Ids that are drawn, in what was recorded. */
const UUID = /\b[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}\b/g

/** One line for each command that a transcript runs: its exit code and its words. */
const RUNS = '../runs'
const RECORDING = `${COMMAND} "$@"; code=$?; echo "$code $*" >>"\${0%/*}/${RUNS}"; exit $code`

const runs: string[] = []

describe.concurrent('transcripts', () => {
  for (const name of readdirSync(DIRECTORY).toSorted()) {
    const lack = LACKING[name]
    const title = lack === undefined ? name : `${name} (needs ${lack})`
    it.skipIf(lack !== undefined)(title, { timeout: LONG_MS }, async ({ expect: local }) => {
      const written = readFileSync(new URL(name, DIRECTORY), 'utf8')
      const scene = makeScene(RECORDING)
      const turnedOut = await replay(scene, parseTranscript(written))
      if (isRecording) {
        const general = turnedOut
          .replaceAll(join(scene.work, '..'), '[..]')
          .replaceAll(UUID, (id) => (written.includes(id) ? id : '[..]'))
        writeFileSync(new URL(name, DIRECTORY), withBlankLines(general, written))
      }
      local(turnedOut).toBe(withoutBlankLines(written))
      local(leftovers(scene)).toEqual([])
      runs.push(...recordedRuns(scene))
    })
  }
})

/** What turned out, with the blank lines that were written between the commands. */
function withBlankLines(turnedOut: string, written: string): string {
  const behindBlanks = new Set([...written.matchAll(/\n\n+([$!=#] .+)/g)].map(([, line]) => line))
  const lines = turnedOut.split('\n').map((line) => (behindBlanks.has(line) ? `\n${line}` : line))
  return `${lines.join('\n')}\n`
}

function recordedRuns({ work }: Scene): string[] {
  return readFileSync(join(work, RUNS), 'utf8').trimEnd().split('\n')
}

it('commands end only with the exit codes that their help names', {
  timeout: LONG_MS,
}, async () => {
  const scene = makeScene()
  const unnamed: string[] = []
  const known = new Map<string, readonly string[]>()
  for (const line of runs) {
    const [code = '', ...words] = line.split(' ')
    const path = chosenPath(words)
    if (path === undefined) continue
    const named = known.get(path) ?? (await namedCodes(scene, path))
    known.set(path, named)
    if (!named.includes(code)) unnamed.push(line)
  }
  expect(known.size).toBeGreaterThan(10)
  expect(unnamed).toEqual([])
})

async function namedCodes(scene: Scene, path: string): Promise<string[]> {
  const help = await expectSuccess(run(scene, 'volseal', [...path.split(' '), '--help']))
  return [...help.slice(help.indexOf('Exit codes:')).matchAll(/^ +(\d+) {2}/gm)].map(
    ([, code = '']) => code,
  )
}

describe('the transcript harness', () => {
  /** A wrong line in each place that a transcript has for one. */
  const wrong = [
    ['standard output', '$ echo good\nbad'],
    ['a line too few', '$ printf "a\\nb\\n"\na'],
    ['a line too many', '$ echo a\na\nb'],
    ['standard error', '$ echo bad >&2'],
    ['an exit code', '$ sh -c "exit 3"\n? 2'],
    ['a file that is there', '$ : >file\n! file'],
    ['files that differ', '$ echo a >a; echo b >b\n= a b'],
    ['a wildcard for what is not there', '$ echo ab\na[..]c'],
  ] as const

  it.each(wrong)('sees %s', async (_what, text) => {
    expect(await replay(makeScene(), parseTranscript(text))).not.toBe(text)
  })

  it('lets variables last, keeps what is as expected, and matches wildcards', async () => {
    const text = [
      '# a comment',
      '$ NAME=value',
      '$ printf "1 $NAME\\n2\\n3\\nend\\n"; echo talk >&2; false',
      '1 [..]',
      '[...]',
      'end',
      '2> t[..]k',
      '? 1',
      '! nothing',
      '$ cat <<X',
      '> here',
      '> X',
      'here',
      '$ (echo inside) >file',
      '$ cat file',
      'inside',
    ].join('\n')
    expect(await replay(makeScene(), parseTranscript(text))).toBe(text)
  })
})
