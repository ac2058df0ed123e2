import { type HashMethod, hashMethod, type KeyType, keyType } from './algorithms.js'
import { fromBase64 } from './bytes.js'
import { VolsealError } from './errors.js'
import { PROFILES, type Profile } from './profiles.js'
import { decodePythonBase64 } from './python-base64.js'
import { FORM_FAULTS, readSignatureText } from './signature-text.js'

/** The four Glance properties of a signed image; their values are always strings. */
export interface SignatureProperties {
  /** Base64 of the raw signature, on one line. */
  img_signature?: string
  img_signature_hash_method?: string
  img_signature_key_type?: string
  /** Id of the certificate in the key manager. */
  img_signature_certificate_uuid?: string
}

export const SIGNATURE_PROPERTIES: readonly (keyof SignatureProperties)[] = [
  'img_signature',
  'img_signature_hash_method',
  'img_signature_key_type',
  'img_signature_certificate_uuid',
]

/** A signature, parsed: what it says, before anything is checked against the image. */
export interface ImageSignature {
  readonly signature: Buffer
  readonly hash: HashMethod
  readonly keyType: KeyType
  /** Undefined when the caller names the certificate and the properties do not. */
  readonly certificateId: string | undefined
}

/**
 * Takes the four properties out of an object that may hold much else: our own
 * `IMAGE.signature.json`, `openstack image show -f json` (which nests them in `properties`), or a
 * Glance image.
 */
export function pickProperties(source: Record<string, unknown>): SignatureProperties {
  const nested = source['properties']
  const places: Record<string, unknown>[] = [source]
  if (typeof nested === 'object' && nested !== null) places.unshift({ ...nested })
  const picked: SignatureProperties = {}
  for (const name of SIGNATURE_PROPERTIES) {
    const value = places
      .map((place) => place[name])
      .find((found) => found !== undefined && found !== null)
    if (value === undefined) continue
    if (typeof value !== 'string') {
      throw new VolsealError(
        'signature-malformed',
        `${name}: expected a string, got a ${typeof value}`,
      )
    }
    picked[name] = value
  }
  return picked
}

export interface ParseOptions {
  /** A caller who names the certificate needs no id of it in the properties. */
  readonly certificateKnown: boolean
  /** `strict` when not given. */
  readonly profile?: Profile | undefined
}

/**
 * The properties as a signature, looked at in the order of cursive's `get_verifier`.
 *
 * @throws {VolsealError} `unsigned` when a property is missing, `signature-malformed` when one
 * cannot be used.
 */
export function parseSignature(
  properties: SignatureProperties,
  { certificateKnown, profile = PROFILES.strict }: ParseOptions,
): ImageSignature {
  requireComplete(properties, certificateKnown)
  const decode = profile.base64 === 'python' ? pythonBytes : canonicalBytes
  return {
    signature: decode(properties.img_signature ?? ''),
    hash: hashMethod(properties.img_signature_hash_method ?? ''),
    keyType: keyType(properties.img_signature_key_type ?? ''),
    certificateId: properties.img_signature_certificate_uuid,
  }
}

function requireComplete(properties: SignatureProperties, certificateKnown: boolean): void {
  const missing = SIGNATURE_PROPERTIES.filter(
    (name) =>
      properties[name] === undefined &&
      !(certificateKnown && name === 'img_signature_certificate_uuid'),
  )
  if (missing.length === 0) return
  const onlyCertificate = missing.length === 1 && missing[0] === 'img_signature_certificate_uuid'
  const none = SIGNATURE_PROPERTIES.every((name) => properties[name] === undefined)
  throw new VolsealError(
    'unsigned',
    none
      ? 'the image is not signed: expected the img_signature properties, found none'
      : `the image is not fully signed: ${missing.join(', ')} missing`,
    {
      hint: onlyCertificate
        ? 'name the certificate: --cert FILE or --cert-id ID'
        : 'sign it with: volseal sign IMAGE --key KEY --cert CERT',
    },
  )
}

/**
 * cursive says that there are no bytes only when it has the certificate and its key: see `refuseEmpty`.
 *
 * @throws {VolsealError} where Python makes no bytes of it
 */
function pythonBytes(value: string): Buffer {
  const decoded = decodePythonBase64(value)
  if (decoded.ok) return decoded.bytes
  throw misspelled(value)
}

/** @throws {VolsealError} for all but the one spelling */
function canonicalBytes(value: string): Buffer {
  const bytes = fromBase64(value)
  if (bytes !== undefined && bytes.length > 0) return bytes
  throw misspelled(value)
}

function misspelled(value: string): VolsealError {
  const { form } = readSignatureText(value)
  const known = form === 'canonical' ? 'not-base64' : form
  return new VolsealError('signature-malformed', FORM_FAULTS[known], {
    hint: HINTS[known] ?? ENCODE,
  })
}

const ENCODE = 'encode the raw signature with: base64 -w 0'
const HINTS: Readonly<Partial<Record<keyof typeof FORM_FAULTS, string>>> = {
  'python-repr': 'set the property to what is between the quotation marks',
  wrapped: 'take them out, or encode the raw signature with: base64 -w 0',
}

/** Why a signature of no bytes is refused; undefined when it has some. */
export function refuseEmpty({ signature }: ImageSignature): VolsealError | undefined {
  if (signature.length > 0) return undefined
  const fault = 'img_signature has no base64 in it at all'
  return new VolsealError('signature-malformed', fault, { hint: ENCODE })
}
