import { type Certificate, readCertificate } from '../core/certificate.js'
import { VolsealError } from '../core/errors.js'
import { PROFILES, type Profile } from '../core/profiles.js'
import type { SecretSource } from '../keyfile/index.js'

/**
 * A certificate out of the key manager.
 *
 * @throws {VolsealError} `signature-malformed` when the secret is none, and all that the key manager
 * throws
 */
export async function certificateFromKeyManager(
  keyManager: SecretSource,
  id: string,
): Promise<Certificate> {
  return readCertificate(await certificateFile(keyManager, id), `the certificate ${id}`)
}

/** The same as it is kept: PEM may have more certificates behind the first one. */
export async function certificateFile(
  keyManager: SecretSource,
  id: string,
  profile: Profile = PROFILES.strict,
): Promise<Buffer> {
  const secret = await keyManager.fetch(id)
  try {
    if (secret.type !== 'certificate') throw notCertificate(id, secret.type)
    if (profile.certificate === 'castellan' && secret.contentType === 'text/plain') {
      throw storedAsText(id)
    }
    return Buffer.from(secret.payload.bytes())
  } finally {
    secret.payload.wipe()
  }
}

/** barbicanclient hands such a payload out as a `str`, on which castellan fails (TypeError). */
function storedAsText(id: string): VolsealError {
  return new VolsealError(
    'signature-malformed',
    `the certificate ${id}: expected the content type application/octet-stream, got text/plain`,
    { hint: 'store it again, as bytes; castellan cannot load a certificate that is text' },
  )
}

function notCertificate(id: string, type: string): VolsealError {
  return new VolsealError(
    'signature-malformed',
    `the secret ${id}: expected type certificate, got ${type}`,
    { hint: 'store the certificate with: volseal secret put CERT.pem --type certificate' },
  )
}
