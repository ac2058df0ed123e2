import type { FileHandle } from 'node:fs/promises'
import type { PassOptions } from '../core/byte-source.js'
import { pathOfFd } from '../core/command.js'
import { fromSystem, VolsealError } from '../core/errors.js'
import { convertImage, type Device, writeBlocks } from '../encryptor/index.js'
import { type ImageReport, QEMU_NAMES } from '../inspect/index.js'
import type { HeldImage } from '../verify/index.js'

/** Bytes that will be written: what is not converted is copied whole, whatever its header says. */
export function contentSize(held: { readonly size: number }, found: ImageReport): number {
  return QEMU_NAMES[found.format] === undefined ? held.size : (found.virtualSize ?? held.size)
}

/** Whether images of that claimed format are converted by qemu-img, instead of copied as they are. */
export function isConvertible(claim: string): boolean {
  return Object.entries(QEMU_NAMES).flat().includes(claim)
}

/** Where content goes: open, and by the name that a program opens it by. */
export interface OpenTarget {
  readonly file: FileHandle
  readonly path: string
  readonly kind: Device['kind']
}

export interface WriteWatch {
  readonly signal?: AbortSignal | undefined
  readonly onWriteProgress?: PassOptions['onProgress']
}

/** Writes the raw content of a verified image, itself or through qemu-img, and flushes it. */
export async function writeContent(
  held: HeldImage,
  found: ImageReport,
  { file, path, kind }: OpenTarget,
  { signal, onWriteProgress }: WriteWatch,
): Promise<void> {
  const format = QEMU_NAMES[found.format]
  if (format === undefined || held.path === undefined) {
    await writeBlocks(held, file, path, { signal, onProgress: onWriteProgress })
    return
  }
  // By descriptor: whoever may write the directory could put another file under the name.
  const target = { path: pathOfFd(file.fd), kind }
  const size = contentSize(held, found)
  const watch = { signal, onProgress: onWriteProgress }
  await convertImage({ source: held.path, format, target, name: path, size, ...watch })
  await file.sync()
}

/** @throws {VolsealError} `too-small` */
export function requireRoom(path: string, room: number, size: number, prefix = ''): void {
  if (size <= room) return
  const has = Math.max(0, room)
  throw new VolsealError(
    'too-small',
    `${prefix}${path} is too small: expected room for ${size} bytes, got ${has}`,
    { hint: `nothing was written; enlarge it by at least ${size - has} bytes` },
  )
}

/** A write that has begun cannot be undone: says so, and how to go on. */
export async function explainPartial(path: string, write: () => Promise<void>): Promise<void> {
  try {
    await write()
  } catch (error) {
    const reason = fromSystem(error, `cannot write ${path}`)
    throw new VolsealError(reason.code, `${reason.message}; ${path} is partly written`, {
      hint: 'its old content is partly gone: write the whole image again before anybody uses it',
      cause: reason,
    })
  }
}
