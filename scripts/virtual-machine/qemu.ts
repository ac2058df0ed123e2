import { type ChildProcess, spawn } from 'node:child_process'
import { Duplex } from 'node:stream'
import { ENVIRONMENT } from '../harness/program.js'
import type { Images } from './images.js'

export interface QemuOptions {
  readonly memoryMiB: number
  readonly processors: number
  /** Words for the kernel's command line, which the machine's own scripts read. */
  readonly words: readonly string[]
  /** Abstract sockets of the disks, in order: /dev/vdb and so on. */
  readonly diskSockets: readonly string[]
  /** The console: kept by this process, or this terminal. */
  readonly console: 'pipe' | 'terminal'
}

export interface Qemu {
  readonly process: ChildProcess
  /** The virtio serial port. */
  readonly port: Duplex
  /** QMP. */
  readonly monitor: Duplex
}

const PORT_FD = 3
const MONITOR_FD = 4

/**
 * Starts the emulator: no hardware virtualisation, since few test machines have it that works. It
 * ends with the thread that started it, however that ends (PR_SET_PDEATHSIG); all its channels are
 * inherited or abstract sockets, so that it leaves no file behind.
 */
export function startQemu(images: Images, options: QemuOptions): Qemu {
  const args = ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...qemuArgs(images, options)]
  const stdio = options.console === 'terminal' ? 'inherit' : 'pipe'
  const child = spawn('setpriv', args, {
    env: ENVIRONMENT,
    stdio: [stdio, stdio, stdio, 'pipe', 'pipe'],
    // Ctrl-C is for us; what becomes of the machine is our decision.
    detached: options.console === 'pipe',
  })
  const [port, monitor] = [child.stdio[PORT_FD], child.stdio[MONITOR_FD]]
  if (!(port instanceof Duplex && monitor instanceof Duplex)) throw new Error('no channels to qemu')
  return { process: child, port, monitor }
}

/** What programs and dm-crypt need: what wider vectors save them, emulating those costs again. */
const PROCESSOR = 'qemu64,+aes,+ssse3,+sse4.1,+sse4.2,+popcnt,+pclmulqdq'

function qemuArgs(images: Images, options: QemuOptions): string[] {
  const { memoryMiB, processors, words, diskSockets } = options
  // No mitigations: they cost time, and nobody attacks. A defect of the kernel ends the machine.
  const kernel = ['console=ttyS0', 'quiet', 'panic=-1', 'oops=panic', 'mitigations=off', ...words]
  return [
    '-no-user-config',
    '-nodefaults',
    '-no-reboot',
    '-display',
    'none',
    '-accel',
    'tcg,thread=multi',
    '-cpu',
    PROCESSOR,
    '-m',
    String(memoryMiB),
    '-smp',
    String(processors),
    '-kernel',
    images.kernel,
    '-initrd',
    images.initrd,
    '-append',
    kernel.join(' '),
    ...consoleArgs(options.console),
    ...channelArgs(),
    ...rootArgs(images.root),
    ...diskSockets.flatMap(diskArgs),
  ]
}

function consoleArgs(console: QemuOptions['console']): string[] {
  // On a terminal, Ctrl-C goes to the machine, and Ctrl-A X ends it.
  const target = console === 'terminal' ? 'stdio,mux=on,signal=off' : 'stdio'
  const monitor = console === 'terminal' ? ['-mon', 'chardev=console'] : []
  return ['-chardev', `${target},id=console`, '-serial', 'chardev:console', ...monitor]
}

function channelArgs(): string[] {
  return [
    '-chardev',
    `socket,id=port,fd=${PORT_FD}`,
    '-device',
    'virtio-serial-pci',
    '-device',
    'virtserialport,chardev=port,name=volseal',
    '-chardev',
    `socket,id=monitor,fd=${MONITOR_FD}`,
    '-mon',
    'chardev=monitor,mode=control',
  ]
}

function rootArgs(path: string): string[] {
  return [
    '-blockdev',
    JSON.stringify({ driver: 'file', 'node-name': 'root', filename: path, 'read-only': true }),
    '-device',
    'virtio-blk-pci,drive=root',
  ]
}

/** Seconds that qemu tries to reach a disk's server again; see `growDisk`. */
const RECONNECT_S = 20

function diskArgs(socket: string, index: number): string[] {
  const server = { type: 'unix', path: socket, abstract: true }
  const node = {
    driver: 'nbd',
    'node-name': `disk${index}`,
    'reconnect-delay': RECONNECT_S,
    server,
  }
  const device = ['virtio-blk-pci', `drive=disk${index}`, `serial=disk${index}`, 'write-cache=on']
  return [
    '-blockdev',
    JSON.stringify(node),
    '-device',
    // Errors go to the machine, as those of a real disk would.
    [...device, `id=device${index}`, 'werror=report', 'rerror=report'].join(','),
  ]
}
