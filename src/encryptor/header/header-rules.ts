/**
 * What a header may say, as tables. A LUKS header is not authenticated: who can write to the storage
 * can write anything into it, and cryptsetup does what it says. So what is not listed is refused.
 */

/** Why a header is refused. */
export interface Finding {
  readonly check: HeaderCheck
  /** What was expected and what came. */
  readonly text: string
}

export type HeaderCheck =
  | 'provider'
  | 'cipher'
  | 'key size'
  | 'segment type'
  | 'segment cipher'
  | 'segment place'
  | 'sector size'
  | 'iv offset'
  | 'integrity'
  | 'keyslots'
  | 'keyslot cipher'
  | 'keyslot area'
  | 'key derivation'
  | 'stripes'
  | 'hash'
  | 'digest'
  | 'requirements'
  | 'tokens'
  | 'uuid'

/** Bits of one key of the block ciphers. */
const BLOCK_CIPHERS: Readonly<Record<string, readonly number[]>> = {
  aes: [128, 192, 256],
  camellia: [128, 192, 256],
  serpent: [128, 192, 256],
  twofish: [128, 192, 256],
}

/** How many such keys a mode takes. */
const MODES: Readonly<Record<string, number>> = {
  'xts-plain64': 2,
  'xts-plain': 2,
  'cbc-essiv:sha256': 1,
  'cbc-plain64': 1,
  'cbc-plain': 1,
}

/** Ciphers that are not a block cipher in a mode. */
const OTHER_CIPHERS: Readonly<Record<string, readonly number[]>> = {
  'xchacha12,aes-adiantum-plain64': [256],
  'xchacha20,aes-adiantum-plain64': [256],
}

/** Every cipher that encrypts by itself, with the sizes of its key in bits. */
export const CIPHERS: ReadonlyMap<string, readonly number[]> = new Map([
  ...Object.entries(BLOCK_CIPHERS).flatMap(([cipher, sizes]) =>
    Object.entries(MODES).map(
      ([mode, keys]) => [`${cipher}-${mode}`, sizes.map((size) => size * keys)] as const,
    ),
  ),
  ...Object.entries(OTHER_CIPHERS),
])

/**
 * With integrity (dm-integrity beneath dm-crypt): a keyed hash beside any of the ciphers above, whose
 * key is behind the cipher's, or one of the authenticated ciphers, whose IVs are random.
 */
const KEYED_HASHES: Readonly<Record<string, number>> = { 'hmac(sha256)': 256, 'hmac(sha512)': 512 }

const AUTHENTICATED: Readonly<Record<string, ReadonlyMap<string, readonly number[]>>> = {
  aead: new Map([
    ['aes-gcm-random', [128, 192, 256]],
    ['aegis128-random', [128]],
  ]),
  poly1305: new Map([['chacha20-random', [256]]]),
}

/** Sizes that the key may have in bits; undefined for a cipher that is not allowed. */
export function keySizes(
  cipher: string,
  integrity: string | undefined,
): readonly number[] | undefined {
  if (integrity === undefined) return CIPHERS.get(cipher)
  const hashKey = Object.hasOwn(KEYED_HASHES, integrity) ? KEYED_HASHES[integrity] : undefined
  if (hashKey !== undefined) return CIPHERS.get(cipher)?.map((size) => size + hashKey)
  return Object.hasOwn(AUTHENTICATED, integrity) ? AUTHENTICATED[integrity]?.get(cipher) : undefined
}

/** Hashes of key derivations, digests and stripes. */
export const HASHES: ReadonlySet<string> = new Set([
  'sha1',
  'sha224',
  'sha256',
  'sha384',
  'sha512',
  'ripemd160',
  'whirlpool',
  'sha3-224',
  'sha3-256',
  'sha3-384',
  'sha3-512',
  'blake2b-512',
  'blake2s-256',
])

export const SECTOR_SIZES: readonly number[] = [512, 1024, 2048, 4096]

/** The only number of stripes that was ever written (LUKS_STRIPES of cryptsetup). */
export const STRIPES = 4000

/**
 * What a header may require of the program that opens it (config.requirements.mandatory): these
 * three say that a reencryption is in progress.
 */
export const REENCRYPTIONS: readonly string[] = [
  'online-reencrypt',
  'online-reencrypt-v2',
  'online-reencrypt-v3',
]

const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/

/** It becomes a part of the mapping's uuid, and of names that udev makes. */
export function uuidFindings(uuid: string): Finding[] {
  if (UUID.test(uuid)) return []
  return [{ check: 'uuid', text: `expected a uuid in lower case, got ${quoted(uuid)}` }]
}

export function hashFindings(hash: string, name: string): Finding[] {
  if (HASHES.has(hash)) return []
  return [{ check: 'hash', text: `${name}: expected a hash such as sha256, got ${quoted(hash)}` }]
}

/** Whether a key of so many bits is one of the cipher; `check` names whose cipher it is. */
export function cipherFindings(
  check: 'segment cipher' | 'keyslot cipher',
  name: string,
  { cipher, keySize, integrity }: { cipher: string; keySize?: number; integrity?: string },
): Finding[] {
  const sizes = keySizes(cipher, integrity)
  if (sizes === undefined) {
    const beside = integrity === undefined ? '' : ` with the integrity ${quoted(integrity)}`
    const text = `${name}: expected an allowed cipher such as aes-xts-plain64, got ${quoted(cipher)}${beside}`
    return [{ check, text }]
  }
  if (keySize === undefined || sizes.includes(keySize)) return []
  const text = `${name}: expected a key of ${sizes.join(' or ')} bits for ${cipher}, got ${keySize}`
  return [{ check: 'key size', text }]
}

/** Text out of a header, for a message: short, and without control characters. */
export function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 60)).replaceAll(/[^\x20-\x7e]/g, '?')
}
