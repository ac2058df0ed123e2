import type { FileHandle } from 'node:fs/promises'
import { CHUNK_BYTES, type PassOptions } from '../core/byte-source.js'
import { fromSystem, throwIfAborted } from '../core/errors.js'
import { writeAt } from '../core/files.js'

/** Bytes that were verified, wherever they are held. */
export interface VerifiedBytes {
  readonly size: number
  readAt(offset: number, length: number): Promise<Buffer>
}

/**
 * Writes all bytes from offset 0 on and flushes them to the device. The next block is read while
 * one is written. Bytes behind the image's end stay as they are.
 */
export async function writeBlocks(
  bytes: VerifiedBytes,
  file: FileHandle,
  name: string,
  { signal, onProgress }: PassOptions,
): Promise<void> {
  let next = bytes.readAt(0, CHUNK_BYTES)
  for (let offset = 0; offset < bytes.size; offset += CHUNK_BYTES) {
    const block = await next
    throwIfAborted(signal)
    next = bytes.readAt(offset + CHUNK_BYTES, CHUNK_BYTES)
    next.catch(() => undefined)
    await writeOrExplain(file, block, offset, name)
    onProgress?.(offset + block.length, bytes.size)
  }
  await next
  await file.sync().catch((error: unknown) => {
    throw fromSystem(error, `cannot flush ${name}`)
  })
}

async function writeOrExplain(
  file: FileHandle,
  block: Buffer,
  offset: number,
  name: string,
): Promise<void> {
  try {
    await writeAt(file, block, offset)
  } catch (error) {
    throw fromSystem(error, `cannot write ${name} at byte ${offset}`)
  }
}
