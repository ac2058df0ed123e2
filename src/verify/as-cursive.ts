import { isBinaryCurve } from '../core/algorithms.js'
import { type BarbicanId, readBarbicanId } from '../core/barbican-id.js'
import { keyMisfit } from '../core/certificate.js'
import { maxSaltLength } from '../core/emsa-pss.js'
import type { SignatureProperties } from '../core/image-signature.js'
import { PROFILES } from '../core/profiles.js'
import { modulusBits } from '../core/rsa-pss.js'
import type { Evidence } from './evidence.js'
import type { Cryptography, SignatureFacts } from './explanation.js'
import { isSignatureOfImage, recoverSignature } from './recover.js'

/**
 * What cursive does with a signature, step by step: `get_verifier` in its order of checks, then
 * `verify` (cursive 0.2.3, signature_utils.py). The services differ only in what they make of it.
 */
export type CursiveVerdict =
  | { readonly stage: 'accepted'; readonly note: string | null }
  /** The certificate could not be had, so nobody can say. */
  | { readonly stage: 'unknown'; readonly reason: string }
  /** Before the image is read; `error` is what is raised. */
  | { readonly stage: 'verifier'; readonly reason: string; readonly error: PythonError }
  /** After it: InvalidSignature, whose text is empty. */
  | { readonly stage: 'signature'; readonly reason: string }

export interface PythonError {
  readonly type: 'SignatureVerificationError' | 'ValueError' | 'TypeError' | 'UnsupportedAlgorithm'
  readonly text: string
}

/** cursive's own error, whose template ends with a full stop of its own. */
function ownError(reason: string): PythonError {
  const text = `Signature verification for the image failed: ${reason}.`
  return { type: 'SignatureVerificationError', text }
}

/** The order in which cursive looks for what is missing, and what it calls it. */
const NONE_CHECKS: readonly (readonly [keyof SignatureProperties, string])[] = [
  ['img_signature_certificate_uuid', 'img_signature_uuid'],
  ['img_signature_hash_method', 'img_signature_hash_method'],
  ['img_signature', 'img_signature'],
  ['img_signature_key_type', 'img_signature_key_type'],
]

/** @param evidence undefined when the image was not read */
export function judgeAsCursive(
  facts: SignatureFacts,
  evidence: Evidence | undefined,
  cryptography: Cryptography,
): CursiveVerdict {
  const refused =
    refuseProperties(facts) ?? refuseId(facts) ?? refuseSecret(facts) ?? refuseCertificate(facts)
  if (refused !== undefined) return refused
  const { certificate } = facts.certificate
  const signature = facts.text?.decoded
  const { hash } = facts
  if (certificate === undefined || signature === undefined || evidence === undefined) {
    if (isDecodedWrongly(facts)) return { stage: 'signature', reason: DECODED_WRONGLY }
    return { stage: 'unknown', reason: facts.certificate.fault ?? NOT_READ }
  }
  const recovered = recoverSignature(signature, certificate.publicKey, evidence, hash)
  if (!isSignatureOfImage(recovered, hash)) return { stage: 'signature', reason: NOT_OF_IMAGE }
  const { saltLength } = recovered
  const longest = longestSalt(facts)
  if (saltLength !== longest && cryptography === '<=41') {
    return { stage: 'signature', reason: `the salt is ${saltLength} bytes long, not ${longest}` }
  }
  return { stage: 'accepted', note: noteOf(facts, cryptography) }
}

/** Python makes other bytes of the text than those that were meant: they are no signature. */
function isDecodedWrongly({ text }: SignatureFacts): boolean {
  const { meant, decoded } = text ?? {}
  return meant !== undefined && decoded !== undefined && !meant.equals(decoded)
}

const DECODED_WRONGLY = 'Python makes other bytes of img_signature than were signed'

/** Nobody can say whether the signature fits. */
export const NOT_READ = 'the image was not read'

/** The reason of everybody who finds that a signature does not fit. */
export const NOT_OF_IMAGE = 'the signature is not one of this image by this key'

/** The longest salt of the certificate's key with the named hash; null when it is no RSA key. */
export function longestSalt({ certificate, hash }: SignatureFacts): number | null {
  const key = certificate.certificate?.publicKey
  const isRsa = key?.asymmetricKeyType === 'rsa' || key?.asymmetricKeyType === 'rsa-pss'
  if (key === undefined || hash === undefined || !isRsa) return null
  return maxSaltLength(modulusBits(key), hash)
}

function refuseProperties(facts: SignatureFacts): CursiveVerdict | undefined {
  const { missing, text, properties, certificate } = facts
  const absent = NONE_CHECKS.find(
    ([name]) =>
      missing.includes(name) &&
      !(name === 'img_signature_certificate_uuid' && certificate.isNamedByCaller),
  )
  if (absent !== undefined) {
    const before =
      'Required image properties for signature verification do not exist. Cannot verify signature.'
    const error = ownError(`${before} Missing property: ${absent[1]}`)
    return { stage: 'verifier', reason: `${absent[0]} is missing`, error }
  }
  if (!/^\p{ASCII}*$/u.test(properties.img_signature ?? '')) {
    const error = { type: 'ValueError', text: NOT_ASCII } as const
    return { stage: 'verifier', reason: 'img_signature has characters that are not ASCII', error }
  }
  if (text?.decoded === undefined) {
    const error = ownError('The signature data was not properly encoded using base64')
    return { stage: 'verifier', reason: 'img_signature is no base64', error }
  }
  return refuseNames(facts)
}

const NOT_ASCII = 'string argument should contain only ASCII characters'

function refuseNames({ hash, keyType, properties }: SignatureFacts): CursiveVerdict | undefined {
  if (hash === undefined) {
    const error = ownError(
      `Invalid signature hash method: ${properties.img_signature_hash_method ?? ''}`,
    )
    return { stage: 'verifier', reason: 'the hash method has no such name', error }
  }
  if (keyType !== undefined) return undefined
  const error = ownError(`Invalid signature key type: ${properties.img_signature_key_type ?? ''}`)
  return { stage: 'verifier', reason: 'the key type has no such name', error }
}

/** castellan asks Barbican for it, if it can be an id of Barbican's. */
function refuseId({ properties }: SignatureFacts): CursiveVerdict | undefined {
  const id = properties.img_signature_certificate_uuid
  const kind = id === undefined ? 'id' : readBarbicanId(id).kind
  if (kind === 'id') return undefined
  const [reason, error] = ID_FAULTS[kind]
  return { stage: 'verifier', reason, error: error(id ?? '') }
}

const ID_FAULTS: Readonly<
  Record<Exclude<BarbicanId['kind'], 'id'>, readonly [string, (id: string) => PythonError]>
> = {
  empty: [
    'the certificate id is empty',
    (id) => ownError(`Unable to retrieve certificate with ID: ${id}`),
  ],
  'not-v4': [
    'Barbican has no id but version-4 UUIDs',
    (id) => ownError(`Certificate not found with ID: ${id}`),
  ],
  'no-uuid': [
    'the certificate id is no UUID, on which barbicanclient fails',
    () => ({ type: 'ValueError', text: 'Secret incorrectly specified.' }),
  ],
}

/** What castellan calls the format of a secret that is no certificate (castellan.common.objects). */
const FORMATS = {
  opaque: 'Opaque',
  symmetric: 'RAW',
  passphrase: 'RAW',
  private: 'PKCS8',
  public: 'SubjectPublicKeyInfo',
} as const

function refuseSecret({ certificate }: SignatureFacts): CursiveVerdict | undefined {
  const { secretType } = certificate
  if (secretType === undefined) return undefined
  const error = ownError(`Invalid certificate format: ${FORMATS[secretType]}`)
  return { stage: 'verifier', reason: `the secret is of type ${secretType}`, error }
}

function refuseCertificate(facts: SignatureFacts): CursiveVerdict | undefined {
  const { certificate, castellan, isText, fault } = facts.certificate
  const { keyType, hash, text } = facts
  if (isText) {
    const error = { type: 'TypeError', text: 'a certificate of type str' } as const
    return { stage: 'verifier', reason: 'the certificate is stored as text/plain', error }
  }
  if (castellan !== undefined) {
    const error = { type: 'ValueError', text: 'Unable to load PEM file.' } as const
    return {
      stage: 'verifier',
      reason: `castellan cannot load the certificate: ${castellan}`,
      error,
    }
  }
  if (certificate === undefined) {
    return { stage: 'unknown', reason: fault ?? 'there is no certificate' }
  }
  if (keyType === undefined || hash === undefined) return undefined
  const misfit = keyMisfit(certificate.publicKey, keyType, PROFILES.cursive)
  if (misfit !== undefined) {
    const error = ownError(`Invalid public key type for signature key type: ${keyType.name}`)
    return { stage: 'verifier', reason: misfit, error }
  }
  if (text?.decoded?.length === 0) {
    const error = ownError('Error occurred while creating the verifier')
    return { stage: 'verifier', reason: 'img_signature is empty', error }
  }
  if ((longestSalt(facts) ?? 0) >= 0) return undefined
  const error = { type: 'ValueError', text: 'Digest too large for key size.' } as const
  return { stage: 'verifier', reason: `${hash.name} does not fit into the RSA key`, error }
}

function noteOf({ keyType }: SignatureFacts, cryptography: Cryptography): string | null {
  if (keyType === undefined || !isBinaryCurve(keyType) || cryptography === '<=41') return null
  return 'not with cryptography >= 47, which has no SECT curves'
}
