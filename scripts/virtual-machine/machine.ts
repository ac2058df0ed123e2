import { AgentClient, type Ended, type Running, type RunOptions } from './agent-client.js'
import type { Disk, Fault, Unflushed } from './disk.js'
import { DiskBench, type DiskSpec } from './disk-bench.js'
import type { GuestRequest } from './frames.js'
import { machineImages } from './images.js'
import { Monitor } from './monitor.js'
import { type Qemu, startQemu } from './qemu.js'
import { bytesOf } from './sizes.js'

export type { DiskSpec }

/** udevd works, is there but does nothing (SIGSTOP), or is not there at all. */
export type Udev = 'running' | 'stopped' | 'absent'

export interface MachineOptions {
  /** /dev/vdb, /dev/vdc and so on. */
  readonly disks?: readonly DiskSpec[]
  /** `absent` when not given. */
  readonly udev?: Udev
  readonly memoryMiB?: number
  /** 2 when not given. */
  readonly processors?: number
}

const BOOT_MS = 300_000
const POWER_OFF_MS = 120_000
const CONSOLE_BYTES = 20_000

/** One start of the machine: qemu, and what is connected to it. */
interface Boot {
  readonly qemu: Qemu
  readonly agent: AgentClient
  readonly monitor: Monitor
  /** Settled when qemu has ended. */
  readonly ended: Promise<void>
  /** Set once its end is expected. */
  leaving: boolean
}

/**
 * A virtual machine under qemu's emulation, with disks that outlive its boots. `await using` ends
 * it; when this process ends, by whatever means, it goes too.
 */
export class Machine implements AsyncDisposable {
  readonly #bench: DiskBench
  readonly #options: MachineOptions
  #boot: Boot | undefined
  #console = ''

  private constructor(options: MachineOptions, bench: DiskBench) {
    this.#options = options
    this.#bench = bench
  }

  /** Makes the disks and boots. */
  static async boot(options: MachineOptions = {}): Promise<Machine> {
    const bench = await DiskBench.of(options.disks ?? [])
    const machine = new Machine(options, bench)
    try {
      await machine.boot()
      return machine
    } catch (error) {
      await bench[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Boots again, on the same disks, after `stop` or `kill`. */
  async boot({ udev = this.#options.udev ?? 'absent' }: { udev?: Udev } = {}): Promise<void> {
    if (this.#boot !== undefined) throw new Error('the machine runs already')
    const images = await machineImages()
    this.#console = ''
    const qemu = startQemu(images, {
      memoryMiB: this.#options.memoryMiB ?? 1024,
      processors: this.#options.processors ?? 2,
      words: [`machine.udev=${udev}`],
      diskSockets: this.#bench.sockets,
      console: 'pipe',
    })
    const boot = this.#connect(qemu)
    this.#boot = boot
    try {
      await within(BOOT_MS, 'booting', Promise.race([boot.agent.ready, this.#endOf(boot)]))
      await boot.monitor.execute('qmp_capabilities')
    } catch (error) {
      await this.kill()
      throw error
    }
  }

  /** Runs a program to its end. */
  async run(file: string, args: readonly string[] = [], options: RunOptions = {}): Promise<Ended> {
    return await this.#running().agent.run([file, ...args], options)
  }

  /** Runs lines of bash to their end. */
  async shell(script: string, options: RunOptions = {}): Promise<Ended> {
    return await this.run('bash', ['-c', script], options)
  }

  /** Starts a program, to be sent signals while it runs. */
  async start(
    file: string,
    args: readonly string[] = [],
    options: RunOptions = {},
  ): Promise<Running> {
    return await this.#running().agent.start([file, ...args], options)
  }

  /** What the machine has printed on its console since it booted. */
  get console(): string {
    return this.#console
  }

  /** Makes a disk larger, which a machine that runs sees at once. */
  async growDisk(index: number, size: string | number): Promise<void> {
    const disk = this.disk(index)
    const bytes = bytesOf(size)
    if (bytes < disk.size) throw new Error(`disk ${index} has ${disk.size} bytes already`)
    disk.resize(bytes)
    if (this.#boot === undefined) return
    const { monitor } = this.#boot
    // qemu learns the new size when it connects anew, and that when there is something to read.
    this.#bench.disconnect(index)
    await monitor.human(`qemu-io disk${index} "read 0 512"`)
    await monitor.execute('block_resize', { 'node-name': `disk${index}`, size: bytes })
  }

  /** Makes accesses to a part of a disk fail, until what it returns is called. */
  failDisk(index: number, fault: Fault): () => void {
    return this.disk(index).fail(fault)
  }

  /** Stops udevd in its tracks, lets it go on, or ends it without its knowing. */
  async udev(action: 'stop' | 'continue' | 'kill'): Promise<void> {
    const signal = { stop: 'STOP', continue: 'CONT', kill: 'KILL' }[action]
    const { exitCode } = await this.run('pkill', [`-${signal}`, '-x', 'systemd-udevd'])
    if (exitCode !== 0) throw new Error('udevd does not run in this machine')
  }

  /** The power goes: at once, and with it what the disks had not been told to flush. */
  async kill(unflushed: Unflushed = 'lost'): Promise<void> {
    const boot = this.#leave()
    boot.qemu.process.kill('SIGKILL')
    // What qemu has sent and nobody has read yet is lost too.
    this.#bench.disconnect()
    for (const disk of this.#bench.disks) disk.loseCache(unflushed)
    await boot.ended
  }

  /** The power goes at the nth write to a disk from now on; fulfilled when it has gone. */
  async cutAtWrite(index: number, nth: number, unflushed: Unflushed = 'lost'): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.disk(index).cutAtWrite(nth, () => {
        this.kill(unflushed).then(resolve, reject)
      })
    })
  }

  /** Switches the machine off in order. */
  async stop(): Promise<void> {
    const { agent } = this.#running()
    await within(POWER_OFF_MS, 'switching off', agent.powerOff())
    const boot = this.#leave()
    await within(POWER_OFF_MS, 'switching off', boot.ended).finally(() =>
      boot.qemu.process.kill('SIGKILL'),
    )
    for (const disk of this.#bench.disks) disk.flush()
  }

  /** The disks by their place: 0 is /dev/vdb. */
  disk(index: number): Disk {
    const { disks } = this.#bench
    const disk = disks[index]
    if (disk !== undefined) return disk
    throw new Error(`there is no disk ${index}, but ${disks.length} from 0 on`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#boot !== undefined) await this.kill()
    await this.#bench[Symbol.asyncDispose]()
  }

  #connect(qemu: Qemu): Boot {
    const keep = (piece: Buffer): void => {
      this.#console = (this.#console + piece.toString()).slice(-CONSOLE_BYTES)
    }
    qemu.process.stdout?.on('data', keep)
    qemu.process.stderr?.on('data', keep)
    const agent = new AgentClient(qemu.port, async (request) => await this.#answer(request))
    const ended = new Promise<void>((resolve) => {
      qemu.process.once('error', () => {
        resolve()
      })
      qemu.process.once('close', () => {
        resolve()
      })
    })
    const boot = { qemu, agent, monitor: new Monitor(qemu.monitor), ended, leaving: false }
    void this.#endOf(boot).catch((error: unknown) => {
      if (error instanceof Error) agent.fail(error)
    })
    return boot
  }

  /** An end that nobody asked for is an error, whatever qemu's exit code says. */
  async #endOf(boot: Boot): Promise<never> {
    await boot.ended
    const how = boot.leaving ? 'was switched off' : 'ended by itself'
    throw new Error(`the machine ${how}; the end of its console:\n${this.#console.slice(-3000)}`)
  }

  #running(): Boot {
    if (this.#boot === undefined) throw new Error('the machine is off')
    return this.#boot
  }

  #leave(): Boot {
    const boot = this.#running()
    boot.leaving = true
    this.#boot = undefined
    return boot
  }

  /** What tests inside the machine ask for. */
  async #answer({ disk, size }: GuestRequest): Promise<void> {
    await this.growDisk(disk, size)
  }
}

async function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`${what} the machine took over ${ms / 1000} s`))
    }, ms)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
