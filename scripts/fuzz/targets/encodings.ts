import { fromBase64, fromHex, fromHexBytes } from '../../../src/core/bytes.js'
import { hold, type Target } from '../target.js'

export const ENCODING_TARGETS: readonly Target[] = [
  {
    name: 'base64',
    seeds: () => [...LENGTHS, LONG].map((length) => encoded(length, 'base64')),
    run: base64,
  },
  { name: 'hex', seeds: () => LENGTHS.map((length) => encoded(length, 'hex')), run: hex },
]

const LENGTHS = [0, 1, 2, 3, 31, 32, 33, 1000]
/** Too much for a regular expression that repeats a group. */
const LONG = 6_300_000

function encoded(length: number, encoding: 'base64' | 'hex'): Buffer {
  const bytes = Buffer.from(Array.from({ length }, (_, index) => (index * 73) & 0xff))
  return Buffer.from(bytes.toString(encoding))
}

function base64(bytes: Buffer): void {
  const text = bytes.toString('latin1')
  const decoded = fromBase64(text)
  hold(decoded === undefined || decoded.toString('base64') === text, 'what is decoded is canonical')
  const again = fromBase64(bytes.toString('base64'))
  hold(again?.equals(bytes) === true, 'what is encoded is decoded')
}

function hex(bytes: Buffer): void {
  const text = bytes.toString('latin1')
  const [decoded, fromBytes] = [fromHex(text), fromHexBytes(bytes)]
  hold(decoded === undefined || decoded.toString('hex') === text, 'what is decoded is canonical')
  hold(decoded?.toString('hex') === fromBytes?.toString('hex'), 'both ways are one')
  hold(fromHex(bytes.toString('hex'))?.equals(bytes) === true, 'what is encoded is decoded')
}
