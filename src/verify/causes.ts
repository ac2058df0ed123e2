import { HASH_METHODS, isBinaryCurve, KEY_TYPES } from '../core/algorithms.js'
import { readBarbicanId } from '../core/barbican-id.js'
import { keyMisfit } from '../core/certificate.js'
import type { SignatureProperties } from '../core/image-signature.js'
import { PROFILES } from '../core/profiles.js'
import { FORM_FAULTS } from '../core/signature-text.js'
import type { Cause, CauseCode, SignatureFacts } from './explanation.js'
import type { Recovered } from './recover.js'
import {
  resign,
  resignWithNewKey,
  setProperty,
  setSignature,
  signFirst,
  storeCertificate,
  typeOfCertificate,
} from './remedies.js'
import type { VerifyReport } from './report.js'
import { CERTIFICATE_ID, isOnlyUnnamed } from './who-accepts.js'

/** What is wrong with the properties and the certificate, before the image is looked at. */
export function causesBefore(facts: SignatureFacts, found: Recovered | undefined): Cause[] {
  return [
    missingCause(facts, found),
    textCause(facts),
    hashNameCause(facts, found),
    keyTypeCause(facts),
    idCause(facts),
    certificateCause(facts),
    keyCause(facts),
  ].filter((cause) => cause !== undefined)
}

/** What stands in the way beside the signature itself. */
export function causesAround(facts: SignatureFacts, report: VerifyReport): Cause[] {
  return [...checkCauses(report), ...(isOnlyUnnamed(facts) ? [unnamedCause(facts)] : [])]
}

function missingCause(facts: SignatureFacts, found: Recovered | undefined): Cause | undefined {
  const { missing } = facts
  if (missing.length === 0 || isOnlyUnnamed(facts)) return undefined
  if (missing.length === 4) {
    return {
      code: 'unsigned',
      message:
        'there is no signature: glance and cinder take the image unchecked, nova refuses it where it verifies',
      remedy: signFirst(facts),
    }
  }
  return {
    code: 'properties-missing',
    message: `${missing.join(', ')} missing: glance takes the image as unsigned without a word, cinder and nova refuse it`,
    remedy: missing.map((name) => setProperty(facts, name, valueOf(name, facts, found))),
  }
}

/** What a missing property should be, where it can be told. */
function valueOf(
  name: keyof SignatureProperties,
  facts: SignatureFacts,
  found: Recovered | undefined,
): string {
  const known = {
    img_signature: undefined,
    img_signature_hash_method: hashOf(found),
    img_signature_key_type: typeOfCertificate(facts)?.name,
    img_signature_certificate_uuid: 'ID',
  }
  return known[name] ?? 'VALUE'
}

/** The hash that the signature was made with, if it is one of the image. */
function hashOf(found: Recovered | undefined): string | undefined {
  if (found?.signed !== 'image') return undefined
  return HASH_METHODS.find(({ node }) => node === found.hash)?.name
}

function unnamedCause(facts: SignatureFacts): Cause {
  return {
    code: 'certificate-not-named',
    message: `${CERTIFICATE_ID} is not set: as it is, glance takes the image as unsigned, cinder and nova refuse it`,
    remedy: [
      ...(facts.certificate.castellan === undefined ? storeCertificate() : []),
      setProperty(facts, CERTIFICATE_ID, 'ID'),
    ],
  }
}

/** By the form that img_signature has. */
const TEXT_CODES: Readonly<Record<keyof typeof FORM_FAULTS, CauseCode>> = {
  'python-repr': 'python-repr',
  wrapped: 'wrapped-base64',
  'url-safe': 'url-safe-base64',
  unpadded: 'unpadded-base64',
  hex: 'hex-signature',
  foreign: 'foreign-characters',
  uncanonical: 'foreign-characters',
  empty: 'not-base64',
  'not-ascii': 'not-base64',
  'not-base64': 'not-base64',
}

function textCause(facts: SignatureFacts): Cause | undefined {
  const { text } = facts
  if (text === undefined || text.form === 'canonical') return undefined
  const isTaken = text.meant !== undefined && text.decoded?.equals(text.meant) === true
  const remedy = text.meant === undefined ? resign(facts) : [setSignature(facts, text.meant)]
  const taken = isTaken ? '; the services take it so' : ''
  return { code: TEXT_CODES[text.form], message: `${FORM_FAULTS[text.form]}${taken}`, remedy }
}

/** The row whose name has the same letters and digits: `sha256` means SHA-256. */
function near<T extends { readonly name: string }>(
  table: readonly T[],
  name: string,
): T | undefined {
  return table.find((row) => bare(row.name) === bare(name))
}

function bare(name: string): string {
  return name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '')
}

function hashNameCause(facts: SignatureFacts, found: Recovered | undefined): Cause | undefined {
  const name = facts.properties.img_signature_hash_method
  if (facts.hash !== undefined || name === undefined) return undefined
  const meant = near(HASH_METHODS, name)?.name ?? hashOf(found)
  const names = HASH_METHODS.map((hash) => hash.name).join(', ')
  return {
    code: 'hash-name',
    message: `${shown(name)} is no hash method: the names are ${names}`,
    remedy: [setProperty(facts, 'img_signature_hash_method', meant ?? 'NAME')],
  }
}

function keyTypeCause(facts: SignatureFacts): Cause | undefined {
  const name = facts.properties.img_signature_key_type
  if (facts.keyType !== undefined || name === undefined) return undefined
  const isBare = near(KEY_TYPES, `ECC_${name}`)
  const meant = isBare ?? near(KEY_TYPES, name) ?? typeOfCertificate(facts)
  const message =
    isBare === undefined
      ? `${shown(name)} is no key type: the names are ${KEY_TYPES.map((type) => type.name).join(', ')}`
      : `the key type is ${isBare.name}; without ECC_, as the guides print it, nobody knows it`
  return {
    code: 'key-type-name',
    message,
    remedy: [setProperty(facts, 'img_signature_key_type', meant?.name ?? 'NAME')],
  }
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 80))
}

/** What the services do with an id that is not written as Barbican writes it. */
function idCause(facts: SignatureFacts): Cause | undefined {
  const id = facts.properties.img_signature_certificate_uuid
  const read = id === undefined ? undefined : readBarbicanId(id)
  if (id === undefined || read === undefined || (read.kind === 'id' && read.isCanonical))
    return undefined
  const message = {
    id: `the certificate id ${shown(id)} is not written as Barbican writes it; the services take it`,
    empty: 'the certificate id is empty: the services say that they cannot retrieve it',
    'not-v4': `the certificate id ${shown(id)} is no version-4 UUID: Barbican has no other ids, and the services say that it is not found`,
    'no-uuid': `the certificate id ${shown(id)} is no UUID: castellan fails on it, which the services report as an internal error`,
  }[read.kind]
  const remedy = [setProperty(facts, CERTIFICATE_ID, read.kind === 'id' ? read.id : 'ID')]
  return { code: 'certificate-id', message, remedy }
}

function certificateCause(facts: SignatureFacts): Cause | undefined {
  const { fault, castellan, isText, secretType } = facts.certificate
  if (isText) {
    return {
      code: 'certificate-as-text',
      message: 'the certificate is stored as text/plain, on which the services fail',
      remedy: storeCertificate(),
    }
  }
  if (secretType !== undefined) {
    return {
      code: 'certificate-unreadable',
      message: `the secret that should be the certificate is of type ${secretType}, which the services refuse`,
      remedy: [...storeCertificate(), setProperty(facts, CERTIFICATE_ID, 'ID')],
    }
  }
  if (facts.certificate.certificate === undefined) {
    if (fault === undefined) return undefined
    return { code: 'certificate-unreadable', message: fault, remedy: [] }
  }
  if (castellan === undefined) return undefined
  return {
    code: 'certificate-form',
    message: `the services cannot load the certificate: ${castellan}`,
    remedy: ['openssl x509 -in CERT -out cert.pem', ...storeCertificate()],
  }
}

function keyCause(facts: SignatureFacts): Cause | undefined {
  const { keyType, certificate } = facts
  const key = certificate.certificate?.publicKey
  if (keyType === undefined || key === undefined) return undefined
  const actual = typeOfCertificate(facts)
  const fitting =
    actual === undefined ? [] : [setProperty(facts, 'img_signature_key_type', actual.name)]
  const classMisfit = keyMisfit(key, keyType, PROFILES.cursive)
  if (classMisfit !== undefined) {
    return { code: 'key-type-of-another-class', message: classMisfit, remedy: fitting }
  }
  const misfit = keyMisfit(key, keyType)
  if (misfit === undefined) return droppedCurve(facts)
  const isCurve = keyType.family === 'ec'
  return {
    code: isCurve ? 'curve-of-another-key-type' : 'weak-key',
    message: `${misfit}; the services do not look at that${isCurve ? '' : ': sign again with another key'}`,
    remedy: isCurve && fitting.length > 0 ? fitting : resignWithNewKey(facts),
  }
}

function droppedCurve(facts: SignatureFacts): Cause | undefined {
  const { keyType } = facts
  if (keyType === undefined || !isBinaryCurve(keyType)) return undefined
  return {
    code: 'dropped-curve',
    message: `${keyType.name} is unknown to clouds with cryptography >= 47, and with cursive <= 0.2.3 beside it they do not start`,
    remedy: resignWithNewKey(facts),
  }
}

/** Checks of the certificate that say enough themselves. */
const CHECK_CAUSES: Readonly<Record<string, readonly [CauseCode, string]>> = {
  'certificate-dates': [
    'certificate-dates',
    'the certificate is not valid at the time of the check; only nova looks, and only with certificate validation',
  ],
  'certificate-trust': [
    'certificate-trust',
    "nobody vouches for the certificate but the image's own properties; only nova looks, and only with certificate validation",
  ],
}

function checkCauses({ checks }: VerifyReport): Cause[] {
  return checks.flatMap(({ name, result }) => {
    const known = result === 'fail' ? CHECK_CAUSES[name] : undefined
    return known === undefined ? [] : [{ code: known[0], message: known[1], remedy: [] }]
  })
}
