import { Duplex } from 'node:stream'

/** Room for two pieces of 1 MiB; with Node's 64 KiB a pass takes twice the time. */
const HIGH_WATER_MARK = 2 * 1024 * 1024

/**
 * A pass-through stream that shows every piece to `onPiece` before it goes on, unchanged: what is
 * hashed and what is written further down is the same memory. The only importer of `through2`.
 */
export async function digestTap(onPiece: (piece: Buffer) => Promise<void> | void): Promise<Duplex> {
  const { transform } = await import('through2')
  const room = { readableHighWaterMark: HIGH_WATER_MARK, writableHighWaterMark: HIGH_WATER_MARK }
  // Not as a generator: through2 would take the bytes of the mark for a number of pieces, and queue them all.
  return Duplex.from(
    transform(room, async (piece: Buffer) => {
      await onPiece(piece)
      return piece
    }),
  )
}
