import type { Readable } from 'node:stream'
import { abortReason, VolsealError } from './errors.js'
import type { Secret } from './secret.js'

/**
 * The only importer of execa: every program that volseal runs is started here. It is loaded with the
 * first one, since it takes longer to load than Node itself.
 */

export interface CommandOptions {
  /** Bytes for standard input; without, standard input is empty. */
  input?: Secret | undefined
  signal?: AbortSignal | undefined
  /** Variables beside those of this process. */
  env?: Readonly<Record<string, string>> | undefined
  /** SIGTERM after this time, SIGKILL five seconds later; ten minutes when not given. */
  timeoutMs?: number | undefined
  /**
   * For what must not be cut off in the middle, such as a change of a volume's header: it is waited
   * for whatever the signal and the clock say, and goes on when we are killed.
   */
  mustEnd?: boolean | undefined
  /**
   * For what may be ended by SIGTERM, but never by SIGKILL, and not by SIGPIPE either when nobody
   * reads its output any more: it has no time limit, and goes on when we are killed.
   */
  gently?: boolean | undefined
  /**
   * For a program of the user's, such as a script: when it is ended, the programs that it has started
   * in turn are as well.
   */
  withChildren?: boolean | undefined
  /** More characters of output than this are an error; a hundred million when not given. */
  mostOutput?: number | undefined
  /** Called with standard output as it comes. */
  onOutput?: ((text: string) => void) | undefined
  /** Called with standard error as it comes. */
  onTalk?: ((text: string) => void) | undefined
}

export interface CommandResult {
  /** Undefined when a signal ended the program. */
  readonly exitCode: number | undefined
  readonly stdout: string
  readonly stderr: string
}

const TEN_MINUTES = 600_000
const KILL_AFTER_MS = 5000
const LISTEN_ON_MS = 1000

/** Which Debian package brings a program. */
const PACKAGES: Readonly<Record<string, string>> = {
  cryptsetup: 'cryptsetup-bin',
  'qemu-img': 'qemu-utils',
  blkid: 'util-linux',
  udevadm: 'udev',
  losetup: 'util-linux',
  mkfifo: 'coreutils',
  virsh: 'libvirt-clients',
}

/**
 * Runs a program to its end and returns what it said, whatever its exit code: what a code means is
 * the caller's table. No shell, a fixed locale, secrets on standard input only.
 *
 * @throws {VolsealError} `unavailable` when the program is not there or takes too long, and the
 * signal's reason when it was aborted.
 */
export async function runCommand(
  file: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const { execa } = await import('execa')
  const { mustEnd = false, gently = false } = options
  const signal = mustEnd ? undefined : options.signal
  const [program, ...words] = gently
    ? ['env', '--ignore-signal=PIPE', file, ...args]
    : [file, ...args]
  const running = execa(program, words, {
    reject: false,
    input: options.input?.bytes() ?? '',
    env: { ...options.env, LC_ALL: 'C', PATH: searchPath() },
    timeout: mustEnd || gently ? 0 : (options.timeoutMs ?? TEN_MINUTES),
    forceKillAfterDelay: gently ? false : KILL_AFTER_MS,
    // A session of its own: Ctrl-C in a terminal reaches volseal alone, which then decides what the
    // program's end means, and may still run others (cryptsetup close) to clean up.
    detached: true,
    ...(options.mostOutput === undefined ? {} : { maxBuffer: options.mostOutput }),
    ...(signal === undefined ? {} : { cancelSignal: signal }),
  })
  listenToItsEnd(running)
  if (!mustEnd) endWithUs(running, options)
  const stopWatching = options.withChildren === true ? watchChildren(running, options) : undefined
  const { onOutput, onTalk } = options
  if (onOutput !== undefined) running.stdout.on('data', (data) => onOutput(String(data)))
  if (onTalk !== undefined) running.stderr.on('data', (data) => onTalk(String(data)))
  const result = await running
  stopWatching?.()
  if (signal !== undefined && result.isCanceled) throw abortReason(signal)
  if (result.code === 'ENOENT') throw missing(file, result)
  if (running.pid === undefined) {
    throw new VolsealError('unavailable', `${file} cannot be started (${result.code})`)
  }
  if (result.timedOut) {
    throw new VolsealError(
      'unavailable',
      `${[file, ...args.slice(0, 1)].join(' ')} did not end in time`,
    )
  }
  if (result.isMaxBuffer) {
    throw new VolsealError(
      'unavailable',
      `${file} wrote more than ${options.mostOutput} characters`,
    )
  }
  return { exitCode: result.exitCode, stdout: result.stdout, stderr: result.stderr }
}

/** What a running program is to us; execa's own type depends on every option. */
interface Running {
  readonly pid?: number | undefined
  readonly stdout: Readable
  readonly stderr: Readable
  kill(signal: 'SIGTERM'): boolean
  once(event: 'exit' | 'error', listener: () => void): unknown
}

/**
 * A program has ended when it has exited: a daemon that it has started may hold its output open for
 * ever. What it wrote itself is in the pipes by then; the turn of the event loop behind the timer's
 * reads them, also where this process was not running in the meantime.
 */
function listenToItsEnd(running: Running): void {
  const hangUp = (): void => {
    running.stdout.destroy()
    running.stderr.destroy()
  }
  running.once('exit', () => setTimeout(() => setImmediate(hangUp), LISTEN_ON_MS).unref())
}

/** How to end each program that runs. */
const programs = new Map<Running, () => void>()

/** execa leaves a detached program running when we exit, as on a second Ctrl-C. */
function endWithUs(running: Running, { withChildren }: CommandOptions): void {
  if (programs.size === 0) process.once('exit', endAll)
  programs.set(running, () => {
    if (withChildren === true) signalSession(running, 'SIGTERM')
    else running.kill('SIGTERM')
  })
  const forget = (): void => {
    if (programs.delete(running) && programs.size === 0) process.removeListener('exit', endAll)
  }
  running.once('exit', forget)
  running.once('error', forget)
}

function endAll(): void {
  for (const end of programs.values()) end()
}

/** Ends all of the program's session when execa ends the program: on an abort, or when time is up. */
function watchChildren(
  running: Running,
  { signal, timeoutMs = TEN_MINUTES }: CommandOptions,
): () => void {
  const end = (): void => {
    signalSession(running, 'SIGTERM')
    setTimeout(() => signalSession(running, 'SIGKILL'), KILL_AFTER_MS).unref()
  }
  const timer = setTimeout(end, timeoutMs)
  signal?.addEventListener('abort', end, { once: true })
  return () => {
    clearTimeout(timer)
    signal?.removeEventListener('abort', end)
  }
}

/** The program leads a session and a process group of its own (`detached`). */
function signalSession({ pid }: Running, name: NodeJS.Signals): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, name)
  } catch {
    // Nobody of it is left.
  }
}

/** Debian keeps cryptsetup in sbin, which an ordinary user's PATH leaves out. */
function searchPath(): string {
  // oxlint-disable-next-line node/no-process-env -- the one variable every program's start needs
  return `${process.env['PATH'] ?? '/usr/bin:/bin'}:/usr/sbin:/sbin`
}

function missing(file: string, cause: unknown): VolsealError {
  const name = PACKAGES[file]
  return new VolsealError('unavailable', `the program ${file} is not installed`, {
    hint: name === undefined ? undefined : `on Debian: apt install ${name}`,
    cause,
  })
}

/** The last line that a program wrote to standard error, for an error message. */
export function lastLine(result: CommandResult): string {
  const text = result.stderr.trim().split('\n').at(-1)?.trim() ?? ''
  return text === '' ? `exit code ${result.exitCode ?? 'none (killed)'}` : text
}

/** Whether a program can be started at all. */
export async function hasCommand(file: string): Promise<boolean> {
  try {
    await runCommand(file, ['--version'])
    return true
  } catch {
    return false
  }
}

/**
 * A name by which a program that we start can open a file that we hold open, even one that has no
 * name of its own (O_TMPFILE): nobody can put another file in its place.
 */
export function pathOfFd(fd: number): string {
  return `/proc/${process.pid}/fd/${fd}`
}
