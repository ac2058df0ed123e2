/** What the host says to the agent in the machine; `id` is that of a program, or of a question. */
export type ToGuest =
  | {
      readonly kind: 'start'
      readonly id: number
      readonly argv: readonly string[]
      readonly env: Readonly<Record<string, string>>
      readonly cwd: string
    }
  | { readonly kind: 'input' | 'input-end'; readonly id: number }
  | {
      readonly kind: 'signal'
      readonly id: number
      readonly signal: NodeJS.Signals
      readonly group: boolean
    }
  | { readonly kind: 'answer'; readonly id: number; readonly error?: string }
  | { readonly kind: 'power-off' }

/** What the agent says to the host. */
export type ToHost =
  | { readonly kind: 'ready' }
  | { readonly kind: 'bye' }
  | { readonly kind: 'started'; readonly id: number; readonly pid: number }
  | { readonly kind: 'stdout' | 'stderr'; readonly id: number }
  | {
      readonly kind: 'ended'
      readonly id: number
      readonly exitCode: number | null
      readonly signal: string | null
    }
  | { readonly kind: 'not-started'; readonly id: number; readonly error: string }
  | { readonly kind: 'ask'; readonly id: number; readonly request: GuestRequest }

/** What tests inside the machine can ask the host for. */
export interface GuestRequest {
  readonly action: 'grow-disk'
  readonly disk: number
  readonly size: string
}

/**
 * What goes over the serial port: a JSON object and any bytes. A frame is the length of the JSON and
 * that of the bytes, 32 bits each, and then both.
 */
export interface Frame<Head> {
  readonly head: Head
  readonly body: Buffer
}

const PREFIX = 8

export function encodeFrame(head: ToGuest | ToHost, body: Buffer = Buffer.alloc(0)): Buffer {
  const json = Buffer.from(JSON.stringify(head))
  const prefix = Buffer.alloc(PREFIX)
  prefix.writeUInt32BE(json.length, 0)
  prefix.writeUInt32BE(body.length, 4)
  return Buffer.concat([prefix, json, body])
}

/** Puts pieces of a stream together to frames. */
export class FrameReader<Head> {
  #pieces: Buffer[] = []
  #length = 0

  /** The frames that the piece completes. */
  push(piece: Buffer): Frame<Head>[] {
    this.#pieces.push(piece)
    this.#length += piece.length
    const frames: Frame<Head>[] = []
    for (let frame = this.#take(); frame !== undefined; frame = this.#take()) frames.push(frame)
    return frames
  }

  #take(): Frame<Head> | undefined {
    if (this.#length < PREFIX) return undefined
    const bytes = this.#joined()
    const bodyAt = PREFIX + bytes.readUInt32BE(0)
    const end = bodyAt + bytes.readUInt32BE(4)
    if (bytes.length < end) return undefined
    this.#pieces = [bytes.subarray(end)]
    this.#length = bytes.length - end
    const head: Head = JSON.parse(bytes.subarray(PREFIX, bodyAt).toString())
    return { head, body: Buffer.from(bytes.subarray(bodyAt, end)) }
  }

  #joined(): Buffer {
    const joined = this.#pieces.length === 1 ? this.#pieces[0] : undefined
    const bytes = joined ?? Buffer.concat(this.#pieces)
    this.#pieces = [bytes]
    return bytes
  }
}
