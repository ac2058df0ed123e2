import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { buffer } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

/** The repository; this file is run from build/scripts/harness. */
export const REPOSITORY: string = fileURLToPath(new URL('../../../', import.meta.url))

/** The built command line. */
export const CLI: string = `${REPOSITORY}dist/cli/main.js`

/** The environment of every program here: one locale, and the sbin that Debian keeps cryptsetup in. */
export const ENVIRONMENT: NodeJS.ProcessEnv = {
  ...process.env,
  LC_ALL: 'C.UTF-8',
  PATH: `${process.env['PATH'] ?? '/usr/bin:/bin'}:/usr/sbin:/sbin`,
}

export interface ProgramOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  readonly input?: string | Buffer
  /** SIGKILL after this time; not limited when not given. */
  readonly timeoutMs?: number
  /** Called with the process once it runs. */
  readonly watch?: (child: ChildProcess) => void
}

export interface ProgramResult {
  /** Null when a signal ended it. */
  readonly code: number | null
  readonly stdout: Buffer
  readonly stderr: string
}

const running = new Set<ChildProcess>()

process.on('exit', () => {
  for (const child of running) killAll(child)
})

/** Runs a program to its end; neither it nor what it started outlives this process. */
export async function runProgram(
  argv: readonly string[],
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  const [file = '', ...args] = argv
  const { cwd, env = ENVIRONMENT, input, timeoutMs } = options
  const child = spawn(file, args, { ...(cwd === undefined ? {} : { cwd }), env, detached: true })
  const timer = timeoutMs === undefined ? undefined : setTimeout(killAll, timeoutMs, child)
  running.add(child)
  try {
    options.watch?.(child)
    // A program that does not read its input is none of our business.
    child.stdin.on('error', () => undefined).end(input ?? '')
    const ended = once(child, 'exit')
    const [stdout, stderr] = await Promise.all([buffer(child.stdout), buffer(child.stderr), ended])
    return { code: child.exitCode, stdout, stderr: stderr.toString() }
  } finally {
    clearTimeout(timer)
    running.delete(child)
  }
}

/** Ends a program and what it started: it is the first of a process group of its own. */
function killAll({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  } catch {
    // It has just ended by itself.
  }
}

/** The stdout of a program that must succeed. */
export async function output(
  argv: readonly string[],
  options: ProgramOptions = {},
): Promise<Buffer> {
  const { code, stdout, stderr } = await runProgram(argv, options)
  if (code === 0) return stdout
  throw new Error(
    `exit code ${code ?? 'none (killed)'}: ${argv.join(' ')}\n${stderr}${stdout.toString()}`,
  )
}

/** The stdout of a volseal command that must succeed. */
export async function volseal(
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<Buffer> {
  return await output([process.execPath, CLI, ...args], options)
}

/** Whether a command that only asks succeeds: whether a program, or a module of it, is there. */
export async function succeeds(
  argv: readonly string[],
  options: ProgramOptions = {},
): Promise<boolean> {
  const result = await runProgram(argv, options).catch(() => undefined)
  return result?.code === 0
}
