import { isUtf8 } from 'node:buffer'
import type { Secret } from '../core/secret.js'
import type { StoredSecret } from './key-manager.js'

/** Which rule `passphraseOf` goes by. */
export interface PassphraseOptions {
  /**
   * `hex` gives hex for every type. That is the rule of nova's native LUKS, of cinder, and of
   * os-brick before 6.10.0.
   */
  readonly encoding?: 'hex' | undefined
}

/**
 * The passphrase that cryptsetup gets for a secret: its bytes as lower-case hex, or, of type
 * `passphrase`, as they are (os_brick/encryptors/cryptsetup.py, `_get_passphrase_from_secret`). The
 * caller wipes it, as it does the secret.
 */
export function passphraseOf(
  secret: Pick<StoredSecret, 'type' | 'payload'>,
  options: PassphraseOptions = {},
): Secret {
  return isVerbatim(secret, options) ? secret.payload.copy() : secret.payload.hex()
}

/** Whether a secret's bytes are the passphrase as they are, not in hex. */
export function isVerbatim(
  secret: Pick<StoredSecret, 'type'>,
  options: PassphraseOptions = {},
): boolean {
  return secret.type === 'passphrase' && options.encoding !== 'hex'
}

/** Fewest bytes of a key that needs no slow derivation: 128 bits (NIST SP 800-57 part 1, 5.6.1). */
const RANDOM_MIN_BYTES = 16

/** Share of printable bytes from which on it is text; of random bytes, on average 38 % are. */
const TEXT_SHARE = 7 / 8

/**
 * Whether key bytes look drawn at random, so that the slow derivation of LUKS (PBKDF2, Argon2)
 * can be left out. It makes guessing expensive; 128 random bits cannot be guessed anyway, while of
 * a stored secret nobody knows where it comes from: somebody may have typed it.
 *
 * Judged are the payload's bytes, not the hex that cryptsetup gets. True needs all of:
 *
 * - 128 bits or more;
 * - no text: neither UTF-8 without control characters, nor mostly printable ASCII (a passphrase in
 *   an old 8-bit encoding; also hex or base64 of a key, whose length alone says nothing);
 * - a variety of values, and of differences between neighbours: at least half as many as there can
 *   be. Zeros or a short word repeated have fewer values, 00 01 02 … has one difference.
 *
 * The errors are not alike. A random key that is taken for a typed one (fewer than one in
 * a thousand of 16 bytes, none in practice of 32) costs a second at each opening. The other way
 * round a weak key could be guessed; no look at the bytes excludes that, so where it matters the
 * origin must be known (`SecretInfo.origin`).
 */
export function looksRandom(payload: Uint8Array): boolean {
  if (payload.length < RANDOM_MIN_BYTES) return false
  if (isText(payload)) return false
  const enough = Math.min(payload.length, 256) / 2
  return countDistinct(payload, 0) >= enough && countDistinct(payload, 1) >= enough
}

/** How many values the bytes have (`lag` 0), or the steps from one to the next (1, modulo 256). */
function countDistinct(payload: Uint8Array, lag: 0 | 1): number {
  // A table and not a copy of the bytes: nobody would wipe that.
  const seen = new Uint8Array(256)
  for (const [index, byte] of payload.entries()) {
    seen[(byte - lag * (payload[index - 1] ?? 0)) & 0xff] = 1
  }
  return seen.reduce((sum, flag) => sum + flag, 0)
}

function isText(payload: Uint8Array): boolean {
  const printable = payload.reduce((sum, byte) => sum + Number(isPrintable(byte)), 0)
  if (printable >= payload.length * TEXT_SHARE) return true
  return isUtf8(payload) && !payload.some(isControl)
}

/** Printable ASCII, tab and the line ends. */
function isPrintable(byte: number): boolean {
  return (byte >= 0x20 && byte <= 0x7e) || byte === 0x09 || byte === 0x0a || byte === 0x0d
}

function isControl(byte: number): boolean {
  return !isPrintable(byte) && byte < 0x80
}
