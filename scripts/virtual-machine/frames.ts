/**
 * What host and guest say to each other over the serial port: a JSON object and any bytes. A frame
 * is the length of the JSON and that of the bytes, 32 bits each, and then both.
 */
export interface Frame {
  readonly head: Readonly<Record<string, unknown>>
  readonly body: Buffer
}

const PREFIX = 8

export function encodeFrame(head: Frame['head'], body: Buffer = Buffer.alloc(0)): Buffer {
  const json = Buffer.from(JSON.stringify(head))
  const prefix = Buffer.alloc(PREFIX)
  prefix.writeUInt32BE(json.length, 0)
  prefix.writeUInt32BE(body.length, 4)
  return Buffer.concat([prefix, json, body])
}

/** Puts pieces of a stream together to frames. */
export class FrameReader {
  #pieces: Buffer[] = []
  #length = 0

  /** The frames that the piece completes. */
  push(piece: Buffer): Frame[] {
    this.#pieces.push(piece)
    this.#length += piece.length
    const frames: Frame[] = []
    for (let frame = this.#take(); frame !== undefined; frame = this.#take()) frames.push(frame)
    return frames
  }

  #take(): Frame | undefined {
    if (this.#length < PREFIX) return undefined
    const bytes = this.#joined()
    const bodyAt = PREFIX + bytes.readUInt32BE(0)
    const end = bodyAt + bytes.readUInt32BE(4)
    if (bytes.length < end) return undefined
    this.#pieces = [bytes.subarray(end)]
    this.#length = bytes.length - end
    const head: Frame['head'] = JSON.parse(bytes.subarray(PREFIX, bodyAt).toString())
    return { head, body: Buffer.from(bytes.subarray(bodyAt, end)) }
  }

  #joined(): Buffer {
    const joined = this.#pieces.length === 1 ? this.#pieces[0] : undefined
    const bytes = joined ?? Buffer.concat(this.#pieces)
    this.#pieces = [bytes]
    return bytes
  }
}
