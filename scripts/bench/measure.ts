import type { ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { output } from '../harness/program.js'

/** One of the two sides of a benchmark: a command line, or a function of this process. */
export type Contender =
  | { readonly label: string; readonly argv: readonly string[] }
  | { readonly label: string; readonly run: () => Promise<void> }

/** One run, from before the process is started until it has ended. */
export interface Measurement {
  readonly seconds: number
  /** User and system time; null for a function, and without GNU time. */
  readonly cpuSeconds: number | null
  /** Peak resident set; null for a function. */
  readonly rssBytes: number | null
}

const TIME = '/usr/bin/time'
const hasTime = existsSync(TIME)

/** Where the memory figures come from. */
export const RSS_METHOD: string = hasTime
  ? `${TIME} (ru_maxrss of wait4)`
  : 'VmHWM of /proc/PID/status, looked at every 5 ms: a lower bound'

/** Runs a contender once; `directory` is for a file of the measurement's own. */
export async function measure(contender: Contender, directory: string): Promise<Measurement> {
  if ('run' in contender) return await measureFunction(contender.run)
  return hasTime
    ? await measureByTime(contender.argv, directory)
    : await measureByProc(contender.argv)
}

async function measureFunction(run: () => Promise<void>): Promise<Measurement> {
  return { seconds: await secondsOf(run), cpuSeconds: null, rssBytes: null }
}

/**
 * GNU time forks once more. That costs a millisecond, for both sides; and it takes the memory of
 * this process out of the figure, which a child of Node starts with.
 */
async function measureByTime(argv: readonly string[], directory: string): Promise<Measurement> {
  const report = join(directory, 'time')
  const timed = [TIME, '-o', report, '-f', '%U %S %M', '--', ...argv]
  const seconds = await secondsOf(async () => await output(timed))
  const figures = (await readFile(report, 'utf8')).trim().split(' ').map(Number)
  const [user = 0, system = 0, kibibytes = 0] = figures
  return { seconds, cpuSeconds: user + system, rssBytes: kibibytes * 1024 }
}

async function measureByProc(argv: readonly string[]): Promise<Measurement> {
  let memory = Promise.resolve(0)
  const watch = (child: ChildProcess): void => {
    memory = highWater(child)
  }
  const seconds = await secondsOf(async () => await output(argv, { watch }))
  return { seconds, cpuSeconds: null, rssBytes: await memory }
}

/** Most memory that the process was seen with, in bytes, once it has ended. */
async function highWater(child: ChildProcess): Promise<number> {
  let bytes = 0
  while (child.exitCode === null && child.signalCode === null) {
    const status = await readFile(`/proc/${child.pid ?? 0}/status`, 'utf8').catch(() => '')
    const [, kibibytes = '0'] = /^VmHWM:\s+(\d+) kB$/m.exec(status) ?? []
    bytes = Math.max(bytes, Number(kibibytes) * 1024)
    await sleep(5)
  }
  return bytes
}

async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const start = process.hrtime.bigint()
  await work()
  return Number(process.hrtime.bigint() - start) / 1e9
}
