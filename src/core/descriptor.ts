import {
  createReadStream,
  fstat,
  readdirSync,
  readFileSync,
  readlinkSync,
  type Stats,
} from 'node:fs'
import { Socket } from 'node:net'
import { addAbortSignal, type Readable } from 'node:stream'
import { promisify } from 'node:util'
import { readSmallFile } from './byte-source.js'
import { systemCode, VolsealError } from './errors.js'
import { kindOf, requireReadable } from './file-kind.js'

const statFd = promisify(fstat)

/**
 * All bytes, at most 1 MiB, of a file descriptor that the starting program has handed over; it is
 * closed then. A FIFO that this process holds open for writing as well has no end, as with
 * `9<>FIFO`: of that it is one line. The caller owns the buffer, and wipes it if it holds a secret.
 *
 * @param fd from 3 on; 0 is standard input
 * @throws {VolsealError} `usage` when nobody has handed it over, or it cannot be read from; a terminal
 * would show what is typed, and no signal ends a read of it
 */
export async function readDescriptor(
  fd: number,
  what: string,
  signal?: AbortSignal,
): Promise<Buffer> {
  const name = `file descriptor ${fd}`
  const stats = await openStats(fd, name)
  refuseTerminal(fd, stats, name)
  requireReadable(stats, name)
  const others = sameFile(fd)
  refuseOwn(fd, others, name)
  const stream = streamOf(fd, stats)
  const isEndless = stats.isFIFO() && others.some(isWritable)
  return await readSmallFile(isEndless ? firstLine(stream, signal) : stream, what, signal)
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

function refuseTerminal(fd: number, stats: Stats, name: string): void {
  if (kindOf(stats) !== 'a terminal') return
  throw new VolsealError('usage', `${name}: expected a file or a pipe, got a terminal`, {
    hint: `hand one over in the shell: ${fd}<FILE; without the option, a terminal is asked`,
  })
}

/** The descriptors of this process that are the same file or pipe, this one among them. */
function sameFile(fd: number): string[] {
  const link = linkOf(String(fd))
  return readdirSync('/proc/self/fd').filter((other) => linkOf(other) === link)
}

/**
 * Node has descriptors of its own, from 3 on as well: event queues, which have no path, and pipes
 * whose both ends it holds. To read from one of them would be to wait for ever, and to take what wakes
 * Node when a signal comes.
 */
function refuseOwn(fd: number, others: readonly string[], name: string): void {
  const link = linkOf(String(fd))
  const isOwn =
    link.startsWith('anon_inode:') || (link.startsWith('pipe:') && others.some(isWritable))
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

/** The abort ends the stream: nothing else would while nobody writes. */
async function* firstLine(stream: Readable, signal?: AbortSignal): AsyncGenerator<Buffer> {
  if (signal !== undefined) addAbortSignal(signal, stream)
  for await (const piece of stream) {
    const end = piece.indexOf(NEWLINE) + 1
    yield end === 0 ? piece : piece.subarray(0, end)
    if (end > 0) return
  }
}

const NEWLINE = 0x0a

/** A pipe or socket waits in the event loop; a file is read from where it stands. */
function streamOf(fd: number, stats: Stats): Readable {
  if (stats.isFIFO() || stats.isSocket()) return new Socket({ fd, readable: true, writable: false })
  return createReadStream('', { fd })
}
