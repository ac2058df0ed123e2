import { readdirSync, readFileSync } from 'node:fs'
import type { ErrorCode, SignatureProperties } from '../../src/index.js'

/** One file of the folder vectors about an image; vectors/README.md and the schema say what it means. */
export interface Vector {
  readonly name: string
  readonly image: { readonly base64: string } | { readonly repeat: string; readonly length: number }
  readonly properties: SignatureProperties
  readonly certificate: { readonly text: string } | { readonly base64: string }
  readonly expect: {
    readonly cursive: Readonly<Record<'strict' | 'lenient' | 'newest', CursiveExpectation>>
    readonly volseal: Readonly<Record<'strict' | 'cursive', 'accepted' | ErrorCode>>
  }
}

export interface CursiveExpectation {
  readonly outcome: 'accept' | 'refuse' | 'crash' | 'varies'
  readonly error?: string
  readonly message?: string
}

/** One about a certificate and who vouches for it; all certificates and CRLs are PEM. */
export interface PathVector {
  readonly name: string
  readonly signer: string
  readonly trusted: readonly string[]
  readonly untrusted: readonly string[]
  readonly crls: readonly string[]
  readonly expect: {
    readonly nova: { readonly outcome: string }
    readonly volseal:
      | { readonly outcome: 'accepted'; readonly trust: 'path' | 'pinned' }
      | { readonly outcome: 'refused'; readonly check: string }
  }
}

const FOLDER = new URL('../../vectors/', import.meta.url)

/** Each file says by its schema which of the two it is. */
const ALL: readonly (Vector | PathVector)[] = readdirSync(FOLDER)
  .filter((file) => file.endsWith('.json'))
  .map((file) => JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')))

export const VECTORS: readonly Vector[] = ALL.filter((vector) => 'image' in vector)
export const PATH_VECTORS: readonly PathVector[] = ALL.filter((vector) => 'signer' in vector)

export function imageOf({ image }: Vector): Buffer {
  if ('base64' in image) return Buffer.from(image.base64, 'base64')
  return Buffer.alloc(image.length, image.repeat)
}

export function certificateOf({ certificate }: Vector): Buffer {
  if ('base64' in certificate) return Buffer.from(certificate.base64, 'base64')
  return Buffer.from(certificate.text)
}
