import { VolsealError } from '../core/errors.js'
import type { Secret } from '../core/secret.js'
import { seal, unseal } from './aead.js'

/**
 * The key-encryption keys at hand, by id. They never leave: each use is one synchronous call that
 * fails after `close`, because a call that was under way would otherwise go on with a key that was
 * wiped to zeros, and everybody knows that one.
 */
export class Keyring {
  readonly #keys = new Map<string, Secret>()
  #closed = false

  /** Takes the key over, to be wiped by `close`. */
  add(kekId: string, key: Secret): void {
    if (this.#closed || this.#keys.has(kekId)) key.wipe()
    else this.#keys.set(kekId, key)
  }

  has(kekId: string): boolean {
    this.#requireOpen()
    return this.#keys.has(kekId)
  }

  /** Seals under a key that is there. */
  seal(kekId: string, plain: Buffer, context: string): Buffer {
    return seal(this.#key(kekId), plain, context)
  }

  /** Unseals with a key that is there; undefined when it does not fit. The caller wipes the result. */
  unseal(kekId: string, sealed: Buffer, context: string): Buffer | undefined {
    return unseal(this.#key(kekId), sealed, context)
  }

  /** Seals one key under another. */
  sealKey(kekId: string, keyId: string, context: string): Buffer {
    return seal(this.#key(kekId), this.#key(keyId), context)
  }

  /** Wipes all keys. */
  close(): void {
    this.#closed = true
    for (const key of this.#keys.values()) key.wipe()
  }

  #key(kekId: string): Buffer {
    this.#requireOpen()
    const key = this.#keys.get(kekId)
    if (key !== undefined) return key.bytes()
    throw new VolsealError('internal', `the key-encryption key ${kekId} is not at hand`)
  }

  #requireOpen(): void {
    if (this.#closed) throw new VolsealError('usage', 'the key manager is closed')
  }
}
