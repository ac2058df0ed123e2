import { createHash, type KeyObject } from 'node:crypto'
import type { HashMethod, HashName, KeyType, KeyTypeName } from '../core/algorithms.js'
import type { PassOptions } from '../core/byte-source.js'
import { readDsaSignature } from '../core/dsa-signature.js'
import { maxSaltLength } from '../core/emsa-pss.js'
import { throwIfAborted, VolsealError } from '../core/errors.js'
import { besideLane, localLane } from '../core/lane.js'
import { checkRsaPss, modulusBits } from '../core/rsa-pss.js'
import type { BytesToSign } from './bytes-to-sign.js'

/**
 * Signing with a key that is somewhere else: a security module, a cloud's key service. Only the
 * image's digest goes there.
 */

/** What a signer is asked for; `schemas/sign-request-1.json` says it for other languages. */
export interface SignRequest {
  readonly schema: 'volseal/sign-request/1'
  /** What is to be signed, as it is: lower-case hex. */
  readonly digest: string
  /** The same in base64, which shells and key services turn into bytes. */
  readonly digestBase64: string
  /** The hash that made the digest; of MGF1 as well. */
  readonly hash: HashName
  readonly keyType: KeyTypeName
  /** Bytes of salt that an RSA-PSS signature must have; null for other key types. */
  readonly saltLength: number | null
  /** SHA-256 of the public key's SubjectPublicKeyInfo (DER), lower-case hex. */
  readonly publicKeySha256: string
  /** How the signer calls the key, as the caller named it; null when the caller did not. */
  readonly keyId: string | null
}

/**
 * Signs a digest: RSASSA-PSS with the salt length that is asked for, as long as the modulus; ECDSA and
 * DSA in DER, or r and s one after the other. What it returns is verified before it is used. It ends
 * when the signal is aborted.
 */
export type DigestSigner = (
  request: SignRequest,
  options: { readonly signal: AbortSignal | undefined },
) => Promise<Uint8Array>

/** A signer, and the public key that its signatures have to fit. */
export interface RemoteSigner {
  readonly sign: DigestSigner
  readonly publicKey: KeyObject
  readonly keyType: KeyType
  readonly keyId: string | undefined
  /** Goes into img_signature_certificate_uuid. */
  readonly certificateId?: string | undefined
}

/** A signature of an image, and what was learned of the image on the way. */
export interface Made {
  readonly digest: Buffer
  readonly size: number
  readonly signature: Buffer
  readonly saltLength: number | null
}

/**
 * Reads the image in one pass, has its digest signed, and verifies what comes back.
 *
 * @throws {VolsealError} `signature-malformed` when it is no signature of this image by this key,
 * `signature-incompatible` for another salt, `unavailable` when the signer fails
 */
export async function signRemotely(
  { pass, size: knownSize }: BytesToSign,
  signer: RemoteSigner,
  hash: HashMethod,
  options: Pick<PassOptions, 'signal'>,
): Promise<Made> {
  const { publicKey, keyType } = signer
  const isRsa = keyType.family === 'rsa'
  const digestLane = besideLane({ kind: 'hash', hash }, knownSize)
  // Nothing but the whole image can be given to a check of ECDSA or DSA: it runs along, and waits for the end.
  const checkLane = isRsa ? undefined : localLane({ kind: 'verify', hash, key: publicKey })
  try {
    const consume = async (piece: Buffer): Promise<void> => {
      const hashing = digestLane.update(piece)
      await checkLane?.update(piece)
      await hashing
    }
    const size = await pass(consume)
    const digest = await digestLane.finish()
    const saltLength = isRsa ? maxSaltLength(modulusBits(publicKey), hash) : null
    const returned = await ask(signer, requestOf(signer, digest, hash, saltLength), options)
    const signature = isRsa ? returned : (readDsaSignature(returned)?.der ?? returned)
    if (saltLength !== null) requireRsaPss(publicKey, digest, hash, signature, saltLength)
    else if ((await checkLane?.finish(signature))?.[0] !== 1)
      throw notSigned(keyType.name, signature)
    return { digest, size, signature, saltLength }
  } finally {
    await digestLane.close()
  }
}

function requestOf(
  { keyType, keyId, publicKey }: RemoteSigner,
  digest: Buffer,
  hash: HashMethod,
  saltLength: number | null,
): SignRequest {
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  return {
    schema: 'volseal/sign-request/1',
    digest: digest.toString('hex'),
    digestBase64: digest.toString('base64'),
    hash: hash.name,
    keyType: keyType.name,
    saltLength,
    publicKeySha256: createHash('sha256').update(spki).digest('hex'),
    keyId: keyId ?? null,
  }
}

async function ask(
  { sign }: RemoteSigner,
  request: SignRequest,
  { signal }: Pick<PassOptions, 'signal'>,
): Promise<Buffer> {
  throwIfAborted(signal)
  const answer: unknown = await attempt(sign, request, signal)
  throwIfAborted(signal)
  if (answer instanceof Uint8Array) return Buffer.from(answer)
  throw new VolsealError('usage', `the signer: expected a Uint8Array, got ${typeof answer}`)
}

async function attempt(
  sign: DigestSigner,
  request: SignRequest,
  signal: AbortSignal | undefined,
): Promise<unknown> {
  try {
    return await sign(request, { signal })
  } catch (error) {
    throwIfAborted(signal)
    if (error instanceof VolsealError) throw error
    const why = error instanceof Error ? error.message : String(error)
    throw new VolsealError('unavailable', `the signer failed: ${why}`, { cause: error })
  }
}

function requireRsaPss(
  publicKey: KeyObject,
  digest: Buffer,
  hash: HashMethod,
  signature: Buffer,
  wanted: number,
): void {
  const verdict = checkRsaPss(publicKey, digest, hash, signature)
  if (!verdict.consistent) throw notSigned('RSA-PSS', signature)
  if (verdict.saltLength === wanted) return
  throw new VolsealError(
    'signature-incompatible',
    `the signer's salt is ${verdict.saltLength} bytes long, and ${wanted} were asked for: clouds with cryptography <= 41 refuse the signature`,
    { hint: 'a key service that cannot do otherwise can sign with a P-384 key: ECC_SECP384R1' },
  )
}

/** What each key type wants, for who writes a signer. */
function notSigned(type: KeyTypeName, { length }: Buffer): VolsealError {
  const wanted =
    type === 'RSA-PSS'
      ? 'RSASSA-PSS with MGF1 of the same hash'
      : 'r and s, in DER or one after the other'
  return new VolsealError(
    'signature-malformed',
    `the signer returned ${length} bytes that are no ${type} signature of this image by the key that its certificate names`,
    { hint: `wrong key, or not over the digest as it is: expected ${wanted}` },
  )
}
