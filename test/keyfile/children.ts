import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { onTestFinished } from 'vitest'

/**
 * Child processes that run the built package, so that they can be killed, stopped or raced. A
 * child is a module of source text; `say(value)` writes a line of JSON at once.
 */

const DIST = new URL('../../dist/', import.meta.url)

const PRELUDE = `
import { writeSync } from 'node:fs'
import * as keyfile from '${new URL('keyfile/index.js', DIST).href}'
import { Secret } from '${new URL('core/secret.js', DIST).href}'
import { withLock } from '${new URL('keyfile/lock.js', DIST).href}'
import { withTemporary } from '${new URL('keyfile/store-directory.js', DIST).href}'
const say = (value) => writeSync(1, JSON.stringify(value) + '\\n')
const sourceOf = ({ kind, value }) =>
  kind === 'file' ? { kind, path: value } : { kind, key: new Secret(Buffer.from(value, 'hex')) }
const job = JSON.parse(process.argv[1])
const at = { store: job.store, key: sourceOf(job.key) }
`

/** Sends the process a signal before its nth operation on a path below a directory. */
const INTERCEPT = `
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
const { below, nth, signal, reads } = JSON.parse(process.env.VOLSEAL_TEST_POINT)
let count = 0
const point = (path) => {
  if (!String(path).startsWith(below)) return
  count += 1
  if (count === nth) process.kill(process.pid, signal)
}
const isRead = (args) => typeof args[1] === 'number' || args[1] === 'r'
const wrap = (object, name) => {
  const original = object[name]
  object[name] = (...args) => {
    if (reads || name !== 'open' || !isRead(args)) point(args[0])
    return original.apply(object, args)
  }
}
for (const name of ['open', 'link', 'rename', 'unlink', 'mkdir']) wrap(fs.promises, name)
syncBuiltinESMExports()
`

/** A key source that can be handed to a child. */
export type PlainKey = { kind: 'file' | 'key'; value: string }

export interface Job {
  store: string
  key: PlainKey
  [more: string]: unknown
}

/** Where a child gets a signal: before the nth operation on a path that begins with `below`. */
export interface Point {
  below: string
  nth: number
  signal: 'SIGKILL' | 'SIGSTOP'
  /** Whether opening a file or directory for reading, or for fsync, is such an operation too. */
  reads: boolean
}

export interface Child<T> {
  readonly pid: number
  /** The lines that the child has said so far. */
  readonly said: T[]
  /** How it ended: its exit code, or the signal. */
  readonly ended: Promise<number | string>
  kill(signal: NodeJS.Signals): void
  /** Waits until the child has said that many lines, has stopped or has ended. */
  settled(lines: number): Promise<'said' | 'stopped' | 'ended'>
}

/** Starts a child, which says lines of type T; it is killed when the test ends. */
export function startChild<T>(source: string, job: Job, point?: Point): Child<T> {
  const before = point === undefined ? [] : ['--import', dataUrl(INTERCEPT)]
  const args = [...before, '--input-type=module', '-e', PRELUDE + source, JSON.stringify(job)]
  const env = { VOLSEAL_TEST_POINT: JSON.stringify(point ?? null) }
  const started = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], env })
  onTestFinished(() => void started.kill('SIGKILL'))
  return childOf<T>(started)
}

function childOf<T>(started: ChildProcessByStdio<null, Readable, null>): Child<T> {
  const pid = started.pid ?? 0
  const said: T[] = []
  const ended = endOf(started)
  let over = false
  void ended.then(() => (over = true))
  eachLine(started.stdout, (line) => said.push(JSON.parse(line)))
  return {
    pid,
    said,
    ended,
    kill: (signal) => void started.kill(signal),
    async settled(lines) {
      for (;;) {
        if (said.length >= lines) return 'said'
        if (over) return 'ended'
        if (isStopped(pid)) return 'stopped'
        await sleep(2)
      }
    },
  }
}

async function endOf(started: ChildProcessByStdio<null, Readable, null>): Promise<number | string> {
  // `close` comes when all that it said has been read.
  await once(started, 'close')
  return started.signalCode ?? started.exitCode ?? 'unknown'
}

function eachLine(stream: Readable, use: (line: string) => void): void {
  let rest = ''
  stream.setEncoding('utf8')
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) use(line)
  })
}

function isStopped(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T')
  } catch {
    return false
  }
}

function dataUrl(source: string): string {
  return `data:text/javascript,${encodeURIComponent(source)}`
}
