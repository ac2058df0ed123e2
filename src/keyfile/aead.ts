import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

/**
 * AES-256-GCM, the one cipher of the key store (NIST SP 800-38D). A sealed text is the 96-bit IV,
 * the ciphertext and the 128-bit tag, in this order. The IV is random (§8.2.2): under a data key it
 * is used once, under a key-encryption key far less often than the 2^32 times that §8.3 allows.
 */

/** Length of every key, in bytes. */
export const KEY_BYTES = 32

const CIPHER = 'aes-256-gcm'
const IV_BYTES = 12
const TAG_BYTES = 16

/** Encrypts and authenticates `plain`, and authenticates `context` along with it. */
export function seal(key: Buffer, plain: Buffer, context: string): Buffer {
  const iv = randomBytes(IV_BYTES)
  const cipher = createCipheriv(CIPHER, key, iv, { authTagLength: TAG_BYTES })
  cipher.setAAD(Buffer.from(context))
  return Buffer.concat([iv, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

/**
 * The plain text, which the caller wipes; undefined when the key, the context or a single bit is
 * not the one that was sealed.
 */
export function unseal(key: Buffer, sealed: Buffer, context: string): Buffer | undefined {
  if (sealed.length < IV_BYTES + TAG_BYTES) return undefined
  const iv = sealed.subarray(0, IV_BYTES)
  const decipher = createDecipheriv(CIPHER, key, iv, { authTagLength: TAG_BYTES })
  decipher.setAAD(Buffer.from(context))
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES))
  const plain = decipher.update(sealed.subarray(IV_BYTES, -TAG_BYTES))
  try {
    decipher.final()
    return plain
  } catch {
    // Not authenticated, so nobody may see it.
    plain.fill(0)
    return undefined
  }
}

/**
 * The context of a sealed text: what it is, and all that it belongs to. A JSON array is unambiguous
 * (no two lists have the same text), and JSON.stringify escapes lone surrogates, so that no two
 * have the same bytes either.
 */
export function contextOf(purpose: string, facts: readonly unknown[]): string {
  return JSON.stringify([`volseal ${purpose}`, ...facts])
}
