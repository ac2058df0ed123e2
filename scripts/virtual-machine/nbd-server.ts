import { createServer, type Server, type Socket } from 'node:net'
import type { Disk } from './disk.js'

/**
 * The part of the NBD protocol that qemu uses (NetworkBlockDevice/nbd, doc/proto.md): fixed newstyle
 * negotiation, then reads, writes with FUA, and flushes.
 */

const INIT_MAGIC = Buffer.from('NBDMAGICIHAVEOPT')
const OPTION_REPLY_MAGIC = 0x0003e889045565a9n
const REQUEST_MAGIC = 0x25609513
const REPLY_MAGIC = 0x67446698

const HANDSHAKE_FLAGS = 0b11 // FIXED_NEWSTYLE, NO_ZEROES
const CLIENT_FLAGS_BYTES = 4
const OPTION_BYTES = 16
const REQUEST_BYTES = 28

const OPT_ABORT = 2
const OPT_GO = 7
const REP_ACK = 1
const REP_INFO = 3
const REP_ERR_UNSUP = 0x80000001
const INFO_EXPORT = 0
const EXPORT_FLAGS = 0b1101 // HAS_FLAGS, SEND_FLUSH, SEND_FUA

const COMMAND = { read: 0, write: 1, disconnect: 2, flush: 3 }
const FUA = 1
const EIO = 5
const EINVAL = 22

/** Serves one disk on an abstract Unix socket, which leaves no file behind. */
export class NbdServer {
  readonly disk: Disk
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(disk: Disk) {
    this.disk = disk
    this.#server = createServer((socket) => {
      this.#sockets.add(socket)
      socket.on('error', () => undefined)
      socket.once('close', () => this.#sockets.delete(socket))
      serve(socket, disk)
    })
  }

  static async listen(disk: Disk, name: string): Promise<NbdServer> {
    const server = new NbdServer(disk)
    await new Promise<void>((resolve, reject) => {
      server.#server.once('error', reject).listen(`\0${name}`, resolve)
    })
    return server
  }

  /** Ends the connection; qemu makes a new one, on which it learns the size anew. */
  disconnect(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async close(): Promise<void> {
    this.disconnect()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

/** The bytes that come first, and what to do with them; undefined while they are too few. */
type Step = (bytes: Buffer) => { readonly used: number; readonly next: Step } | undefined

function serve(socket: Socket, disk: Disk): void {
  const flags = Buffer.alloc(2)
  flags.writeUInt16BE(HANDSHAKE_FLAGS)
  socket.write(Buffer.concat([INIT_MAGIC, flags]))
  let step: Step = (bytes) =>
    bytes.length < CLIENT_FLAGS_BYTES
      ? undefined
      : { used: CLIENT_FLAGS_BYTES, next: optionStep(socket, disk) }
  let waiting: Buffer = Buffer.alloc(0)
  socket.on('data', (piece) => {
    waiting = waiting.length === 0 ? piece : Buffer.concat([waiting, piece])
    for (let done = step(waiting); done !== undefined; done = step(waiting)) {
      waiting = waiting.subarray(done.used)
      step = done.next
    }
  })
}

function optionStep(socket: Socket, disk: Disk): Step {
  const step: Step = (bytes) => {
    if (bytes.length < OPTION_BYTES) return undefined
    const option = bytes.readUInt32BE(8)
    const used = OPTION_BYTES + bytes.readUInt32BE(12)
    if (bytes.length < used) return undefined
    if (option === OPT_GO) {
      socket.write(optionReply(option, REP_INFO, exportInfo(disk)))
      socket.write(optionReply(option, REP_ACK))
      return { used, next: requestStep(socket, disk) }
    }
    if (option === OPT_ABORT) socket.end(optionReply(option, REP_ACK))
    else socket.write(optionReply(option, REP_ERR_UNSUP))
    return { used, next: step }
  }
  return step
}

function optionReply(option: number, type: number, data: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(20)
  head.writeBigUInt64BE(OPTION_REPLY_MAGIC, 0)
  head.writeUInt32BE(option, 8)
  head.writeUInt32BE(type, 12)
  head.writeUInt32BE(data.length, 16)
  return Buffer.concat([head, data])
}

function exportInfo(disk: Disk): Buffer {
  const info = Buffer.alloc(12)
  info.writeUInt16BE(INFO_EXPORT, 0)
  info.writeBigUInt64BE(BigInt(disk.size), 2)
  info.writeUInt16BE(EXPORT_FLAGS, 10)
  return info
}

function requestStep(socket: Socket, disk: Disk): Step {
  const step: Step = (bytes) => {
    if (bytes.length < REQUEST_BYTES) return undefined
    if (bytes.readUInt32BE(0) !== REQUEST_MAGIC) throw new Error('NBD: no request')
    const request = {
      fua: (bytes.readUInt16BE(4) & FUA) !== 0,
      command: bytes.readUInt16BE(6),
      cookie: bytes.subarray(8, 16),
      offset: Number(bytes.readBigUInt64BE(16)),
      length: bytes.readUInt32BE(24),
    }
    const dataBytes = request.command === COMMAND.write ? request.length : 0
    const used = REQUEST_BYTES + dataBytes
    if (bytes.length < used) return undefined
    if (request.command === COMMAND.disconnect) socket.end()
    else answer(socket, disk, request, bytes.subarray(REQUEST_BYTES, used))
    return { used, next: step }
  }
  return step
}

interface Request {
  readonly fua: boolean
  readonly command: number
  readonly cookie: Buffer
  readonly offset: number
  readonly length: number
}

function answer(socket: Socket, disk: Disk, request: Request, data: Buffer): void {
  const { error, body } = perform(disk, request, data)
  const head = Buffer.alloc(16)
  head.writeUInt32BE(REPLY_MAGIC, 0)
  head.writeUInt32BE(error, 4)
  request.cookie.copy(head, 8)
  socket.write(body === undefined ? head : Buffer.concat([head, body]))
}

function perform(disk: Disk, request: Request, data: Buffer): { error: number; body?: Buffer } {
  const { command, offset, length, fua } = request
  if (offset + length > disk.size) return { error: EINVAL }
  switch (command) {
    case COMMAND.read: {
      const body = disk.read(offset, length)
      return body === undefined ? { error: EIO } : { error: 0, body }
    }
    case COMMAND.write: {
      // A copy: the socket's buffer is shared with other requests, and the cache keeps the bytes.
      const written = disk.write(offset, Buffer.from(data))
      if (written && fua) disk.flush()
      return { error: written ? 0 : EIO }
    }
    case COMMAND.flush:
      disk.flush()
      return { error: 0 }
    default:
      return { error: EINVAL }
  }
}
