import { type HashName, hashMethod } from '../core/algorithms.js'
import { type ByteInput, openSource, type PassOptions } from '../core/byte-source.js'
import { type Certificate, readCertificate } from '../core/certificate.js'
import { VolsealError } from '../core/errors.js'
import { requirePlaceFor, requirePlaceForDirectory, withDirectory } from '../core/files.js'
import type { SignatureProperties } from '../core/image-signature.js'
import type { Secret } from '../core/secret.js'
import type { SecretSource } from '../keyfile/index.js'
import {
  type DigestSigner,
  makeRemoteSigner,
  makeSigner,
  type RemoteSigner,
  readPublicKey,
  type SignatureFiles,
  type SignedImage,
  type Signer,
  signatureFiles,
  signSource,
  writeSignature,
} from '../sign/index.js'
import { certificateFromKeyManager } from './certificates.js'
import { type KeyInput, openKey } from './keys.js'

/** What signs, and for whom. */
export interface SignerOptions {
  /** The private key: PEM, DER or PKCS#12 bytes, or a key of node:crypto. */
  readonly key?: KeyInput | undefined
  /**
   * Signs digests in place of `key`, with a key that is somewhere else; needs its certificate, or
   * `publicKey`.
   */
  readonly signer?: DigestSigner | undefined
  /** With `signer`: the key's public half (PEM or DER), if there is no certificate yet. */
  readonly publicKey?: Buffer | undefined
  /** How errors call that half, such as by its file's name. */
  readonly publicKeyName?: string | undefined
  /** With `signer`: how it calls the key; handed on as it is. */
  readonly signerKeyId?: string | undefined
  /** Opens an encrypted key; the caller wipes it. */
  readonly keyPassphrase?: Secret | undefined
  /** `SHA-256` when not given. */
  readonly hash?: HashName | undefined
  /** The key's certificate (PEM or DER), to prove that it fits. */
  readonly certificate?: Buffer | undefined
  /** How errors call it, such as by its file's name. */
  readonly certificateName?: string | undefined
  /** Its id in the key manager; goes into the properties. */
  readonly certificateId?: string | undefined
}

/** Where the certificate of an id comes from. */
export interface CertificateSource {
  /** Fetches the certificate of `certificateId`. */
  readonly keyManager?: SecretSource | undefined
}

export interface SignOptions extends SignerOptions, CertificateSource, PassOptions {
  /** A path, `-` for standard input, or the bytes as they come. */
  readonly image: ByteInput
  /** Directory for the three signature files, made if need be; beside the image when not given. */
  readonly out?: string | undefined
  /** False writes no files. */
  readonly write?: boolean | undefined
}

/** What signing made; the body of `sign --json`. */
export interface SignResult {
  readonly image: string
  /** Lower-case hex. */
  readonly digest: string
  /** Bytes. */
  readonly size: number
  /** Bytes of salt of an RSA-PSS signature; null for DSA and ECDSA. */
  readonly saltLength: number | null
  readonly properties: SignatureProperties
  /** The files written; null when none were. */
  readonly files: SignatureFiles | null
}

/**
 * Signs an image as `openssl dgst -sign KEY -sigopt rsa_padding_mode:pss` does, in one pass and
 * constant memory, and writes `IMAGE.signature`, `.b64` and `.json`.
 *
 * @throws {VolsealError} `signature-malformed` for a key or certificate that cannot be used,
 * `signature-incompatible` and `unavailable` for a signer that used another salt, or failed,
 * `not-found`, `forbidden`, `io`, `busy` when the image changed meanwhile
 *
 * @example
 * const { properties } = await signImage({ image: 'disk.raw', key: await readFile('key.pem') })
 */
export async function signImage(options: SignOptions): Promise<SignResult> {
  const hash = hashMethod(options.hash ?? 'SHA-256')
  const certificate = await certificateOf(options)
  const signer = await signerOf(options, certificate)
  const files = filesOf(options)
  if (files !== null) await requirePlace(files, options.out)
  const source = await openSource(options.image, 'image')
  try {
    const signed = await signSource(source, signer, hash, options)
    if (files !== null) await writeFiles(files, signed, options.out)
    const { digest, size, saltLength, properties } = signed
    return { image: source.name, digest, size, saltLength, properties, files }
  } finally {
    await source.close()
  }
}

/** Whether its files can be made, found out before long work. */
export async function requirePlace(files: SignatureFiles, out: string | undefined): Promise<void> {
  await (out === undefined ? requirePlaceFor(files.signature) : requirePlaceForDirectory(out))
}

/** Writes them, into a directory that is made if need be. */
export async function writeFiles(
  files: SignatureFiles,
  signed: SignedImage,
  out: string | undefined,
): Promise<void> {
  if (out === undefined) await writeSignature(files, signed)
  else await withDirectory(out, async () => await writeSignature(files, signed))
}

/** The key as the options name it, proven to fit its certificate. */
export async function signerOf(
  options: SignerOptions,
  certificate: Certificate | undefined,
): Promise<Signer | RemoteSigner> {
  const { key, signer, certificateId } = options
  if (key !== undefined && signer === undefined) {
    const opened = await openKey(key, options.keyPassphrase, 'the signing key')
    return makeSigner(opened, certificate, certificateId)
  }
  if (signer === undefined || key !== undefined) {
    throw new VolsealError('usage', 'one of key and signer is needed to sign with')
  }
  const publicKey =
    options.publicKey === undefined
      ? undefined
      : readPublicKey(options.publicKey, options.publicKeyName ?? "the signer's public key")
  return makeRemoteSigner(
    signer,
    { publicKey, id: options.signerKeyId },
    certificate,
    certificateId,
  )
}

/** The key's certificate, as it is given or as the key manager has it. */
export async function certificateOf(
  options: SignerOptions & CertificateSource,
): Promise<Certificate | undefined> {
  const { certificate, certificateName = 'the certificate', certificateId, keyManager } = options
  if (certificate !== undefined) return readCertificate(certificate, certificateName)
  if (certificateId === undefined || keyManager === undefined) return undefined
  return await certificateFromKeyManager(keyManager, certificateId)
}

/** A stream has no place beside it: its files are written only into a directory that is named. */
function filesOf({ image, out, write }: SignOptions): SignatureFiles | null {
  if (write === false) return null
  if (typeof image === 'string' && image !== '-') return signatureFiles(image, out)
  return out === undefined ? null : signatureFiles('image', out)
}

export type { DigestSigner, SignRequest } from '../sign/index.js'
