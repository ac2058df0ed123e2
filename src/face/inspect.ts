import { openSource } from '../core/byte-source.js'
import { fromSystem, VolsealError } from '../core/errors.js'
import { readAt } from '../core/files.js'
import { type ImageReport, inspectImage as inspectBytes } from '../inspect/index.js'

/** The body of `inspect --json`. */
export interface InspectResult extends ImageReport {
  readonly image: string
}

/**
 * Tells an image's format, sizes and what is unsafe about it, from its headers alone; runs no
 * program.
 *
 * @throws {VolsealError} `not-found`, `forbidden`, `usage` for what cannot be read by position, `io`
 */
export async function inspectImage(path: string): Promise<InspectResult> {
  if (path === '-') throw readOnce('standard input')
  const source = await openSource(path, 'image')
  try {
    const { fd, size } = source
    if (fd === undefined || size === undefined) {
      throw readOnce(path)
    }
    const readPiece = async (offset: number, length: number): Promise<Buffer> =>
      await readPart(fd, offset, Math.max(0, Math.min(length, size - offset)), path)
    return { image: path, ...(await inspectBytes({ size, readAt: readPiece })) }
  } finally {
    await source.close()
  }
}

function readOnce(name: string): VolsealError {
  return new VolsealError('usage', `${name}: expected a file, got something that is read once`, {
    hint: 'headers are read by position; save the image to a file first',
  })
}

async function readPart(fd: number, offset: number, length: number, path: string): Promise<Buffer> {
  try {
    return await readAt(fd, offset, length)
  } catch (error) {
    throw fromSystem(error, `cannot read ${path} at byte ${offset}`)
  }
}
