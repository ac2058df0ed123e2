import { close, constants, fstat, open, read, type Stats } from 'node:fs'
import { Socket } from 'node:net'
import { promisify } from 'node:util'
import { abortableWaits } from './abortable-waits.js'
import { fromSystem, throwIfAborted, VolsealError } from './errors.js'
import { requireReadable } from './file-kind.js'
import { iterableSource } from './iterable-source.js'

/** What is read: a path, `-` for standard input, bytes as they come, or what a service keeps. */
export type ByteInput = string | AsyncIterable<Uint8Array> | SourceMaker

/** What is opened in a way of its own: an image in Glance. */
export interface SourceMaker {
  /** How errors and reports call it. */
  readonly name: string
  openSource(): Promise<ByteSource>
}

/**
 * Bytes that are read once, from the first to the last. `read` fills the buffer as far as it can
 * and returns the number of bytes, 0 at the end.
 */
export interface ByteSource {
  /** How errors call it. */
  readonly name: string
  /** Size in bytes where it is known before reading: a regular file's. */
  readonly size: number | undefined
  /** The open file when any part can be read again by position; the source closes it. */
  readonly fd: number | undefined
  read(into: Buffer): Promise<number>
  /** Whether the file is still the one that was opened: not written to, not cut. */
  unchanged(): Promise<boolean>
  /** Of bytes from a service, once all were read: what it says of them and what came. */
  readonly arrival?: (() => Promise<Arrival>) | undefined
  close(): Promise<void>
}

/** What a service says of bytes that it gave, such as `sha512 1f40…`, and what they are. */
export interface Arrival {
  readonly expected: string
  readonly found: string
}

/** Size of the two buffers that every pass over an image uses, in bytes. */
export const CHUNK_BYTES: number = 1024 * 1024

/** Most bytes of a key, certificate or property file: nothing that is held whole is larger. */
const SMALL_BYTES = 1024 * 1024

const openFd = promisify(open)
const closeFd = promisify(close)
const statFd = promisify(fstat)

/**
 * Opens what is to be read. `what` names it in errors (`image`, `key`).
 *
 * @throws {VolsealError} `not-found`, `forbidden`, `usage` (a directory, a terminal), `io`
 */
export async function openSource(input: ByteInput, what: string): Promise<ByteSource> {
  if (typeof input !== 'string') {
    if ('openSource' in input) return await input.openSource()
    return iterableSource(input, nameOf(input, what))
  }
  if (input === '-') return await standardInput()
  try {
    // Without O_NONBLOCK a FIFO that nobody writes to would hold this process beyond any Ctrl-C.
    const fd = await openFd(input, constants.O_RDONLY | constants.O_NONBLOCK)
    return await sourceOf(fd, input)
  } catch (error) {
    throw fromSystem(error, `cannot read the ${what} ${input}`)
  }
}

/** How errors and reports call what is read. */
export function nameOf(input: ByteInput, what: string): string {
  if (typeof input === 'string') return input
  return 'openSource' in input ? input.name : `the ${what}`
}

/** Node reads a directory, and what has no content, as an empty stream. A terminal ends by Ctrl-D. */
async function standardInput(): Promise<ByteSource> {
  requireReadable(await statFd(0), 'standard input', 'a terminal')
  return iterableSource(process.stdin, 'standard input')
}

async function sourceOf(fd: number, path: string): Promise<ByteSource> {
  try {
    const stats = await statFd(fd)
    requireReadable(stats, path)
    return isSeekable(stats) ? fileSource(fd, path, stats) : socketSource(fd, path)
  } catch (error) {
    await closeFd(fd)
    throw error
  }
}

function isSeekable(stats: Stats): boolean {
  return stats.isFile() || stats.isBlockDevice()
}

function fileSource(fd: number, path: string, stats: Stats): ByteSource {
  const readFd = promisify(read)
  let position = 0
  let inFlight: Promise<number> = Promise.resolve(0)
  const readOn = async (into: Buffer): Promise<number> => {
    try {
      const { bytesRead } = await readFd(fd, into, 0, into.length, position)
      position += bytesRead
      return bytesRead
    } catch (error) {
      throw fromSystem(error, `cannot read ${path} at byte ${position}`)
    }
  }
  return {
    name: path,
    size: stats.isFile() ? stats.size : undefined,
    fd,
    async read(into) {
      inFlight = readOn(into)
      return await inFlight
    },
    async unchanged() {
      const now = await statFd(fd)
      return now.size === stats.size && now.mtimeMs === stats.mtimeMs
    },
    async close() {
      // A read that still runs would go to whatever file gets this number next.
      await inFlight.catch(() => undefined)
      await closeFd(fd)
    },
  }
}

/**
 * A pipe, FIFO or socket. A socket of Node's waits in the event loop; a plain read would wait in a
 * thread that nothing can interrupt.
 */
function socketSource(fd: number, path: string): ByteSource {
  return iterableSource(new Socket({ fd, readable: true, writable: false }), path)
}

export interface PassOptions {
  /** Called with the number of bytes that have passed, and how many there will be where known. */
  onProgress?: ((bytes: number, total: number | undefined) => void) | undefined
  signal?: AbortSignal | undefined
}

/**
 * Hands every byte of the source to `consumer` in pieces of up to 1 MiB and returns how many there
 * were. Two buffers: while one is consumed, the next read is in flight, which is worth a third of
 * the time. The piece is only valid until `consumer` is done with it. The buffers are shared
 * memory, so that another thread can look at a piece without a copy.
 */
export async function passOver(
  source: ByteSource,
  consumer: (piece: Buffer) => Promise<void> | void,
  options: PassOptions = {},
): Promise<number> {
  const { signal } = options
  throwIfAborted(signal)
  const waits = abortableWaits(signal)
  let [next, current] = [sharedBuffer(), sharedBuffer()]
  let total = 0
  let reading = source.read(next)
  try {
    for (;;) {
      const length = await waits.wait(reading)
      if (length === 0) return total
      ;[current, next] = [next, current]
      reading = source.read(next)
      // A failed read is reported when its turn comes; until then it must not count as unhandled.
      reading.catch(() => undefined)
      await consumer(current.subarray(0, length))
      total += length
      options.onProgress?.(total, source.size)
      throwIfAborted(signal)
    }
  } finally {
    waits.end()
  }
}

function sharedBuffer(): Buffer {
  return Buffer.from(new SharedArrayBuffer(CHUNK_BYTES))
}

/**
 * All bytes of a small file (a key, a certificate, JSON), at most 1 MiB; `-` is standard input.
 * The caller owns the buffer, and wipes it if it holds a secret.
 */
export async function readSmallFile(
  input: ByteInput,
  what: string,
  signal?: AbortSignal,
): Promise<Buffer> {
  throwIfAborted(signal)
  const source = await openSource(input, what)
  const waits = abortableWaits(signal)
  const buffer = Buffer.alloc(SMALL_BYTES + 1)
  try {
    let filled = 0
    for (;;) {
      const length = await waits.wait(source.read(buffer.subarray(filled)))
      filled += length
      if (length === 0) return Buffer.from(buffer.subarray(0, filled))
      if (filled > SMALL_BYTES) {
        const got = source.size === undefined ? 'more' : `${source.size}`
        throw new VolsealError(
          'usage',
          `${source.name} is no ${what}: expected at most ${SMALL_BYTES} bytes, got ${got}`,
        )
      }
    }
  } finally {
    waits.end()
    buffer.fill(0)
    await source.close()
  }
}
