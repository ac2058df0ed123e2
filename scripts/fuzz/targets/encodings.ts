import { fromBase64, fromHex, fromHexBytes } from '../../../src/core/bytes.js'
import { decodePythonBase64 } from '../../../src/core/python-base64.js'
import { hold, type Target } from '../target.js'

export const ENCODING_TARGETS: readonly Target[] = [
  {
    name: 'base64',
    seeds: () => [...LENGTHS, LONG].map((length) => encoded(length, 'base64')),
    run: base64,
  },
  { name: 'python-base64', seeds: pythonTexts, run: pythonBase64 },
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

/** In the spellings that differ between decoders: lines, foreign characters, early padding. */
function pythonTexts(): Buffer[] {
  const texts = LENGTHS.map((length) => encoded(length, 'base64').toString())
  return texts
    .flatMap((text) => [text, text.replaceAll(/(.{64})/g, '$1\r\n'), ` ~${text}QUJD`, `A=${text}=`])
    .map((text) => Buffer.from(text))
}

/** Characters that say nothing are nowhere looked at, and what it takes for canonical is. */
function pythonBase64(bytes: Buffer): void {
  const text = bytes.toString('latin1')
  const [decoded, canonical] = [decodePythonBase64(text), fromBase64(text)]
  if (canonical !== undefined) {
    hold(decoded.ok && decoded.bytes.equals(canonical), 'canonical base64 is decoded alike')
  }
  if (!decoded.ok) return
  hold(decoded.bytes.length <= (text.length * 3) / 4, 'nothing is added')
  const spread = decodePythonBase64(text.split('').join('\n~'))
  hold(spread.ok && spread.bytes.equals(decoded.bytes), 'foreign characters are skipped')
}

function hex(bytes: Buffer): void {
  const text = bytes.toString('latin1')
  const [decoded, fromBytes] = [fromHex(text), fromHexBytes(bytes)]
  hold(decoded === undefined || decoded.toString('hex') === text, 'what is decoded is canonical')
  hold(decoded?.toString('hex') === fromBytes?.toString('hex'), 'both ways are one')
  hold(fromHex(bytes.toString('hex'))?.equals(bytes) === true, 'what is encoded is decoded')
}
