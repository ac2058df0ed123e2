import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * The processes of a test bed. Each carries the bed's directory in its environment, and so does
 * whatever it starts: the process table itself says what belongs to a test bed. No file can be out
 * of date, and nothing that another program started is ever ended, however `up` came to its end.
 */

export interface BedProcess {
  readonly pid: number
  /** In clock ticks since boot: with the pid, it names a process for good. */
  readonly startTime: string
  /** A service, `setup` for what prepares it, or `guard`. */
  readonly role: string
}

const DIRECTORY_MARK = 'VOLSEAL_TESTBED'
const ROLE_MARK = 'VOLSEAL_TESTBED_ROLE'

/** The environment of a test bed's processes, and nothing of ours: no proxy, no OS_*, no PYTHONPATH. */
export function bedEnvironment(
  directory: string,
  role: string,
  more: NodeJS.ProcessEnv = {},
): NodeJS.ProcessEnv {
  return {
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    LC_ALL: 'C.UTF-8',
    HOME: directory,
    ...more,
    [DIRECTORY_MARK]: directory,
    [ROLE_MARK]: role,
  }
}

/** All processes of the test bed in that directory, or below it, but this one. */
export function bedProcesses(directory: string): BedProcess[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((name) => bedProcess(Number(name), directory) ?? [])
}

function bedProcess(pid: number, directory: string): BedProcess | undefined {
  const environment = readProc(pid, 'environ')?.split('\0') ?? []
  const [place, role] = [DIRECTORY_MARK, ROLE_MARK].map((mark) => valueOf(environment, mark))
  if (!`${place}/`.startsWith(`${directory}/`)) return undefined
  const startTime = startTimeOf(pid)
  if (startTime === undefined || role === undefined) return undefined
  return { pid, startTime, role }
}

function valueOf(environment: readonly string[], name: string): string | undefined {
  return environment.find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1)
}

/** Undefined for a process that has ended, also when nobody has asked for its exit status yet. */
export function startTimeOf(pid: number): string | undefined {
  // The name, in parentheses, may hold anything: proc(5), /proc/pid/stat.
  const fields = readProc(pid, 'stat')
    ?.replace(/^.*\) /s, '')
    .split(' ')
  return fields === undefined || fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19]
}

function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1')
  } catch {
    return undefined // it has ended, or belongs to another user
  }
}

export function isAlive({ pid, startTime }: Pick<BedProcess, 'pid' | 'startTime'>): boolean {
  return startTimeOf(pid) === startTime
}

/** Ends processes: SIGTERM, and SIGKILL for what is still there after the grace; a guard heeds no other. */
export async function endProcesses(
  processes: readonly BedProcess[],
  graceMs: number,
): Promise<void> {
  signalAll(
    processes.filter(({ role }) => role === 'guard'),
    'SIGKILL',
  )
  if (graceMs > 0) signalAll(processes, 'SIGTERM')
  await ended(processes, graceMs)
  signalAll(processes, 'SIGKILL')
  await ended(processes, 5000)
}

function signalAll(processes: readonly BedProcess[], signal: NodeJS.Signals): void {
  for (const each of processes.filter(isAlive)) {
    try {
      process.kill(each.pid, signal)
    } catch {
      // It has ended meanwhile.
    }
  }
}

async function ended(processes: readonly BedProcess[], limitMs: number): Promise<void> {
  const deadline = Date.now() + limitMs
  while (Date.now() < deadline && processes.some(isAlive)) await sleep(20)
}
