import type { Secret } from '../core/secret.js'

/** Barbican's secret types (API guide, "Secret Types"). */
export type SecretType =
  | 'symmetric'
  | 'public'
  | 'private'
  | 'passphrase'
  | 'certificate'
  | 'opaque'

/**
 * Where a secret's bytes come from: drawn at random by the key manager, or handed in. Only of
 * generated ones is it known that they need no slow key derivation.
 */
export type SecretOrigin = 'generated' | 'stored'

/** User metadata: keys of `[a-z0-9_-]`, as Barbican keeps them. */
export type SecretMetadata = Readonly<Record<string, string>>

/** All that is known of a secret but its bytes; safe to print. */
export interface SecretInfo {
  /** Canonical version-4 UUID in lower case. */
  readonly id: string
  readonly type: SecretType
  readonly name: string | null
  /** Such as `aes`; null when it does not apply. */
  readonly algorithm: string | null
  /** Length of the key in bits; null when it does not apply. */
  readonly bitLength: number | null
  /** ISO 8601, UTC. */
  readonly created: string
  /** `application/octet-stream` or `text/plain`. */
  readonly contentType: string
  readonly metadata: SecretMetadata
  readonly origin: SecretOrigin
}

/** A secret with its bytes; the receiver wipes `payload`. */
export interface StoredSecret extends SecretInfo {
  readonly payload: Secret
}

/** A secret's bytes and what they are: all that using it takes. The receiver wipes `payload`. */
export type FetchedSecret = Omit<StoredSecret, 'metadata' | 'origin'>

/** What is handed in to be kept. The key manager copies `payload`; the caller wipes its own. */
export interface NewSecret {
  readonly type: SecretType
  readonly payload: Secret
  readonly name?: string | undefined
  readonly algorithm?: string | undefined
  readonly bitLength?: number | undefined
  readonly contentType?: string | undefined
  readonly metadata?: SecretMetadata | undefined
}

/** A symmetric key to be drawn at random. */
export interface NewKey {
  readonly algorithm: string
  /** A multiple of 8, 64 to 512 (Barbican's own generators stop there). */
  readonly bitLength: number
  readonly name?: string | undefined
  readonly metadata?: SecretMetadata | undefined
}

/** Which secrets `list` returns: all fields given must match exactly. */
export interface SecretFilter {
  readonly type?: SecretType | undefined
  readonly name?: string | undefined
}

/**
 * What those who only use secrets need of a key manager.
 *
 * @throws {VolsealError} as `KeyManager` does
 */
export interface SecretSource {
  /** The bytes, and what they are: two requests to a Barbican. */
  fetch(id: string): Promise<FetchedSecret>
  /** What is known of a secret, without its bytes leaving the key manager. */
  describe(id: string): Promise<SecretInfo>
}

/**
 * A key manager, with the vocabulary of Barbican and the methods of castellan's `KeyManager`.
 * Every implementation passes `test/contract/key-manager.ts`.
 *
 * All methods throw `VolsealError`: `not-found` for an id that is not there, `usage` for an id that
 * is no version-4 UUID or a value that cannot be stored, `forbidden`, `unavailable`, `busy`,
 * `keystore-damaged`, `io`.
 */
export interface KeyManager extends SecretSource {
  /** Draws a key at random, keeps it, and returns its id. */
  createKey(key: NewKey): Promise<string>
  /** Keeps a secret and returns its id; once returned, it survives a power cut. */
  store(secret: NewSecret): Promise<string>
  /** The bytes, and all that is known of them. */
  get(id: string): Promise<StoredSecret>
  /** Oldest first. */
  list(filter?: SecretFilter): Promise<SecretInfo[]>
  delete(id: string): Promise<void>
  /** What is registered as needing a secret, such as `image 1f40…` (Barbican's consumers). */
  users(id: string): Promise<readonly string[]>
  /** Replaces the user metadata. */
  setMetadata(id: string, metadata: SecretMetadata): Promise<void>
}
