import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { TestbedFailure } from './failure.js'
import { logFile, python } from './places.js'
import { bedEnvironment } from './processes.js'
import type { ServiceName } from './testbed.js'

/** A process that holds its ports and waits to be told which service it is. */
export interface Launched {
  readonly service: ServiceName
  readonly pid: number
  readonly ports: readonly number[]
  /** False once it has ended. */
  readonly isRunning: () => boolean
  readonly become: (command: readonly string[]) => void
}

const REPORT_FD = 3
const READY_TIMEOUT_MS = 60_000
const LOG_LINES = 15

/** Binds ports (0 takes any free one) in a new process, which then becomes a service. */
export async function launch(
  directory: string,
  service: ServiceName,
  ports: readonly number[],
  env: NodeJS.ProcessEnv,
): Promise<Launched> {
  mkdirSync(dirname(logFile(directory, service)), { recursive: true })
  const log = openSync(logFile(directory, service), 'a', 0o600)
  const [program = '', ...args] = python('listen.py', `${REPORT_FD}`, ...ports.map(String))
  const child = spawn(program, args, {
    cwd: directory,
    env: bedEnvironment(directory, service, env),
    stdio: ['pipe', log, log, 'pipe'],
    detached: true,
  })
  closeSync(log)
  const { pid, stdin } = child
  if (pid === undefined || stdin === null) throw new TestbedFailure(`${program} cannot be started`)
  // Told to one that has just ended; that it has, `untilReady` says.
  stdin.on('error', () => undefined)
  const report = await text(reportOf(child))
  if (report === '') throw comeToNothing(directory, service, 'it found no port')
  return {
    service,
    pid,
    ports: JSON.parse(report),
    isRunning: () => child.exitCode === null && child.signalCode === null,
    become: (command) => {
      stdin.end(`${JSON.stringify(command)}\n`)
      child.unref()
    },
  }
}

function reportOf({ stdio }: ChildProcess): NodeJS.ReadableStream {
  const report = stdio[REPORT_FD]
  if (report === null || report === undefined || !('read' in report)) throw new Error('no report')
  return report
}

/** Waits until a service says that it is ready; its sockets take connections long before. */
export async function untilReady(
  directory: string,
  launched: Launched,
  isReady: () => Promise<boolean>,
): Promise<void> {
  const deadline = Date.now() + READY_TIMEOUT_MS
  while (!(await isReady().catch(() => false))) {
    if (!launched.isRunning()) throw comeToNothing(directory, launched.service, 'its process ended')
    if (Date.now() > deadline) {
      const waited = `it was not ready after ${READY_TIMEOUT_MS / 1000} s`
      throw comeToNothing(directory, launched.service, waited)
    }
    await sleep(20)
  }
}

function comeToNothing(directory: string, service: ServiceName, why: string): TestbedFailure {
  const log = logFile(directory, service)
  const lines = readFileSync(log, 'utf8').trimEnd().split('\n').slice(-LOG_LINES)
  return new TestbedFailure(
    `${service} did not come up: ${why}; the end of ${log}:\n${lines.map((line) => `    ${line}`).join('\n')}`,
  )
}

/** Whether an HTTP service answers, whatever it says, within the time that is left to it. */
export async function answers(url: string): Promise<boolean> {
  const response = await fetch(url, { signal: AbortSignal.timeout(2000) })
  await response.body?.cancel()
  return response.status < 500
}
