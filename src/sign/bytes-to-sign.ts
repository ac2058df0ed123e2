/** Bytes to be signed, however they are held. */
export interface BytesToSign {
  /** How errors call them. */
  readonly name: string
  /** In bytes, where it is known before the pass. */
  readonly size: number | undefined
  /** Hands every piece to the consumer, in order, and returns how many bytes there were. */
  readonly pass: (consumer: (piece: Buffer) => Promise<void> | void) => Promise<number>
  readonly unchanged: () => Promise<boolean>
}
