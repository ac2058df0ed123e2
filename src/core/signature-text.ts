import { fromBase64 } from './bytes.js'
import { decodePythonBase64, isAscii } from './python-base64.js'

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
  /** Base64 of these bytes, but not as an encoder writes it: bits or characters behind the end. */
  | 'uncanonical'
  | 'empty'
  | 'not-ascii'
  | 'not-base64'

/** What is wrong with a text of each form, as the beginning of a sentence. */
export const FORM_FAULTS: Readonly<Record<Exclude<SignatureForm, 'canonical'>, string>> = {
  'python-repr':
    "img_signature is the text of a Python bytes object (b'…'), as the official client stores it when it signs",
  wrapped: 'img_signature is base64 with line breaks or blanks in it',
  'url-safe': 'img_signature is url-safe base64, of which Python drops every - and _',
  unpadded: 'img_signature lacks the = at its end, without which Python does not decode it',
  hex: 'img_signature is written in hex, not in base64',
  foreign: 'img_signature has characters in it that are not base64',
  uncanonical:
    'img_signature goes on behind its end, with bits or characters that no byte is made of',
  empty: 'img_signature is empty',
  'not-ascii': 'img_signature has characters in it that are not ASCII, on which Python fails',
  'not-base64': 'img_signature is no base64, or breaks off',
}

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
  if (!isAscii(text)) return ['not-ascii', fromBase64(joined(text.replaceAll(NOT_ASCII, '')))]
  if (text.trim() === '') return ['empty', undefined]
  if (text.length % 2 === 0 && HEX.test(text)) return ['hex', Buffer.from(text, 'hex')]
  const found = REPAIRS.find(([, repair]) => fromBase64(repair(text)) !== undefined)
  if (found !== undefined) return [found[0], fromBase64(found[1](text))]
  if (decoded === undefined || decoded.length === 0) return ['not-base64', undefined]
  return [ALPHABET.test(text) ? 'uncanonical' : 'foreign', decoded]
}

const NOT_ASCII = /\P{ASCII}/gu
const ALPHABET = /^[A-Za-z0-9+/=]*$/

/** 64 bytes and more: shorter ones are no signature, and may be base64 by chance. */
const HEX = /^[0-9a-fA-F]{128,}$/
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
