import { randomBytes } from 'node:crypto'
import { type FileHandle, open, unlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ByteSource, CHUNK_BYTES, type PassOptions, passOver } from '../core/byte-source.js'
import { pathOfFd } from '../core/command.js'
import { fromSystem, systemCode, VolsealError } from '../core/errors.js'
import { readAt, writeAt } from '../core/files.js'
import { BlockDigests } from './block-digests.js'
import type { Pass } from './check-signature.js'

/**
 * An image that is held so that the bytes which are verified and the bytes which are written later
 * cannot differ. `pass` is run once, by the verification; after it has accepted, the rest may be
 * used.
 */
export interface HeldImage {
  readonly pass: Pass
  /** Bytes; known after the pass. */
  readonly size: number
  /** Bytes that were verified, fewer only where the image ends. @throws `signature-mismatch` */
  readAt(offset: number, length: number): Promise<Buffer>
  /** A name under which a program can read the verified bytes; undefined when there is no copy. */
  readonly path: string | undefined
  close(): Promise<void>
}

/** Holds a file by the digests of its blocks: no copy, and no change goes unnoticed. */
export function holdByDigests(source: ByteSource, fd: number, options: PassOptions): HeldImage {
  const digests = new BlockDigests()
  const reads = new Set<Promise<Buffer>>()
  const readBlock = async (index: number): Promise<Buffer> => {
    const read = readBlockAt(fd, index, size, source.name)
    reads.add(read)
    return await read.finally(() => reads.delete(read))
  }
  let size = 0
  return {
    async pass(consumer) {
      size = await passOver(
        source,
        async (piece) => {
          digests.update(piece)
          await consumer(piece)
        },
        options,
      )
      digests.finish()
      return size
    },
    get size() {
      return size
    },
    path: undefined,
    async readAt(offset, length) {
      const first = Math.floor(offset / CHUNK_BYTES)
      const last = Math.min(size, offset + length)
      const blocks: Buffer[] = []
      for (let index = first; index * CHUNK_BYTES < last; index += 1) {
        const block = await readBlock(index)
        if (!digests.matches(index, block)) throw changed(source.name, index * CHUNK_BYTES)
        blocks.push(block)
      }
      const start = offset - first * CHUNK_BYTES
      return oneBuffer(blocks).subarray(start, start + Math.max(0, last - offset))
    },
    async close() {
      // A read that still runs would go to whatever file gets this descriptor next.
      await Promise.allSettled(reads)
      await source.close()
    },
  }
}

function oneBuffer(blocks: readonly Buffer[]): Buffer {
  return blocks.length === 1 ? (blocks[0] ?? Buffer.alloc(0)) : Buffer.concat(blocks)
}

/** Reads a block into memory of its own: nobody else can change it between check and use. */
async function readBlockAt(fd: number, index: number, size: number, name: string): Promise<Buffer> {
  const offset = index * CHUNK_BYTES
  try {
    return await readAt(fd, offset, Math.min(CHUNK_BYTES, size - offset))
  } catch (error) {
    throw fromSystem(error, `cannot read ${name} at byte ${offset}`)
  }
}

function changed(name: string, offset: number): VolsealError {
  return new VolsealError(
    'signature-mismatch',
    `${name} was changed after it had been verified: the block at byte ${offset} is not the same`,
    { hint: 'somebody writes to the image; copy it to where nobody does' },
  )
}

/** A file without a name, for the bytes of an image. */
export interface CopyFile {
  readonly file: FileHandle
  /** What is told of it, and what to do, when it cannot be written. */
  readonly what: string
  readonly hintWhenFull: string
  close(): Promise<void>
}

export interface CopyOptions extends PassOptions {
  /** Makes the file for a copy, if it can; else it is made in the temporary directory. */
  readonly makeCopy?: (() => Promise<CopyFile | undefined>) | undefined
  /** Called with the bytes that came so far; throws when they are too many to be of use. */
  readonly requireRoom?: ((size: number) => void) | undefined
}

/**
 * Holds an image in a copy: for images that can be read only once (standard input, Glance), and for
 * those that qemu-img reads in an order of its own.
 */
export async function holdInCopy(source: ByteSource, options: CopyOptions): Promise<HeldImage> {
  const copy = (await options.makeCopy?.()) ?? (await namelessFile())
  let size = 0
  return {
    async pass(consumer) {
      size = await copyThrough(source, copy, consumer, options)
      return size
    },
    get size() {
      return size
    },
    path: pathOfFd(copy.file.fd),
    async readAt(offset, length) {
      return await readAt(copy.file.fd, offset, Math.max(0, Math.min(length, size - offset)))
    },
    async close() {
      try {
        await copy.close()
      } finally {
        await source.close()
      }
    },
  }
}

/** A file in the temporary directory that is removed at once and lives while it is open. */
async function namelessFile(): Promise<CopyFile> {
  const path = join(tmpdir(), `volseal-${randomBytes(9).toString('hex')}`)
  try {
    const file = await open(path, 'wx+', 0o600)
    await unlink(path)
    return {
      file,
      what: `cannot keep a copy of the image in ${tmpdir()}`,
      hintWhenFull: 'set TMPDIR to a directory with room for the image',
      close: async () => {
        await file.close()
      },
    }
  } catch (error) {
    throw fromSystem(error, `cannot make a temporary file in ${tmpdir()}`, 'set TMPDIR')
  }
}

/** Keeps every piece after it was shown to the consumer: hashed and kept bytes are the same. */
async function copyThrough(
  source: ByteSource,
  copy: CopyFile,
  consumer: (piece: Buffer) => Promise<void> | void,
  options: CopyOptions,
): Promise<number> {
  let position = 0
  const keep = async (piece: Buffer): Promise<void> => {
    await consumer(piece)
    options.requireRoom?.(position + piece.length)
    await keepPiece(copy, piece, position)
    position += piece.length
  }
  const size = await passOver(source, keep, options)
  await told(copy, async () => await copy.file.truncate(size))
  return size
}

const ZEROS = Buffer.alloc(CHUNK_BYTES)

/** Leaves holes where the image is zero: a sparse image stays one. */
async function keepPiece(copy: CopyFile, piece: Buffer, position: number): Promise<void> {
  if (piece.equals(ZEROS.subarray(0, piece.length))) return
  await told(copy, async () => await writeAt(copy.file, piece, position))
}

async function told(
  { what, hintWhenFull }: CopyFile,
  write: () => Promise<unknown>,
): Promise<void> {
  try {
    await write()
  } catch (error) {
    throw fromSystem(error, what, systemCode(error) === 'ENOSPC' ? hintWhenFull : undefined)
  }
}
