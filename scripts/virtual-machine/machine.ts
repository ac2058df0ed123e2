import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { AgentClient, type Ended, type Running, type RunOptions } from './agent-client.js'
import { Disk, type Fault, type Unflushed } from './disk.js'
import { machineImages } from './images.js'
import { Monitor } from './monitor.js'
import { NbdServer } from './nbd-server.js'
import { type Qemu, startQemu } from './qemu.js'
import { type Scratch, scratchForMachine } from './scratch.js'
import { bytesOf } from './sizes.js'

/** udevd works, is there but does nothing (SIGSTOP), or is not there at all. */
export type Udev = 'running' | 'stopped' | 'absent'

/** A blank disk of that size (`64M`), gone with the machine, or a file that stays. */
export type DiskSpec = string | { readonly path: string; readonly size?: string }

export interface MachineOptions {
  /** /dev/vdb, /dev/vdc and so on. */
  readonly disks?: readonly DiskSpec[]
  /** `absent` when not given. */
  readonly udev?: Udev
  readonly memoryMiB?: number
}

const BOOT_MS = 120_000
const POWER_OFF_MS = 60_000
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
  readonly disks: readonly Disk[]
  readonly #servers: readonly NbdServer[]
  readonly #names: readonly string[]
  readonly #scratch: Scratch
  readonly #options: MachineOptions
  #boot: Boot | undefined
  #console = ''

  private constructor(options: MachineOptions, scratch: Scratch, servers: readonly Served[]) {
    this.#options = options
    this.#scratch = scratch
    this.#servers = servers.map(({ server }) => server)
    this.#names = servers.map(({ name }) => name)
    this.disks = servers.map(({ server }) => server.disk)
  }

  /** Makes the disks and boots. */
  static async boot(options: MachineOptions = {}): Promise<Machine> {
    const scratch = scratchForMachine()
    const servers: Served[] = []
    try {
      for (const spec of options.disks ?? []) {
        servers.push(await serveDisk(spec, join(scratch.directory, `disk${servers.length}`)))
      }
      const machine = new Machine(options, scratch, servers)
      await machine.boot()
      return machine
    } catch (error) {
      for (const { server } of servers) await server.close()
      await scratch.remove()
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
      processors: 2,
      words: [`machine.udev=${udev}`],
      diskSockets: this.#names,
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
    const [disk, server] = [this.disk(index), this.#servers[index]]
    const bytes = bytesOf(size)
    if (bytes < disk.size) throw new Error(`disk ${index} has ${disk.size} bytes already`)
    disk.resize(bytes)
    if (this.#boot === undefined) return
    const { monitor } = this.#boot
    // qemu learns the new size when it connects anew, and that when there is something to read.
    server?.disconnect()
    const read = await monitor.human(`qemu-io disk${index} "read 0 512"`)
    if (!read.includes('read 512/512')) throw new Error(`disk ${index} does not answer: ${read}`)
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
    for (const server of this.#servers) server.disconnect()
    for (const disk of this.disks) disk.loseCache(unflushed)
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
    for (const disk of this.disks) disk.flush()
  }

  disk(index: number): Disk {
    const disk = this.disks[index]
    if (disk !== undefined) return disk
    throw new Error(`there is no disk ${index}, but ${this.disks.length} from 0 on`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#boot !== undefined) await this.kill()
    for (const server of this.#servers) {
      await server.close()
      server.disk.close()
    }
    await this.#scratch.remove()
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
  async #answer(request: unknown): Promise<unknown> {
    const { action, disk = 0, size = 0 } = request as GuestRequest
    if (action !== 'grow-disk') throw new Error(`the host knows no ${action}`)
    await this.growDisk(disk, size)
    return null
  }
}

interface GuestRequest {
  readonly action: string
  readonly disk?: number
  readonly size?: string | number
}

interface Served {
  readonly server: NbdServer
  readonly name: string
}

/**
 * As long as such a name can be (unix(7)): Node 20 fills shorter ones with zeros, Node 24 does not,
 * and qemu must say the very same name.
 */
const ABSTRACT_NAME_CHARS = 107

async function serveDisk(spec: DiskSpec, scratch: string): Promise<Served> {
  const { path, size } = typeof spec === 'string' ? { path: scratch, size: spec } : spec
  const disk = new Disk(path, size === undefined ? undefined : bytesOf(size))
  const name = `volseal-${randomUUID()}-`.padEnd(ABSTRACT_NAME_CHARS, '-')
  return { server: await NbdServer.listen(disk, name), name }
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
