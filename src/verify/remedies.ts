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
  const { image, hash, keyType } = facts
  const options =
    keyType === undefined || keyType.family === 'rsa'
      ? '-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:max '
      : ''
  const file = image === '-' || image === 'standard input' ? 'IMAGE' : image
  const out = quoted(`${file}.signature`)
  return [
    `openssl dgst -${hash?.node ?? 'sha256'} -sign KEY ${options}-out ${out} ${quoted(file)}`,
    `openstack image set --property img_signature="$(base64 -w 0 ${out})" ${quoted(facts.imageId ?? 'IMAGE')}`,
  ]
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
