import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  writeSync,
} from 'node:fs'
import { randomNumbers } from './random.js'

const SECTOR = 512

/** What happens to an access that touches a range of bytes. */
export interface Fault {
  readonly offset: number
  readonly length: number
  readonly on: 'read' | 'write' | 'both'
}

/** What a machine has sent to a disk. */
export type DiskEvent =
  | { readonly kind: 'write'; readonly offset: number; readonly bytes: Buffer }
  | { readonly kind: 'flush' }

/** What a power cut leaves of the writes that were not flushed. */
export type Unflushed =
  /** Nothing: the cache was never written out. */
  | 'lost'
  /** Any of the sectors, drawn by this seed: disks write their cache in an order of their own. */
  | number

/**
 * A disk with a volatile write cache, as real ones have: what was written is read back at once, but
 * reaches the file only when the machine flushes (or asks for a write through the cache, FUA). A
 * power cut takes what is in the cache. The host's page cache alone cannot show that: it survives
 * the death of qemu.
 */
export class Disk {
  readonly path: string
  readonly #file: number
  readonly #cache = new Map<number, Buffer>()
  readonly #faults = new Set<Fault>()
  #size: number
  #writes = 0
  #history: DiskEvent[] | undefined
  #cutAt = Number.POSITIVE_INFINITY
  #cut: () => void = () => undefined

  /** A file that is there, or one of `size` bytes that is made. */
  constructor(path: string, size?: number) {
    this.path = path
    this.#file = openSync(path, existsSync(path) ? 'r+' : 'wx+', 0o600)
    this.#size = fstatSync(this.#file).size
    if (size !== undefined) this.resize(Math.max(size, this.#size))
  }

  get size(): number {
    return this.#size
  }

  /** Writes that have reached the disk since it was made. */
  get writes(): number {
    return this.#writes
  }

  resize(size: number): void {
    ftruncateSync(this.#file, size)
    this.#size = size
  }

  /** Undefined stands for a read error. */
  read(offset: number, length: number): Buffer | undefined {
    if (this.#isFaulty('read', offset, length)) return undefined
    const bytes = Buffer.alloc(length)
    readSync(this.#file, bytes, 0, length, offset)
    if (this.#cache.size > 0) this.#overlay(bytes, offset)
    return bytes
  }

  /** False stands for a write error. */
  write(offset: number, bytes: Buffer): boolean {
    if (this.#isFaulty('write', offset, bytes.length)) return false
    this.#writes += 1
    this.#history?.push({ kind: 'write', offset, bytes })
    for (let at = 0; at < bytes.length; at += SECTOR) {
      this.#cache.set(offset + at, bytes.subarray(at, at + SECTOR))
    }
    if (this.#writes >= this.#cutAt) this.#cut()
    return true
  }

  flush(): void {
    this.#history?.push({ kind: 'flush' })
    for (const [offset, bytes] of joined(this.#cache)) {
      writeSync(this.#file, bytes, 0, bytes.length, offset)
    }
    this.#cache.clear()
  }

  /** What a power cut does to the cache. */
  loseCache(unflushed: Unflushed): void {
    if (unflushed !== 'lost') {
      const draw = randomNumbers(unflushed)
      for (const offset of this.#cache.keys()) if (draw() % 2 === 1) this.#cache.delete(offset)
      this.flush()
    }
    this.#cache.clear()
  }

  /** Calls `cut` at the nth write from now on, before the machine learns that it was done. */
  cutAtWrite(nth: number, cut: () => void): void {
    this.#cutAt = this.#writes + nth
    this.#cut = () => {
      this.#cutAt = Number.POSITIVE_INFINITY
      cut()
    }
  }

  /** Notes from now on what the machine sends: the list grows with it. */
  record(): readonly DiskEvent[] {
    this.#history = []
    return this.#history
  }

  /** Does again what another disk has noted. */
  replay(events: readonly DiskEvent[]): void {
    for (const event of events) {
      if (event.kind === 'write') this.write(event.offset, event.bytes)
      else this.flush()
    }
  }

  /** Makes accesses to a range fail, until what it returns is called. */
  fail(fault: Fault): () => void {
    this.#faults.add(fault)
    return () => this.#faults.delete(fault)
  }

  close(): void {
    this.flush()
    closeSync(this.#file)
  }

  #isFaulty(what: 'read' | 'write', offset: number, length: number): boolean {
    return [...this.#faults].some(
      (fault) =>
        (fault.on === 'both' || fault.on === what) &&
        offset < fault.offset + fault.length &&
        fault.offset < offset + length,
    )
  }

  #overlay(bytes: Buffer, offset: number): void {
    for (let at = 0; at < bytes.length; at += SECTOR) {
      this.#cache.get(offset + at)?.copy(bytes, at)
    }
  }
}

/** Sectors that follow each other are written at once. */
function joined(cache: ReadonlyMap<number, Buffer>): [offset: number, bytes: Buffer][] {
  const runs: { offset: number; end: number; parts: Buffer[] }[] = []
  for (const [offset, bytes] of [...cache].toSorted(([a], [b]) => a - b)) {
    const last = runs.at(-1)
    if (last?.end === offset) {
      last.parts.push(bytes)
      last.end += bytes.length
    } else runs.push({ offset, end: offset + bytes.length, parts: [bytes] })
  }
  return runs.map(({ offset, parts }) => [offset, Buffer.concat(parts)])
}
