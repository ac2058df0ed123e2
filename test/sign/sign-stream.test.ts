import { createReadStream, createWriteStream, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect, it } from 'vitest'
import { signImage, signStream, VolsealError } from '../../src/index.js'
import { makeOpensslKey, opensslVerifies } from '../harness/openssl.js'
import { run, scratchDirectory } from '../harness/run.js'
import { makeImage } from '../harness/verifying.js'

const directory = scratchDirectory()
const image = makeImage(directory, 'image', 5_000_001)

it.each(['RSA-PSS', 'ECC_SECP384R1', 'DSA'] as const)(
  '%s: what passes is signed and unchanged',
  async (type) => {
    const key = makeOpensslKey(directory, type)
    const copy = join(directory, `copy-${type}`)
    const { stream, signed } = await signStream({ key: readFileSync(key.key), hash: 'SHA-384' })
    await pipeline(createReadStream(image), stream, createWriteStream(copy))
    const { signature, size, digest } = await signed
    const signatureFile = join(directory, `${type}.signature`)
    writeFileSync(signatureFile, signature)
    expect(readFileSync(copy).equals(readFileSync(image))).toBe(true)
    expect(opensslVerifies(key, 'SHA-384', image, signatureFile)).toBe(true)
    const alone = await signImage({
      image,
      key: readFileSync(key.key),
      hash: 'SHA-384',
      write: false,
    })
    expect({ size, digest }).toEqual({ size: alone.size, digest: alone.digest })
  },
)

it('nothing is signed when the bytes end early, on either side', async () => {
  const key = readFileSync(makeOpensslKey(directory, 'RSA-PSS', 'early').key)
  const cut = async function* (): AsyncGenerator<Buffer> {
    yield Buffer.alloc(100_000)
    throw await Promise.resolve(new Error('the source is gone'))
  }
  const sink = (): Writable => new Writable({ write: (_piece, _encoding, done) => done() })
  const first = await signStream({ key })
  await expect(pipeline(Readable.from(cut()), first.stream, sink())).rejects.toThrow(
    /source is gone/,
  )
  await expect(first.signed).rejects.toThrow(/source is gone/)
  const full = new Writable({ write: (_piece, _encoding, done) => done(new Error('no room')) })
  const second = await signStream({ key })
  await expect(pipeline(createReadStream(image), second.stream, full)).rejects.toThrow(/no room/)
  await expect(second.signed).rejects.toThrow(/no room/)
})

it('a slow reader holds the writer: nothing is collected in between', async () => {
  const { stream, signed } = await signStream({
    key: readFileSync(makeOpensslKey(directory, 'RSA-PSS', 'slow').key),
  })
  const piece = Buffer.alloc(1024 * 1024)
  let written = 0
  const pieces = function* (): Generator<Buffer> {
    for (; written < 64; written += 1) yield piece
  }
  const done = pipeline(Readable.from(pieces()), stream)
  await new Promise((resolve) => setTimeout(resolve, 300))
  expect(written).toBeGreaterThan(0)
  expect(written).toBeLessThan(16)
  stream.resume()
  await done
  expect((await signed).size).toBe(64 * piece.length)
})

it('pieces of a large buffer go to the threads alone, and an unused stream holds up nothing', () => {
  const key = makeOpensslKey(directory, 'ECC_SECP384R1', 'pieces')
  const program = `
    import { readFileSync } from 'node:fs'
    import { Readable } from 'node:stream'
    import { pipeline } from 'node:stream/promises'
    const { signStream } = await import(process.argv[1])
    const key = readFileSync(process.argv[2])
    await signStream({ key })
    const { stream, signed } = await signStream({ key })
    const large = Buffer.alloc(128 * 1024 * 1024, 7)
    const pieces = Array.from({ length: 300 }, (_, at) => large.subarray(at * 64, at * 64 + 64))
    stream.resume()
    await pipeline(Readable.from(pieces), stream)
    const { size } = await signed
    console.log(JSON.stringify({ size, rss: process.memoryUsage().rss }))
  `
  const index = new URL('../../dist/index.js', import.meta.url).href
  const args = ['--input-type=module', '--eval', program, index, key.key]
  const told: { size: number; rss: number } = JSON.parse(run(process.execPath, args).toString())
  expect(told.size).toBe(300 * 64)
  // The buffer itself, and no copies of it.
  expect(told.rss).toBeLessThan(384 * 1024 * 1024)
})

it('a signer that fails ends the stream', async () => {
  const key = makeOpensslKey(directory, 'RSA-PSS', 'failing')
  const signer = async (): Promise<never> => await Promise.reject(new Error('no such token'))
  const options = { signer, certificate: readFileSync(key.certificate) }
  const { stream, signed } = await signStream(options)
  stream.resume()
  await pipeline(createReadStream(image), stream).catch(() => undefined)
  await expect(signed).rejects.toThrow(/no such token/)
})

it('a key that cannot sign is refused before the first byte', async () => {
  await expect(signStream({ key: Buffer.from('no key') })).rejects.toBeInstanceOf(VolsealError)
})
