import type { Duplex } from 'node:stream'
import { finished } from 'node:stream/promises'
import { hashMethod } from '../core/algorithms.js'
import type { PassOptions } from '../core/byte-source.js'
import { digestTap } from '../core/digest-tap.js'
import { type SignedImage, signBytes } from '../sign/index.js'
import { type CertificateSource, certificateOf, type SignerOptions, signerOf } from './sign.js'

export interface SignStreamOptions
  extends SignerOptions,
    CertificateSource,
    Pick<PassOptions, 'signal'> {}

export interface SigningStream {
  /** Passes every byte on as it came; to be read from as well as written to. */
  readonly stream: Duplex
  /** Settled once all bytes have passed, or once it is known that they will not. */
  readonly signed: Promise<SignedImage>
}

/**
 * Signs an image on its way to somewhere else, such as an upload of the caller's own. What signing
 * means is as with `signImage`; nothing is written to files.
 *
 * @throws {VolsealError} before the first byte, as `signImage`; `signed` rejects with what ended the stream
 *
 * @example
 * const { stream, signed } = await signStream({ key: await readFile('key.pem') })
 * await pipeline(createReadStream('disk.raw'), stream, upload)
 * const { properties } = await signed
 */
export async function signStream(options: SignStreamOptions): Promise<SigningStream> {
  const hash = hashMethod(options.hash ?? 'SHA-256')
  const signer = await signerOf(options, await certificateOf(options))
  const begun = deferred<undefined>()
  const consumer = deferred<Consumer>()
  let total = 0
  const stream = await digestTap(async (piece) => {
    begun.resolve(undefined)
    const consume = await consumer.promise
    await consume(piece)
    total += piece.length
  })
  const pass = async (consume: Consumer): Promise<number> => {
    consumer.resolve(consume)
    await finished(stream)
    return total
  }
  // A signer may need threads: none are started for a stream that nobody uses.
  for (const event of ['finish', 'close']) stream.once(event, () => begun.resolve(undefined))
  const bytes = { name: 'the stream', size: undefined, pass, unchanged }
  const signed = begun.promise.then(async () => await signBytes(bytes, signer, hash, options))
  // Whoever awaits the pipeline alone learns of it there.
  signed.catch((error: Error) => stream.destroy(error))
  return { stream, signed }
}

type Consumer = (piece: Buffer) => Promise<void> | void

/** What has passed is gone. */
async function unchanged(): Promise<boolean> {
  return await Promise.resolve(true)
}

interface Deferred<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
}

function deferred<T>(): Deferred<T> {
  const resolvers: ((value: T) => void)[] = []
  const promise = new Promise<T>((resolve) => resolvers.push(resolve))
  return { promise, resolve: (value) => resolvers[0]?.(value) }
}
