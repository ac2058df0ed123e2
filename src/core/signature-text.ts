import { fromBase64 } from './bytes.js'
import { decodePythonBase64 } from './python-base64.js'

/** How the text of img_signature is spelled, right or in one of the usual wrong ways. */
export type SignatureForm =
  | 'canonical'
  /** The text of a Python bytes object, `b'…'`, as the official client stores it. */
  | 'python-repr'
  /** On several lines, or with blanks. */
  | 'wrapped'
  | 'url-safe'
  /** Without the `=` at its end. */
  | 'unpadded'
  /** Base64 of nothing but digits and a to f: it was written in hex. */
  | 'hex'
  /** Python skips what is not base64 in it. */
  | 'foreign'
  | 'empty'
  | 'not-base64'

export interface SignatureText {
  readonly form: SignatureForm
  /** What was meant, as far as it can be told. */
  readonly meant: Buffer | undefined
  /** What the services' Python makes of it; undefined when it raises an error. */
  readonly decoded: Buffer | undefined
}

/** Finds out what a text was meant to be. */
export function readSignatureText(text: string): SignatureText {
  const python = decodePythonBase64(text)
  const decoded = python.ok ? python.bytes : undefined
  const [form, meant] = recognise(text, decoded)
  return { form, meant, decoded }
}

type Recognised = readonly [SignatureForm, Buffer | undefined]

function recognise(text: string, decoded: Buffer | undefined): Recognised {
  if (text.trim() === '') return ['empty', undefined]
  if (HEX.test(text)) return ['hex', Buffer.from(text, 'hex')]
  const found = REPAIRS.find(([, repair]) => fromBase64(repair(text)) !== undefined)
  if (found !== undefined) return [found[0], fromBase64(found[1](text))]
  if (decoded !== undefined && decoded.length > 0) return ['foreign', decoded]
  return ['not-base64', undefined]
}

/** 64 bytes and more: shorter ones are no signature, and may be base64 by chance. */
const HEX = /^(?:[0-9a-fA-F]{2}){64,}$/
const REPR = /^\s*b(['"])(?<inner>.*)\1\s*$/s

const joined = (text: string): string => text.replaceAll(/\\n|\s/g, '')
const standard = (text: string): string => joined(text).replaceAll('-', '+').replaceAll('_', '/')
const padded = (text: string): string => text + '='.repeat((4 - (text.length % 4)) % 4)

/** In this order: the first that makes canonical base64 of the text is what was wrong with it. */
const REPAIRS: readonly (readonly [SignatureForm, (text: string) => string])[] = [
  ['canonical', (text) => text],
  ['python-repr', (text) => joined(REPR.exec(text)?.groups?.['inner'] ?? '!')],
  ['wrapped', joined],
  ['url-safe', standard],
  ['unpadded', (text) => padded(joined(text))],
  ['url-safe', (text) => padded(standard(text))],
]
