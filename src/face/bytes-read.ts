import type { PassOptions } from '../core/byte-source.js'

/** What is to be read. */
interface Readable {
  readonly id: string
  /** Bytes; null for none. */
  readonly size: number | null
}

/** Progress of several images that are read at once, as one sum; what need not be read counts as read. */
export class BytesRead {
  readonly #report: NonNullable<PassOptions['onProgress']> | undefined
  readonly #total: number
  readonly #read = new Map<string, number>()
  #sum = 0

  constructor(images: readonly Readable[], report: PassOptions['onProgress']) {
    this.#report = report
    this.#total = images.reduce((sum, { size }) => sum + (size ?? 0), 0)
  }

  /** How far one of them has come, in bytes. */
  at(id: string, bytes: number): void {
    this.#sum += bytes - (this.#read.get(id) ?? 0)
    this.#read.set(id, bytes)
    this.#report?.(this.#sum, this.#total)
  }
}
