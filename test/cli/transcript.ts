import { mkdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Ended, run, type Scene } from './scene.js'

/**
 * A session as text. `$ ` begins a command, which sh runs; `> ` goes on with it. Below it stand the
 * lines of standard output, then those of standard error behind `2> `, then `? N` with the exit code
 * if it is not 0. `! FILE` says that a file is not there, `= A B` that two are identical; `# ` is a
 * comment. `[..]` stands for anything within a line, a line `[...]` for any number of lines.
 *
 * All commands run in one shell, so that variables last; standard input is empty.
 */
export interface Step {
  /** As it stands in the transcript, without what is expected. */
  readonly source: readonly string[]
  /** What the shell runs. */
  readonly script: string
  readonly stdout: readonly string[]
  readonly stderr: readonly string[]
  readonly code: number
}

const MARKS = { $: command, '!': absent, '=': identical, '#': comment } as const

export function parseTranscript(text: string): Step[] {
  const steps: Step[] = []
  for (const block of text.split(/^(?=[$!=#] )/m)) {
    const lines = block.trimEnd().split('\n')
    const mark = lines[0]?.[0] ?? ''
    if (!isMark(mark)) throw new Error(`a transcript begins with a command, not ${lines[0]}`)
    steps.push(MARKS[mark](lines))
  }
  return steps
}

function isMark(mark: string): mark is keyof typeof MARKS {
  return mark in MARKS
}

function command(lines: readonly string[]): Step {
  const own = lines.findIndex((line, index) => index > 0 && !line.startsWith('> '))
  const source = lines.slice(0, own === -1 ? undefined : own)
  const expected = own === -1 ? [] : lines.slice(own)
  const code = expected.find((line) => line.startsWith('? ')) ?? '? 0'
  return {
    source,
    script: source.map((line) => line.slice(2)).join('\n'),
    stdout: expected.filter((line) => !/^(?:2>|\?) /.test(line)),
    stderr: expected.filter((line) => line.startsWith('2> ')).map((line) => line.slice(3)),
    code: Number(code.slice(2)),
  }
}

function absent(lines: readonly string[]): Step {
  return check(lines, (file) => `[ ! -e '${file}' ] || echo '${file} is there'`)
}

function identical(lines: readonly string[]): Step {
  return check(lines, (first, second) => `cmp '${first}' '${second}'`)
}

function comment(lines: readonly string[]): Step {
  return check(lines, () => ':')
}

function check(lines: readonly string[], script: (...words: string[]) => string): Step {
  const words = (lines[0] ?? '').slice(2).split(' ')
  return { source: lines, script: script(...words), stdout: [], stderr: [], code: 0 }
}

/** Where a session takes place. */
export interface Place {
  /** An empty directory there. */
  readonly records: string
  readonly shell: (script: string) => Promise<unknown>
  readonly read: (path: string) => Promise<string>
}

/** Runs the session, and returns the transcript as it turned out. */
export async function replay(scene: Scene, steps: readonly Step[]): Promise<string> {
  const records = join(scene.work, '..', 'records')
  mkdirSync(records)
  return await replayAt(
    {
      records,
      shell: async (script) => await run(scene, 'sh', ['-c', script]),
      read: async (path) => await readFile(path, 'utf8'),
    },
    steps,
  )
}

/** The same elsewhere, such as in a virtual machine. */
export async function replayAt(place: Place, steps: readonly Step[]): Promise<string> {
  const { records, shell, read } = place
  const script = steps.map((step, index) => recorded(step, join(records, String(index))))
  await shell(script.join('\n'))
  const turnedOut: string[] = []
  for (const [index, step] of steps.entries()) {
    turnedOut.push(...rendered(step, await readRecord(read, join(records, String(index)))))
  }
  return turnedOut.join('\n')
}

function recorded({ script }: Step, record: string): string {
  // The colon keeps dash from forgetting the redirections of a subshell that stands alone in braces.
  return `{ :\n${script}\n} </dev/null >'${record}.out' 2>'${record}.err'; echo $? >'${record}.code'`
}

async function readRecord(read: Place['read'], record: string): Promise<Ended> {
  const stdout = await read(`${record}.out`)
  const stderr = await read(`${record}.err`)
  const code = await read(`${record}.code`)
  return { code: Number(code), stdout, stderr }
}

/** What was expected, with its wildcards, where it came; else what came instead. */
function rendered(step: Step, { code, stdout, stderr }: Ended): string[] {
  return [
    ...step.source,
    ...asExpected(step.stdout, stdout),
    ...asExpected(step.stderr, stderr).map((line) => `2> ${line}`),
    ...(code === 0 ? [] : [`? ${code}`]),
  ]
}

function asExpected(expected: readonly string[], found: string): readonly string[] {
  const text = found.trimEnd()
  const lines = text === '' ? [] : text.split('\n')
  return pattern(expected).test(lines.map((line) => `${line}\n`).join('')) ? expected : lines
}

function pattern(lines: readonly string[]): RegExp {
  return new RegExp(`^${lines.map(linePattern).join('')}$`)
}

function linePattern(line: string): string {
  if (line === '[...]') return '(?:.*\\n)*'
  const parts = line.split('[..]').map((part) => part.replaceAll(/[$()*+.?[\\\]^{|}]/g, '\\$&'))
  return `${parts.join('.*')}\\n`
}

/** Blank lines between commands are for the reader. */
export function withoutBlankLines(text: string): string {
  return text.replaceAll(/\n+(?=\n[$!=#] )/g, '').trimEnd()
}
