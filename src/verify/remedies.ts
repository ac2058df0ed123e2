import { KEY_TYPES, type KeyType } from '../core/algorithms.js'
import { keyMisfit } from '../core/certificate.js'
import type { SignatureProperties } from '../core/image-signature.js'
import type { SignatureFacts } from './explanation.js'

/** Command lines that mend an image's signature; words in capitals are for the reader to fill in. */
export type Command = string

export function setProperty(
  { imageId }: SignatureFacts,
  name: keyof SignatureProperties,
  value: string,
): Command {
  return `openstack image set --property ${name}=${quoted(value)} ${quoted(imageId ?? 'IMAGE')}`
}

/** Sets img_signature to the right text of the same signature. */
export function setSignature(facts: SignatureFacts, signature: Buffer): Command {
  return setProperty(facts, 'img_signature', signature.toString('base64'))
}

/** Signs the image anew, with openssl and with the salt that every cloud accepts. */
export function resign(facts: SignatureFacts): Command[] {
  const { family } = typeOfCertificate(facts) ?? facts.keyType ?? { family: 'rsa' }
  const options =
    family === 'rsa' ? '-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:max ' : ''
  const file = fileOf(facts)
  const out = quoted(`${file}.signature`)
  return [
    `openssl dgst -${facts.hash?.node ?? 'sha256'} -sign KEY ${options}-out ${out} ${quoted(file)}`,
    `openstack image set --property img_signature="$(base64 -w 0 ${out})" ${quoted(facts.imageId ?? 'IMAGE')}`,
  ]
}

/** Signs the image anew with a key that everybody accepts: its own family's where that has one. */
export function resignWithNewKey(facts: SignatureFacts): Command[] {
  const type = facts.keyType?.family === 'rsa' ? 'RSA-PSS' : 'ECC_SECP384R1'
  const file = fileOf(facts)
  return [
    `volseal keypair create --type ${type} --out key.pem`,
    'volseal cert create --key key.pem --subject CN=signer --out cert.pem',
    ...storeCertificate(),
    `volseal sign ${quoted(file)} --key key.pem --cert-id ID`,
  ]
}

/** Signs an image that has no signature. */
export function signFirst(facts: SignatureFacts): Command[] {
  return [`volseal sign ${quoted(fileOf(facts))} --key KEY --cert-id ID`]
}

function fileOf({ image }: SignatureFacts): string {
  return image === 'standard input' ? 'IMAGE' : image
}

/** The key type that the certificate's key is of; undefined when it is of none. */
export function typeOfCertificate({ certificate }: SignatureFacts): KeyType | undefined {
  const key = certificate.certificate?.publicKey
  return KEY_TYPES.find((type) => key !== undefined && keyMisfit(key, type) === undefined)
}

/** Stores a certificate as the services can load it: PEM, as bytes. */
export function storeCertificate(): Command[] {
  return [
    'openstack secret store --secret-type certificate --payload-content-type application/octet-stream --payload-content-encoding base64 --payload "$(base64 -w 0 cert.pem)"',
  ]
}

/** A word of a shell command line. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`
}
