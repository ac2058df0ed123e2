import { Duplex } from 'node:stream'
import type { AsyncTransformFn } from 'through2'

/** Room for two pieces of 1 MiB; with Node's 64 KiB a pass takes twice the time. */
const HIGH_WATER_MARK = 2 * 1024 * 1024

/**
 * A pass-through stream that shows every piece to `onPiece` before it goes on, unchanged: what is
 * hashed and what goes on is the same memory. The only importer of `through2`.
 */
export async function digestTap(onPiece: (piece: Buffer) => Promise<void> | void): Promise<Duplex> {
  const { transform } = await import('through2')
  const room = { readableHighWaterMark: HIGH_WATER_MARK, writableHighWaterMark: HIGH_WATER_MARK }
  // Not as a generator: through2 would take the bytes of the mark for a number of pieces, and queue them all.
  const show: AsyncTransformFn = async (piece: Buffer) => {
    await onPiece(piece)
    return piece
  }
  return Duplex.from(transform(room, show))
}
