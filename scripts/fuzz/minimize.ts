import { attempt, type Failure, type Target } from './target.js'

const MOST_MS = 3000

/** Leaves out of a failing input what it fails without; for as long as that takes no time. */
export async function minimize(target: Target, bytes: Buffer, failure: Failure): Promise<Buffer> {
  // Each attempt would take as long again.
  if (failure.kind === 'time') return bytes
  const end = Date.now() + MOST_MS
  let smallest = bytes
  for (let length = bytes.length >> 1; length > 0; length >>= 1) {
    for (let at = 0; at < smallest.length && Date.now() < end; ) {
      const shorter = Buffer.concat([smallest.subarray(0, at), smallest.subarray(at + length)])
      const again = await attempt(target, shorter)
      if (again?.kind === failure.kind) smallest = shorter
      else at += length
    }
  }
  return smallest
}
