import { basename, join } from 'node:path'
import { writeNewFiles } from '../core/files.js'
import type { SignedImage } from './sign-image.js'

/** The three files of a signature. */
export interface SignatureFiles {
  /** The raw signature, as `openssl dgst -sign` writes it. */
  readonly signature: string
  /** Its base64 on one line, as `base64 -w 0` writes it, with a newline. */
  readonly base64: string
  /** The properties, `digest` and `size` as flat JSON. */
  readonly properties: string
}

/**
 * Where the files of an image go: beside it, or into `directory`.
 *
 * @param image the image's path
 */
export function signatureFiles(image: string, directory?: string): SignatureFiles {
  const stem = directory === undefined ? image : join(directory, basename(image))
  return {
    signature: `${stem}.signature`,
    base64: `${stem}.signature.b64`,
    properties: `${stem}.signature.json`,
  }
}

/** Writes all three; replaces older ones, since a new signature of the image supersedes them. */
export async function writeSignature(files: SignatureFiles, signed: SignedImage): Promise<void> {
  const base64 = signed.signature.toString('base64')
  const json = { ...signed.properties, digest: signed.digest, size: signed.size }
  await writeNewFiles([
    { path: files.signature, content: signed.signature, force: true },
    { path: files.base64, content: `${base64}\n`, force: true },
    { path: files.properties, content: `${JSON.stringify(json, null, 2)}\n`, force: true },
  ])
}
