import { VolsealError } from '../core/errors.js'
import type { Secret } from '../core/secret.js'

export interface PrivateKeyOptions {
  /** For an encrypted key; the caller wipes it. */
  passphrase?: Secret | undefined
  /** How errors call it. */
  name: string
}

export function noKey(
  { name }: PrivateKeyOptions,
  got: string,
  cause?: unknown,
  hint = 'PKCS#8, PKCS#1, EC and DSA keys in PEM or DER, and PKCS#12 files, can be read',
): VolsealError {
  return new VolsealError('signature-malformed', `${name}: expected a private key, got ${got}`, {
    cause,
    hint,
  })
}

/** The key is encrypted: who has a terminal may ask for its passphrase. */
export class PassphraseMissing extends VolsealError {
  constructor(name: string) {
    super('usage', `${name} is encrypted, and no passphrase was given`, {
      hint: 'give it with --passphrase-file FILE (or - for standard input), or --passphrase-fd N',
    })
    this.name = 'PassphraseMissing'
  }
}

export function encrypted({ name }: PrivateKeyOptions): VolsealError {
  return new PassphraseMissing(name)
}

export function wrongPassphrase({ name }: PrivateKeyOptions, cause?: unknown): VolsealError {
  return new VolsealError('signature-malformed', `${name}: the passphrase does not open it`, {
    cause,
  })
}
