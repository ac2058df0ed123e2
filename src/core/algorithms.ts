import { VolsealError } from './errors.js'

/**
 * Every fact about the hashes and key types of image signatures, in two tables. Everything below
 * gets a resolved row and compares no names again. The names are those of `cursive`
 * (signature_utils.py: HASH_METHODS, SignatureKeyType) and are exact: no trimming, no other case.
 */

export type HashName = 'SHA-224' | 'SHA-256' | 'SHA-384' | 'SHA-512'
export type KeyTypeName = KeyType['name']

export interface HashMethod {
  readonly name: HashName
  /** The digest's name in node:crypto and openssl. */
  readonly node: 'sha224' | 'sha256' | 'sha384' | 'sha512'
  /** Length of the digest in bytes. */
  readonly length: number
}

/** The curve of an ECDSA key type, by its name in node:crypto and openssl. */
interface Curves {
  readonly ECC_SECP384R1: 'secp384r1'
  readonly ECC_SECP521R1: 'secp521r1'
  readonly ECC_SECT409K1: 'sect409k1'
  readonly ECC_SECT409R1: 'sect409r1'
  readonly ECC_SECT571K1: 'sect571k1'
  readonly ECC_SECT571R1: 'sect571r1'
}

export type KeyType =
  | { readonly name: 'RSA-PSS'; readonly family: 'rsa' }
  | { readonly name: 'DSA'; readonly family: 'dsa' }
  | {
      readonly [Name in keyof Curves]: {
        readonly name: Name
        readonly family: 'ec'
        readonly curve: Curves[Name]
      }
    }[keyof Curves]

export const HASH_METHODS: readonly HashMethod[] = [
  { name: 'SHA-224', node: 'sha224', length: 28 },
  { name: 'SHA-256', node: 'sha256', length: 32 },
  { name: 'SHA-384', node: 'sha384', length: 48 },
  { name: 'SHA-512', node: 'sha512', length: 64 },
]

export const KEY_TYPES: readonly KeyType[] = [
  { name: 'RSA-PSS', family: 'rsa' },
  { name: 'DSA', family: 'dsa' },
  { name: 'ECC_SECP384R1', family: 'ec', curve: 'secp384r1' },
  { name: 'ECC_SECP521R1', family: 'ec', curve: 'secp521r1' },
  { name: 'ECC_SECT409K1', family: 'ec', curve: 'sect409k1' },
  { name: 'ECC_SECT409R1', family: 'ec', curve: 'sect409r1' },
  { name: 'ECC_SECT571K1', family: 'ec', curve: 'sect571k1' },
  { name: 'ECC_SECT571R1', family: 'ec', curve: 'sect571r1' },
]

/**
 * Curves that python-cryptography dropped in 47.0.0 (2026-04): with it, cursive up to 0.2.3 does not
 * start, and a newer one knows no such key type.
 */
export function isBinaryCurve(type: KeyType): boolean {
  return type.family === 'ec' && type.curve.startsWith('sect')
}

/** Fewest bits of an RSA key that volseal signs with, or accepts in strict verification. */
export const RSA_MIN_BITS = 2048
/** Most bits of an RSA key that OpenSSL verifies with (OPENSSL_RSA_MAX_MODULUS_BITS). */
export const RSA_USABLE_BITS = 16_384
/** Most bits of an RSA key that volseal makes. */
export const RSA_MAX_BITS = 8192
/** Fewest bits of a DSA key's p and q that volseal signs with or accepts (FIPS 186-4 §4.2). */
export const DSA_MIN_BITS = { p: 2048, q: 224 } as const

/** The hash method of that exact name. @throws {VolsealError} `signature-malformed` */
export function hashMethod(name: string): HashMethod {
  return row(HASH_METHODS, name, 'signature hash method')
}

/** The key type of that exact name. @throws {VolsealError} `signature-malformed` */
export function keyType(name: string): KeyType {
  const missingPrefix = KEY_TYPES.some((type) => type.name === `ECC_${name}`)
  const hint = missingPrefix ? `the name is ECC_${name}` : undefined
  return row(KEY_TYPES, name, 'signature key type', hint)
}

function row<T extends { readonly name: string }>(
  table: readonly T[],
  name: string,
  what: string,
  hint?: string,
): T {
  const found = table.find((entry) => entry.name === name)
  if (found !== undefined) return found
  const names = table.map((entry) => entry.name).join(', ')
  const got = JSON.stringify(name.slice(0, 80))
  throw new VolsealError(
    'signature-malformed',
    `invalid ${what}: expected one of ${names}, got ${got}`,
    {
      hint,
    },
  )
}
