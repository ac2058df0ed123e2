import { VolsealError } from '../../core/errors.js'
import type { HttpAnswer } from './http-client.js'

/** Reading answers that are held whole, none of which is larger than its limit. */

/** A page of images with all their properties stays far below. */
const MOST_JSON_BYTES = 16 * 1024 * 1024

/** All bytes of an answer; the receiver wipes them if they are secret. @throws {VolsealError} `unavailable` */
export async function readBytes(answer: HttpAnswer, most: number, who: string): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of answer.chunks()) {
    length += chunk.length
    if (length > most) throw malformed(who, `at most ${most} bytes, got more`)
    chunks.push(chunk)
  }
  const whole = Buffer.concat(chunks)
  for (const chunk of chunks) chunk.fill(0)
  return whole
}

/** @throws {VolsealError} `unavailable` when it is no JSON */
export async function readJson(answer: HttpAnswer, who: string): Promise<unknown> {
  const bytes = await readBytes(answer, MOST_JSON_BYTES, who)
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    // JSON.parse quotes what it read, which may be secret.
    throw malformed(who, 'JSON, got something else')
  }
}

/** Runs `read`, which takes an answer apart; what it refuses is an answer that cannot be understood. */
export function understood<T>(who: string, what: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    const reason = error instanceof VolsealError ? error.message : 'unknown'
    throw malformed(who, `${what} (${reason})`)
  }
}

/** An answer that is not what the service's API promises. */
export function malformed(who: string, expected: string): VolsealError {
  return new VolsealError('unavailable', `the answer of ${who}: expected ${expected}`, {
    hint: 'is its address right, and is it really that service?',
  })
}
