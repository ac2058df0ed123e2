import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { Disk } from './disk.js'
import { NbdServer } from './nbd-server.js'
import { type Scratch, scratchForMachine } from './scratch.js'
import { bytesOf } from './sizes.js'

/** A blank disk of that size (`64M`), gone with the machine, or a file that stays. */
export type DiskSpec = string | { readonly path: string; readonly size?: string }

/**
 * As long as such a name can be (unix(7)): Node 20 fills shorter ones with zeros, Node 24 does not,
 * and qemu must say the very same name.
 */
const ABSTRACT_NAME_CHARS = 107

/** The disks of a machine and the servers that qemu reaches them by. */
export class DiskBench implements AsyncDisposable {
  readonly disks: readonly Disk[]
  /** Abstract socket of each. */
  readonly sockets: readonly string[]
  readonly #servers: readonly NbdServer[]
  readonly #scratch: Scratch

  private constructor(scratch: Scratch, served: readonly Served[]) {
    this.#scratch = scratch
    this.#servers = served.map(({ server }) => server)
    this.sockets = served.map(({ socket }) => socket)
    this.disks = served.map(({ disk }) => disk)
  }

  static async of(specs: readonly DiskSpec[]): Promise<DiskBench> {
    const scratch = scratchForMachine()
    const served: Served[] = []
    try {
      for (const spec of specs) {
        served.push(await serve(spec, join(scratch.directory, `disk${served.length}`)))
      }
      return new DiskBench(scratch, served)
    } catch (error) {
      await new DiskBench(scratch, served)[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Ends the connections; qemu, where it lives, makes new ones and learns the sizes anew. */
  disconnect(index?: number): void {
    const chosen = index === undefined ? this.#servers : this.#servers.slice(index, index + 1)
    for (const server of chosen) server.disconnect()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) await server.close()
    for (const disk of this.disks) disk.close()
    await this.#scratch.remove()
  }
}

interface Served {
  readonly disk: Disk
  readonly server: NbdServer
  readonly socket: string
}

async function serve(spec: DiskSpec, scratch: string): Promise<Served> {
  const { path, size } = typeof spec === 'string' ? { path: scratch, size: spec } : spec
  const disk = new Disk(path, size === undefined ? undefined : bytesOf(size))
  const socket = `volseal-${randomUUID()}-`.padEnd(ABSTRACT_NAME_CHARS, '-')
  return { disk, socket, server: await NbdServer.listen(disk, socket) }
}
