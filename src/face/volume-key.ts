import { VolsealError } from '../core/errors.js'
import type { Secret } from '../core/secret.js'
import {
  DEFAULT_CIPHER,
  DEFAULT_SECTOR_SIZE,
  type FormatPlan,
  type Pbkdf,
  type Provider,
  SECTOR_SIZES,
  XTS_KEY_BITS,
} from '../encryptor/index.js'
import {
  type FetchedSecret,
  isVerbatim,
  looksRandom,
  passphraseOf,
  type SecretSource,
  type SecretType,
} from '../keyfile/index.js'

/** Where the passphrase of a volume comes from. */
export interface VolumeKeyOptions {
  /** Id of the key in the key manager. */
  readonly keyId: string
  readonly keyManager: SecretSource
  /** The caller's word that a stored key was drawn at random. */
  readonly keyIsRandom?: boolean | undefined
  /** `hex` encodes passphrase-type secrets too, as nova's native LUKS does. */
  readonly passphraseEncoding?: 'hex' | undefined
}

/** How a volume is made and opened. */
export interface VolumeOptions extends VolumeKeyOptions {
  readonly provider: Provider
  /** `fast` for a key that is known to be random, else `default`. */
  readonly pbkdf?: Pbkdf | undefined
  /** `aes-xts-plain64` when not given. */
  readonly cipher?: string | undefined
  /** Bits of the volume key; 512 for XTS, which is AES-256, when not given. */
  readonly keySize?: number | undefined
  /**
   * Bytes that are encrypted as one, for LUKS2: 512 when not given, which every image fits; 1024, 2048
   * or 4096 are less work, for volumes whose content is made on them.
   */
  readonly sectorSize?: number | undefined
}

/** The passphrase of a volume, and what is known of the key behind it. */
export interface VolumeKey {
  /** What cryptsetup and qemu are told; the receiver wipes it. */
  readonly passphrase: Secret
  /** How the key's bytes became the passphrase: lower-case hex, or as they are. */
  readonly encoding: 'hex' | 'text'
  /** Whether somebody knows that it was drawn at random; the key manager is asked when this is. */
  readonly isRandom: () => Promise<boolean>
}

/** Fetches a key and turns it into the passphrase; the key's own bytes are wiped. */
export async function fetchVolumeKey(options: VolumeKeyOptions): Promise<VolumeKey> {
  const secret = await options.keyManager.fetch(options.keyId)
  try {
    requireKeyType(options.keyId, secret.type)
    return {
      passphrase: passphraseOf(secret, { encoding: options.passphraseEncoding }),
      encoding: isVerbatim(secret, { encoding: options.passphraseEncoding }) ? 'text' : 'hex',
      isRandom: randomness(options, secret),
    }
  } finally {
    secret.payload.wipe()
  }
}

/** Anybody may have a certificate, and half the world a public key: neither keeps anything secret. */
export function requireKeyType(id: string, type: SecretType): void {
  if (VOLUME_KEY_TYPES.has(type)) return
  throw new VolsealError('usage', `the secret ${id} is no volume key: its type is ${type}`, {
    hint: 'is it the id of another secret? make a key with: volseal secret create --bits 256',
  })
}

const VOLUME_KEY_TYPES: ReadonlySet<SecretType> = new Set(['symmetric', 'passphrase', 'opaque'])

/** Somebody must know that it was drawn at random, and nothing about the bytes may speak against it. */
function randomness(
  { keyId, keyManager, keyIsRandom = false }: VolumeKeyOptions,
  secret: FetchedSecret,
): VolumeKey['isRandom'] {
  // The bytes are gone when somebody wants to know.
  const mayBe = secret.type !== 'passphrase' && looksRandom(secret.payload.bytes())
  return async () =>
    mayBe && (keyIsRandom || (await keyManager.describe(keyId)).origin === 'generated')
}

/**
 * How to format a volume for a key.
 *
 * @throws {VolsealError} `usage` when `fast` is asked for a key that is not known to be random
 */
export async function formatPlan(options: VolumeOptions, key: VolumeKey): Promise<FormatPlan> {
  const needsToKnow = options.pbkdf === undefined || options.pbkdf === 'fast'
  const isRandom = needsToKnow && (await key.isRandom())
  if (options.pbkdf === 'fast' && !isRandom) {
    throw new VolsealError('usage', '--pbkdf fast: the key is not known to be random', {
      hint: 'a passphrase needs a slow key derivation; for a key of at least 128 random bits say --key-is-random',
    })
  }
  if (options.provider === 'luks' && options.pbkdf?.startsWith('argon2') === true) {
    throw new VolsealError('usage', `--pbkdf ${options.pbkdf}: LUKS1 knows pbkdf2 only`, {
      hint: 'use --provider luks2 for Argon2',
    })
  }
  const sectorSize = options.sectorSize ?? DEFAULT_SECTOR_SIZE
  if (options.provider === 'luks' && sectorSize !== DEFAULT_SECTOR_SIZE) {
    throw new VolsealError('usage', `--sector-size ${sectorSize}: LUKS1 knows 512 only`, {
      hint: 'use --provider luks2 for larger sectors',
    })
  }
  if (!SECTOR_SIZES.includes(sectorSize)) {
    const sizes = SECTOR_SIZES.join(', ')
    throw new VolsealError('usage', `--sector-size: expected one of ${sizes}, got ${sectorSize}`)
  }
  const cipher = options.cipher ?? DEFAULT_CIPHER
  return {
    provider: options.provider,
    pbkdf: options.pbkdf ?? (isRandom ? 'fast' : 'default'),
    cipher,
    keySize: options.keySize ?? (cipher.includes('-xts-') ? XTS_KEY_BITS : undefined),
    sectorSize,
  }
}
