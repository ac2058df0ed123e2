import { createHash, createVerify, type KeyObject } from 'node:crypto'
import { Worker } from 'node:worker_threads'
import { VolsealError } from './errors.js'

/**
 * A lane sees every piece of an image and gives one result at the end. Node cannot sign or verify
 * an ECDSA or DSA digest that is computed already, so the Hash has to run beside a Sign or a Verify: as a
 * lane on another thread when the image is large enough to be worth one.
 */
export interface Lane {
  /** The piece may be reused once the promise is settled. */
  update(piece: Buffer): Promise<void> | void
  /** For a `hash` the digest; for a `verify` one byte: 1 if the DER signature is the image's. */
  finish(signature?: Buffer): Promise<Buffer>
  /** Ends the thread, if there is one; the lane is of no use afterwards. */
  close(): Promise<void>
}

/** What a lane does. Only public keys go to another thread. */
export type LaneWork =
  | { readonly kind: 'hash'; readonly hash: LaneHash }
  | { readonly kind: 'verify'; readonly hash: LaneHash; readonly key: KeyObject }

/** A hash by its name in node:crypto. */
type LaneHash = { readonly node: string }

/** A thread pays for itself (some 40 ms) from about this image size on, in bytes. */
const WORTH_A_THREAD = 64 * 1024 * 1024

/** A lane on the calling thread. */
export function localLane(work: LaneWork): Lane {
  const state = openWork(work)
  return {
    update: (piece) => {
      state.update(piece)
    },
    finish: async (signature) => await Promise.resolve(state.finish(signature)),
    close: async () => {
      await Promise.resolve()
    },
  }
}

/** A lane on a second thread, when the image of `size` bytes is large or its size not known. */
export function besideLane(work: LaneWork, size: number | undefined): Lane {
  return size !== undefined && size < WORTH_A_THREAD ? localLane(work) : threadLane(work)
}

export interface OpenWork {
  update(piece: Uint8Array): void
  finish(signature: Uint8Array | undefined): Buffer
}

/** Begins the work on the calling thread, whichever that is. */
export function openWork(work: LaneWork): OpenWork {
  if (work.kind === 'hash') {
    const state = createHash(work.hash.node)
    return { update: (piece) => void state.update(piece), finish: () => state.digest() }
  }
  const state = createVerify(work.hash.node)
  return {
    update: (piece) => void state.update(piece),
    finish: (signature = new Uint8Array(0)) =>
      Buffer.of(verifyQuietly(() => state.verify(work.key, signature)) ? 1 : 0),
  }
}

function verifyQuietly(verify: () => boolean): boolean {
  try {
    return verify()
  } catch {
    // Bytes that are no DER signature at all are no signature of this image either.
    return false
  }
}

/** What the thread is told; it answers each request once, `finish` with the result. */
export type LaneRequest =
  | { readonly kind: 'update'; readonly piece: Uint8Array }
  | { readonly kind: 'finish'; readonly signature: Uint8Array | undefined }

function threadLane(work: LaneWork): Lane {
  const worker = startThread(work)
  let failure: unknown
  // Between two pieces nobody asks, and an error that nobody hears would end the process.
  worker.on('error', (error) => {
    failure = error
  })
  const ask = async (request: LaneRequest): Promise<Uint8Array> => {
    if (failure !== undefined) throw threadFailed(failure)
    return await askThread(worker, request)
  }
  return {
    async update(piece) {
      await ask({ kind: 'update', piece: sendable(piece) })
    },
    async finish(signature) {
      return Buffer.from(await ask({ kind: 'finish', signature }))
    },
    async close() {
      await worker.terminate()
    },
  }
}

function startThread(work: LaneWork): Worker {
  return new Worker(new URL('../core/lane-thread.js', import.meta.url), {
    workerData: work,
    // Those of this process need not fit a file: with --input-type, which goes with --eval, no thread starts.
    execArgv: [],
  })
}

/** What is not shared memory is copied with all of the buffer that it is a part of. */
function sendable(piece: Buffer): Uint8Array {
  const { buffer, length } = piece
  const isWhole = buffer instanceof SharedArrayBuffer || buffer.byteLength === length
  return isWhole ? piece : Uint8Array.from(piece)
}

function threadFailed(cause: unknown): VolsealError {
  return new VolsealError('internal', 'a worker thread failed', { cause })
}

async function askThread(worker: Worker, request: LaneRequest): Promise<Uint8Array> {
  return await new Promise((resolve, reject) => {
    const settle = (): void => {
      worker.off('message', answer).off('error', fail)
    }
    const answer = (result: Uint8Array): void => {
      settle()
      resolve(result)
    }
    const fail = (error: unknown): void => {
      settle()
      reject(threadFailed(error))
    }
    worker.once('message', answer).once('error', fail)
    worker.postMessage(request)
  })
}
