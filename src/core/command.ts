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
  /** Called with standard output as it comes. */
  onOutput?: ((text: string) => void) | undefined
}

export interface CommandResult {
  /** Undefined when a signal ended the program. */
  readonly exitCode: number | undefined
  readonly stdout: string
  readonly stderr: string
}

const TEN_MINUTES = 600_000
const KILL_AFTER_MS = 5000

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
    ...(signal === undefined ? {} : { cancelSignal: signal }),
  })
  if (!mustEnd) endWithUs(running)
  const { onOutput } = options
  if (onOutput !== undefined) running.stdout.on('data', (data) => onOutput(String(data)))
  const result = await running
  if (signal !== undefined && result.isCanceled) throw abortReason(signal)
  if (result.code === 'ENOENT') throw missing(file, result)
  if (result.timedOut) {
    throw new VolsealError('unavailable', `${file} ${args[0] ?? ''} did not end in time`)
  }
  return { exitCode: result.exitCode, stdout: result.stdout, stderr: result.stderr }
}

/** What a running program is to us; execa's own type depends on every option. */
interface Running {
  kill(signal: 'SIGTERM'): boolean
  once(event: 'exit' | 'error', listener: () => void): unknown
}

const programs = new Set<Running>()

/** execa leaves a detached program running when we exit, as on a second Ctrl-C. */
function endWithUs(running: Running): void {
  if (programs.size === 0) process.once('exit', endAll)
  programs.add(running)
  const forget = (): void => {
    if (programs.delete(running) && programs.size === 0) process.removeListener('exit', endAll)
  }
  running.once('exit', forget)
  running.once('error', forget)
}

function endAll(): void {
  for (const running of programs) running.kill('SIGTERM')
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
