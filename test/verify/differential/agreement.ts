import { ACCEPTED, type Answer } from './answers.js'

/** A refusal of the services, and ours that corresponds to it. */
interface Row {
  readonly name: string
  /** `Class: text`, as Python raises it. */
  readonly real: RegExp
  /** `code: message`. */
  readonly volseal: RegExp
}

/** A row whose two sides are not the same thing, and where that is documented. */
export interface Exception extends Row {
  readonly source: string
  /** Of which cases alone it is to be expected; of all when not given. */
  readonly of?: RegExp
}

function own(name: string, reason: string, volseal: RegExp): Row {
  return {
    name,
    volseal,
    real: new RegExp(`^SignatureVerificationError: .*failed: ${reason}`, 's'),
  }
}

const missing = (python: string, name: string): Row =>
  own(
    `${name} missing`,
    `Required .*: ${python}\\.$`,
    new RegExp(`^unsigned: .*\\b${name}\\b.*missing`),
  )

/** All the reasons that cursive has (signature_utils.py): every run must see each of them. */
export const REASONS: readonly Row[] = [
  missing('img_signature_uuid', 'img_signature_certificate_uuid'),
  missing('img_signature_hash_method', 'img_signature_hash_method'),
  missing('img_signature', 'img_signature'),
  missing('img_signature_key_type', 'img_signature_key_type'),
  own(
    'base64',
    'The signature data was not',
    /^signature-malformed: img_signature (is|lacks|has characters in it that are not base64)/,
  ),
  own('hash method', 'Invalid signature hash', /^signature-malformed: invalid signature hash/),
  own('key type', 'Invalid signature key', /^signature-malformed: invalid signature key type/),
  own('key class', 'Invalid public key', /^signature-malformed: the certificate .* does not fit/),
  own('no certificate', 'Certificate not found', /^unchecked: .*no such secret/),
  own('key manager', 'Unable to retrieve', /^unchecked: .*(not allowed|key manager fails)/),
  own(
    'no X.509',
    'Invalid certificate format',
    /^signature-malformed: .*expected type certificate/,
  ),
  own(
    'empty',
    'Error occurred while',
    /^signature-malformed: img_signature has no base64 in it at all/,
  ),
  {
    name: 'signature',
    real: /^InvalidSignature: $/,
    volseal: /^(signature-mismatch|signature-incompatible): /,
  },
]

const PROFILES = 'docs/profiles.md, "Where cursive raises another error than its own"'

const DAMAGED = 'docs/profiles.md, "A certificate of which a bit was changed"'
const CHANGED_CERTIFICATE = /a bit of the certificate|an edited PEM/

/**
 * Where cursive raises what is no error of its own, we refuse with a code; and where it is not
 * cursive that differs, but the reader of certificates.
 */
export const EXCEPTIONS: readonly Exception[] = [
  {
    name: 'characters that are not ASCII',
    real: /^ValueError: string argument should contain only ASCII/,
    volseal: /^signature-malformed: img_signature has characters in it that are not ASCII/,
    source: PROFILES,
  },
  {
    name: 'an id that is no UUID',
    real: /^ValueError: Secret incorrectly specified/,
    volseal: /^signature-malformed: img_signature_certificate_uuid: expected a version-4 UUID/,
    source: PROFILES,
  },
  {
    name: 'an id that is empty',
    real: /^SignatureVerificationError: .*Unable to retrieve certificate with ID: \.$/,
    volseal: /^signature-malformed: img_signature_certificate_uuid: expected a version-4 UUID/,
    source: 'docs/profiles.md, "The same in both"',
  },
  {
    name: 'a certificate kept as text/plain',
    real: /^TypeError: argument 'data': '(?:str|NoneType)' object/,
    volseal: /^signature-malformed: .*got text\/plain$/,
    source: PROFILES,
  },
  {
    name: 'no PEM that castellan reads',
    real: /^ValueError: (Unable to load PEM file|Valid PEM but no BEGIN CERTIFICATE)/,
    volseal: /^signature-malformed: .*expected PEM as castellan reads it/,
    source: PROFILES,
  },
  {
    name: 'a certificate that is damaged, or its key',
    real: /^ValueError: .*(error parsing asn1 value|Could not deserialize key data)/,
    volseal:
      /^signature-malformed: .*got (a damaged one|one whose key is damaged|one with impossible dates|bytes behind it as well)$/,
    source: PROFILES,
  },
  {
    name: 'a hash that does not fit into the key',
    real: /^ValueError: Digest too large for key size/,
    volseal: /^signature-malformed: .*does not fit into an RSA key/,
    source: PROFILES,
  },
  {
    name: 'a curve that python-cryptography does not know',
    real: /^UnsupportedAlgorithm: /,
    volseal: /^signature-malformed: .*python-cryptography has no key/,
    source: PROFILES,
  },
  // What the two readers of DER differ in: python-cryptography's, in Rust, and OpenSSL's.
  {
    name: 'a certificate that only OpenSSL finds damaged',
    real: /^(accepted|InvalidSignature: |SignatureVerificationError: )/,
    volseal: /^signature-malformed: .*got (a damaged one|one with impossible dates)$/,
    source: DAMAGED,
    of: CHANGED_CERTIFICATE,
  },
  {
    name: 'a certificate that only python-cryptography finds damaged',
    real: /^ValueError: .*(error parsing asn1 value|Could not deserialize key data)/,
    volseal: /^(accepted$|signature-mismatch: |signature-malformed: )/,
    source: DAMAGED,
    of: CHANGED_CERTIFICATE,
  },
]

/** The end of a refusal's line, which is about others. */
const SERVICES = /; nova[^;]*$/

/** The row by which the two answers are the same; undefined when they are not. */
export function agreementOf(name: string, real: Answer, volseal: Answer): string | undefined {
  if (real === ACCEPTED && volseal === ACCEPTED) return ACCEPTED
  const said = volseal.replace(SERVICES, '')
  const exceptions = EXCEPTIONS.filter(({ of }) => of?.test(name) ?? true)
  return [...REASONS, ...exceptions].find((row) => row.real.test(real) && row.volseal.test(said))
    ?.name
}

/**
 * Whether a refusal of ours says that the services refuse, where the real cursive does. Of a
 * certificate that OpenSSL cannot read nobody knows; of what could not be checked nothing is said.
 */
export function isTold(real: Answer, volseal: Answer): boolean {
  if (real === ACCEPTED || volseal === ACCEPTED || volseal.startsWith('unchecked: ')) return true
  return /; nova[^;]* refuse it\b[^;]*$/.test(volseal) || UNREADABLE.test(volseal)
}

const UNREADABLE =
  /got (a damaged one|one whose key is damaged|one with impossible dates|bytes behind it as well)$/
