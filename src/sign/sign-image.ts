import { createPublicKey, createSign, type KeyObject } from 'node:crypto'
import { type HashMethod, KEY_TYPES, type KeyType } from '../core/algorithms.js'
import { type ByteSource, type PassOptions, passOver } from '../core/byte-source.js'
import { type Certificate, curveOf, describeKey, keyMisfit } from '../core/certificate.js'
import { maxSaltLength } from '../core/emsa-pss.js'
import { VolsealError } from '../core/errors.js'
import type { SignatureProperties } from '../core/image-signature.js'
import { besideLane, type Lane, localLane } from '../core/lane.js'
import { checkRsaPss, modulusBits, signRsaPss } from '../core/rsa-pss.js'
import type { BytesToSign } from './bytes-to-sign.js'
import { type DigestSigner, type Made, type RemoteSigner, signRemotely } from './remote-signer.js'

/** A signing key, proven to fit its key type and, where one was given, its certificate. */
export interface Signer {
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  readonly keyType: KeyType
  /** Goes into img_signature_certificate_uuid. */
  readonly certificateId?: string | undefined
}

export interface SignedImage {
  /** Lower-case hex. */
  readonly digest: string
  /** Bytes. */
  readonly size: number
  readonly signature: Buffer
  /** Bytes of salt in an RSA-PSS signature; null for DSA and ECDSA. */
  readonly saltLength: number | null
  readonly properties: SignatureProperties
}

/**
 * Checks that a key can sign images, and that it is the certificate's.
 *
 * @throws {VolsealError} `signature-malformed`
 */
export function makeSigner(
  privateKey: KeyObject,
  certificate: Certificate | undefined,
  certificateId?: string,
): Signer {
  const publicKey = createPublicKey(privateKey)
  const type = keyTypeOf(publicKey)
  requireSameKey(publicKey, certificate)
  return { privateKey, publicKey, keyType: type, certificateId }
}

/**
 * The same for a key that is somewhere else: all that is known of it is its public half.
 *
 * @param publicKey that of the certificate when not given
 * @throws {VolsealError} `signature-malformed`, `usage` when neither is given
 */
export function makeRemoteSigner(
  sign: DigestSigner,
  key: { readonly publicKey: KeyObject | undefined; readonly id: string | undefined },
  certificate: Certificate | undefined,
  certificateId?: string,
): RemoteSigner {
  const publicKey = key.publicKey ?? certificate?.publicKey
  if (publicKey === undefined) {
    throw new VolsealError('usage', "the signer's public key is not known", {
      hint: 'give its certificate (--cert or --cert-id), or --public-key',
    })
  }
  const type = keyTypeOf(publicKey)
  requireSameKey(publicKey, certificate)
  return { sign, publicKey, keyType: type, keyId: key.id, certificateId }
}

function keyTypeOf(publicKey: KeyObject): KeyType {
  const type = KEY_TYPES.find((candidate) => keyMisfit(publicKey, candidate) === undefined)
  if (type === undefined || publicKey.asymmetricKeyType === 'rsa-pss') throw unfit(publicKey)
  return type
}

function requireSameKey(publicKey: KeyObject, certificate: Certificate | undefined): void {
  if (certificate === undefined || certificate.publicKey.equals(publicKey)) return
  throw new VolsealError(
    'signature-malformed',
    `the certificate ${certificate.subject} is of another key (${describeKey(certificate.publicKey)}) than the one to sign with`,
    { hint: 'every verifier would refuse the image: give the certificate of this key' },
  )
}

function unfit(key: KeyObject): VolsealError {
  const restricted = key.asymmetricKeyType === 'rsa-pss'
  return new VolsealError(
    'signature-malformed',
    `this key cannot sign images: it is ${describeKey(key)}`,
    {
      hint: restricted
        ? 'a key restricted to RSASSA-PSS may not allow the salt that clouds demand: make one with volseal keypair create'
        : (reasonOf(key) ?? FIT_KEYS),
    },
  )
}

/** Why not, said by the key type that the key comes nearest to. */
function reasonOf(key: KeyObject): string | undefined {
  const nearest = KEY_TYPES.find((type) =>
    type.family === 'ec' ? type.curve === curveOf(key) : type.family === key.asymmetricKeyType,
  )
  return nearest === undefined ? undefined : keyMisfit(key, nearest)
}

const CURVES = KEY_TYPES.flatMap((type) => (type.family === 'ec' ? type.curve : []))
const FIT_KEYS = `expected an RSA or DSA key, or an EC key on one of ${CURVES.join(', ')}`

/**
 * Signs an image in one pass and constant memory. RSA-PSS with MGF1 of the same hash and the
 * longest salt, which every cursive accepts; DSA and ECDSA in DER. The signature is checked before it is
 * returned: an arithmetic fault must not leave this process, for the key's sake too.
 *
 * @throws {VolsealError} `busy` when the file changed while it was read; `io`
 */
export async function signSource(
  source: ByteSource,
  signer: Signer | RemoteSigner,
  hash: HashMethod,
  options: PassOptions = {},
): Promise<SignedImage> {
  const { name, size } = source
  const bytes: BytesToSign = {
    name,
    size,
    pass: async (consumer) => await passOver(source, consumer, options),
    unchanged: async () => await source.unchanged(),
  }
  return await signBytes(bytes, signer, hash, options)
}

/** The same for bytes that are held to be used again. */
export async function signBytes(
  bytes: BytesToSign,
  signer: Signer | RemoteSigner,
  hash: HashMethod,
  options: Pick<PassOptions, 'signal'> = {},
): Promise<SignedImage> {
  const made = await signPass(bytes, signer, hash, options)
  if (!(await bytes.unchanged())) {
    throw new VolsealError('busy', `${bytes.name} was changed while it was being signed`, {
      hint: 'sign it again once nobody writes to it',
    })
  }
  return {
    digest: made.digest.toString('hex'),
    size: made.size,
    signature: made.signature,
    saltLength: made.saltLength,
    properties: propertiesOf(made.signature, signer, hash),
  }
}

async function signPass(
  bytes: BytesToSign,
  signer: Signer | RemoteSigner,
  hash: HashMethod,
  options: Pick<PassOptions, 'signal'>,
): Promise<Made> {
  if ('sign' in signer) return await signRemotely(bytes, signer, hash, options)
  return signer.keyType.family === 'rsa'
    ? await signRsa(bytes, signer, hash)
    : await signDsa(bytes, signer, hash)
}

async function signRsa(
  { pass }: BytesToSign,
  { privateKey, publicKey }: Signer,
  hash: HashMethod,
): Promise<Made> {
  const lane = localLane({ kind: 'hash', hash })
  const size = await pass((piece) => lane.update(piece))
  const digest = await lane.finish()
  const signature = signRsaPss(privateKey, digest, hash)
  const verdict = checkRsaPss(publicKey, digest, hash, signature)
  const saltLength = maxSaltLength(modulusBits(privateKey), hash)
  if (!verdict.consistent || verdict.saltLength !== saltLength) throw selfCheckFailed()
  return { digest, size, signature, saltLength }
}

/** DSA and ECDSA: Sign on this thread; the digest and the check of our own signature beside it. */
async function signDsa(
  { pass, size: knownSize }: BytesToSign,
  { privateKey, publicKey }: Signer,
  hash: HashMethod,
): Promise<Made> {
  const digestLane = besideLane({ kind: 'hash', hash }, knownSize)
  const checkLane = besideLane({ kind: 'verify', hash, key: publicKey }, knownSize)
  const sign = createSign(hash.node)
  try {
    const size = await pass(feedAll([digestLane, checkLane], sign))
    const signature = sign.sign({ key: privateKey, dsaEncoding: 'der' })
    const [digest, verdict] = await Promise.all([digestLane.finish(), checkLane.finish(signature)])
    if (verdict[0] !== 1) throw selfCheckFailed()
    return { digest, size, signature, saltLength: null }
  } finally {
    await Promise.all([digestLane.close(), checkLane.close()])
  }
}

/** Sends a piece to the lanes first, so that they work while this thread does. */
function feedAll(
  lanes: readonly Lane[],
  own: { update(piece: Buffer): unknown },
): (piece: Buffer) => Promise<void> {
  return async (piece) => {
    const updates = lanes.map(async (lane) => {
      await lane.update(piece)
    })
    own.update(piece)
    await Promise.all(updates)
  }
}

function selfCheckFailed(): VolsealError {
  return new VolsealError('internal', 'the signature just made does not verify; it was discarded', {
    hint: 'this points to failing hardware: run it again on another machine',
  })
}

function propertiesOf(
  signature: Buffer,
  signer: Signer | RemoteSigner,
  hash: HashMethod,
): SignatureProperties {
  const properties: SignatureProperties = {
    img_signature: signature.toString('base64'),
    img_signature_hash_method: hash.name,
    img_signature_key_type: signer.keyType.name,
  }
  if (signer.certificateId !== undefined) {
    properties.img_signature_certificate_uuid = signer.certificateId
  }
  return properties
}
