import type { HashName } from '../../../src/core/algorithms.js'

/** One image with its properties, and what Barbican answers when its certificate is asked for. */
export interface Case {
  /** How it was made: `rsa-2048 SHA-256, signature in lines`. */
  readonly name: string
  readonly signature: string | null
  readonly hash: string | null
  readonly keyType: string | null
  readonly id: string | null
  readonly secret: BarbicanSecret
  readonly image: Buffer
}

export interface BarbicanSecret {
  /** Of Barbican's answer. */
  readonly status: 200 | 403 | 404 | 500
  readonly secretType: 'certificate' | 'opaque' | 'passphrase'
  readonly contentType: 'application/octet-stream' | 'text/plain'
  readonly payload: Buffer
}

/** A key that signs, its certificate, and what it is to be called. */
export interface Signer {
  readonly name: string
  readonly keyTypes: readonly string[]
  readonly hashes: readonly HashName[]
  /** PEM. */
  readonly key: Buffer
  readonly certificate: Buffer
}

/** As one line of JSON, with bytes as Latin-1 text: what a file to be replayed holds. */
export function toJson({ secret, image, ...rest }: Case): string {
  const { payload, ...answer } = secret
  const bytes = { payload: payload.toString('latin1'), image: image.toString('latin1') }
  return JSON.stringify({ ...rest, ...answer, ...bytes })
}

interface CaseJson extends Omit<Case, 'secret' | 'image'>, Omit<BarbicanSecret, 'payload'> {
  readonly payload: string
  readonly image: string
}

export function fromJson(line: string): Case {
  const { name, signature, hash, keyType, id, ...json }: CaseJson = JSON.parse(line)
  const { status, secretType, contentType } = json
  const payload = Buffer.from(json.payload, 'latin1')
  const image = Buffer.from(json.image, 'latin1')
  const secret = { status, secretType, contentType, payload }
  return { name, signature, hash, keyType, id, secret, image }
}
