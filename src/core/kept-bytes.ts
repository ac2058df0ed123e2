import { getHashes } from 'node:crypto'
import type { Arrival, ByteSource } from './byte-source.js'
import { VolsealError } from './errors.js'
import { iterableSource } from './iterable-source.js'
import { besideLane, type Lane } from './lane.js'

/** Bytes that a service keeps, and what it knows of them. */
export interface KeptBytes {
  /** How errors and reports call them. */
  readonly name: string
  /** In bytes. */
  readonly size: number
  /** Its digest of them, in lower-case hex; the algorithm by the name that node:crypto has for it. */
  readonly digest: { readonly algorithm: string; readonly value: string } | undefined
  /** The bytes from the first one. */
  readonly open: () => AsyncIterable<Uint8Array>
  /** Whether the service still keeps the same. */
  readonly unchanged: () => Promise<boolean>
}

/** Whether a digest can be computed here: not every name is known, and MD5 may be forbidden. */
export function knowsDigest(algorithm: string): boolean {
  return getHashes().includes(algorithm)
}

/** Reads them as they come, and hashes them beside as the service has hashed them. */
export function keptSource(kept: KeptBytes): ByteSource {
  const { name, size, digest, unchanged } = kept
  const bytes = iterableSource(kept.open(), name)
  const lane =
    digest === undefined
      ? undefined
      : besideLane({ kind: 'hash', hash: { node: digest.algorithm } }, size)
  let received = 0
  return {
    ...bytes,
    size,
    unchanged,
    async read(into) {
      const length = await bytes.read(into)
      received += length
      if (received > size) throw tooLong(kept)
      // The next piece waits for it, while the one before is looked at elsewhere.
      if (length > 0) await lane?.update(into.subarray(0, length))
      if (length === 0 && received < size) throw endedEarly(kept, received)
      return length
    },
    arrival: async () => await arrivalOf(kept, received, lane),
    async close() {
      await lane?.close()
      await bytes.close()
    },
  }
}

async function arrivalOf(
  { size, digest }: KeptBytes,
  received: number,
  lane: Lane | undefined,
): Promise<Arrival> {
  if (received !== size || digest === undefined || lane === undefined) {
    return { expected: `${size} bytes`, found: `${received} bytes` }
  }
  const found = (await lane.finish()).toString('hex')
  const { algorithm, value } = digest
  return { expected: `${algorithm} ${value}`, found: `${algorithm} ${found}` }
}

function tooLong({ name, size }: KeptBytes): VolsealError {
  return new VolsealError('unavailable', `${name} did not end after its ${size} bytes`)
}

function endedEarly({ name, size }: KeptBytes, received: number): VolsealError {
  return new VolsealError('unavailable', `${name} ended after ${received} of ${size} bytes`)
}
