import {
  createReadStream,
  fstat,
  readdirSync,
  readFileSync,
  readlinkSync,
  type Stats,
} from 'node:fs'
import { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { readSmallFile } from './byte-source.js'
import { systemCode, VolsealError } from './errors.js'

const statFd = promisify(fstat)

/**
 * All bytes, at most 1 MiB, of a file descriptor that the starting program has handed over; it is
 * closed then. The caller owns the buffer, and wipes it if it holds a secret.
 *
 * @param fd from 3 on; 0 is standard input
 * @throws {VolsealError} `usage` when nobody has handed it over, or it cannot be read from
 */
export async function readDescriptor(
  fd: number,
  what: string,
  signal?: AbortSignal,
): Promise<Buffer> {
  const name = `file descriptor ${fd}`
  const stats = await openStats(fd, name)
  refuseOwn(fd, name)
  return await readSmallFile(streamOf(fd, stats), what, signal)
}

async function openStats(fd: number, name: string): Promise<Stats> {
  return await statFd(fd).catch((error: unknown) => {
    if (systemCode(error) !== 'EBADF') throw error
    throw new VolsealError('usage', `${name} is not open`, {
      hint: `hand it over in the shell: ${fd}<FILE`,
      cause: error,
    })
  })
}

/**
 * Node has descriptors of its own, from 3 on as well: event queues, which have no path, and pipes
 * whose both ends it holds. To read from one of them would be to wait for ever, and to take what wakes
 * Node when a signal comes.
 */
function refuseOwn(fd: number, name: string): void {
  const link = linkOf(String(fd))
  const same = readdirSync('/proc/self/fd').filter((other) => linkOf(other) === link)
  const isOwn =
    link.startsWith('anon_inode:') || (link.startsWith('pipe:') && same.some(isWritable))
  if (!isOwn && accessOf(String(fd)) !== WRITE_ONLY) return
  throw new VolsealError('usage', `${name} is not one to read from`, {
    hint: `hand it over in the shell: ${fd}<FILE`,
  })
}

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return ''
  }
}

const WRITE_ONLY = 1

function isWritable(fd: string): boolean {
  return accessOf(fd) !== 0
}

/** `flags: 0100001` in proc(5)'s fdinfo, octal; the last two bits are O_ACCMODE: 0, 1 or 2 (both). */
function accessOf(fd: string): number {
  const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1]
  return Number.parseInt(flags ?? '1', 8) & 3
}

/** A pipe or socket waits in the event loop; a file is read from where it stands. */
function streamOf(fd: number, stats: Stats): Readable {
  if (stats.isFIFO() || stats.isSocket()) return new Socket({ fd, readable: true, writable: false })
  return createReadStream('', { fd })
}
