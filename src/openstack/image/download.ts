import { VolsealError } from '../../core/errors.js'
import { malformed } from '../http/answer.js'
import { ConnectionFailure } from '../http/connection-failure.js'
import { wait } from '../http/repeat.js'
import type { ServiceAnswer, Session } from '../session.js'

export interface DownloadOptions {
  /** The first byte that is wanted; 0 when not given. */
  readonly start?: number | undefined
  /** How many bytes are wanted; all that follow when not given. */
  readonly length?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** So many connections may be lost one after the other without a byte in between. */
const MOST_FRUITLESS = 4

/** Where a download stands. */
interface Position {
  /** The next byte that is wanted, and the one at which it ends where that is known. */
  next: number
  end: number | undefined
  /** MD5 that Glance says the whole content has. */
  checksum: string | undefined
}

/**
 * The content of an image. After a lost connection it goes on with the next byte (Range, RFC 9110
 * §14), so what is read is each byte once; what it is worth, the reader finds out.
 *
 * @throws {VolsealError} `not-found` for an image without content, `unavailable`, `forbidden`
 */
export async function* downloadImage(
  session: Session,
  id: string,
  { start = 0, length, signal }: DownloadOptions,
): AsyncGenerator<Buffer> {
  const end = length === undefined ? undefined : start + length
  const position: Position = { next: start, end, checksum: undefined }
  for (let fruitless = 0; position.end === undefined || position.next < position.end; ) {
    const before = position.next
    try {
      yield* onePart(session, id, position, signal)
      return
    } catch (error) {
      if (!(error instanceof ConnectionFailure)) throw error
      fruitless = position.next > before ? 0 : fruitless + 1
      if (fruitless > MOST_FRUITLESS) throw error
      await wait(500 * fruitless, signal)
    }
  }
}

async function* onePart(
  session: Session,
  id: string,
  position: Position,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer> {
  const answer = await ask(session, id, position, signal)
  let surplus = checkAnswer(answer, id, position)
  for await (const bytes of answer.chunks()) {
    const wanted = bytes.subarray(surplus)
    surplus -= bytes.length - wanted.length
    const room = position.end === undefined ? wanted.length : position.end - position.next
    const chunk = wanted.subarray(0, room)
    position.next += chunk.length
    if (chunk.length > 0) yield chunk
    // A service that takes no Range sends what is behind it, too.
    if (position.next === position.end) return
  }
  if (position.end !== undefined && position.next < position.end) {
    throw new ConnectionFailure('cut', `the content of the image ${id} ended early`, {
      cause: undefined,
    })
  }
}

async function ask(
  session: Session,
  id: string,
  { next, end }: Position,
  signal: AbortSignal | undefined,
): Promise<ServiceAnswer> {
  const range =
    next === 0 && end === undefined
      ? undefined
      : `bytes=${next}-${end === undefined ? '' : end - 1}`
  return await session.send('image', {
    method: 'GET',
    path: ['images', id, 'file'],
    headers: {
      Accept: 'application/octet-stream',
      ...(range === undefined ? {} : { Range: range }),
    },
    attempt: `give the content of the image ${id}`,
    // A lost connection is counted by whoever knows how far it has come.
    idempotent: false,
    signal,
  })
}

/** Notes what the answer says of the whole, and returns how many bytes it begins too early. */
function checkAnswer(answer: ServiceAnswer, id: string, position: Position): number {
  if (answer.status === 204) {
    throw new VolsealError('not-found', `the image ${id} has no content`)
  }
  const checksum = answer.header('content-md5')
  if (position.checksum !== undefined && checksum !== undefined && checksum !== position.checksum) {
    throw new VolsealError('unavailable', `the image ${id} is not the one that was begun`)
  }
  position.checksum ??= checksum
  const part = answer.status === 206 ? partOf(answer) : wholeOf(answer)
  if (part.first > position.next) {
    throw malformed('glance', `bytes from ${position.next} on, got those from ${part.first} on`)
  }
  if (part.total !== undefined && part.total < position.next) {
    throw malformed('glance', `more than ${position.next} bytes, as it had, got ${part.total}`)
  }
  // Of a part, the total; both ends are known from then on.
  if (part.total !== undefined) position.end = Math.min(position.end ?? part.total, part.total)
  return position.next - part.first
}

interface Part {
  readonly first: number
  readonly total: number | undefined
}

function partOf(answer: ServiceAnswer): Part {
  const match = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(answer.header('content-range') ?? '')
  if (match === null) throw malformed('glance', 'a Content-Range beside 206')
  return { first: Number(match[1]), total: match[2] === '*' ? undefined : Number(match[2]) }
}

function wholeOf(answer: ServiceAnswer): Part {
  const length = answer.header('content-length')
  return { first: 0, total: length === undefined ? undefined : Number(length) }
}
