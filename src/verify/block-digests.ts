import { createHash, type Hash, timingSafeEqual } from 'node:crypto'
import { CHUNK_BYTES } from '../core/byte-source.js'

const DIGEST_BYTES = 32

/**
 * SHA-256 of every block of 1 MiB of an image, collected in the pass that verifies it: 32 MB for
 * a tebibyte. A block that is read again counts only if it has the same digest, so what is written
 * is what was verified, without a second copy of the image.
 */
export class BlockDigests {
  #digests: Buffer = Buffer.alloc(64 * DIGEST_BYTES)
  #blocks = 0
  #state: Hash = createHash('sha256')
  #filled = 0

  /** Takes the next bytes of the image; pieces need not be whole blocks. */
  update(piece: Buffer): void {
    let rest = piece
    while (rest.length > 0) {
      const part = rest.subarray(0, CHUNK_BYTES - this.#filled)
      this.#state.update(part)
      this.#filled += part.length
      rest = rest.subarray(part.length)
      if (this.#filled === CHUNK_BYTES) this.#endBlock()
    }
  }

  /** Ends the last, shorter block. */
  finish(): void {
    if (this.#filled > 0) this.#endBlock()
  }

  /** Whether the bytes are those of that block. */
  matches(index: number, block: Buffer): boolean {
    if (index >= this.#blocks) return false
    const expected = this.#digests.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES)
    return timingSafeEqual(expected, createHash('sha256').update(block).digest())
  }

  #endBlock(): void {
    const end = (this.#blocks + 1) * DIGEST_BYTES
    if (end > this.#digests.length) {
      this.#digests = Buffer.concat([this.#digests, Buffer.alloc(this.#digests.length)])
    }
    this.#state.digest().copy(this.#digests, end - DIGEST_BYTES)
    this.#blocks += 1
    this.#state = createHash('sha256')
    this.#filled = 0
  }
}
