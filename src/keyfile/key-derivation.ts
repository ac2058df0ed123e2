import { randomBytes, scrypt } from 'node:crypto'
import { promisify } from 'node:util'
import { count, oneOf } from '../core/check.js'
import { VolsealError } from '../core/errors.js'
import { Secret } from '../core/secret.js'
import { KEY_BYTES } from './aead.js'
import { base64Field } from './damage.js'

/** How a passphrase becomes a key: scrypt (RFC 7914) with its parameters N, r and p. */
export interface Derivation {
  readonly name: 'scrypt'
  /** N: memory and time; a power of two. */
  readonly cost: number
  /** r */
  readonly blockSize: number
  /** p */
  readonly parallelization: number
  readonly salt: Buffer
}

/** N = 2^17, r = 8, p = 1 (128 MiB, about half a second): OWASP's first choice for scrypt. */
const PARAMETERS = { name: 'scrypt', cost: 2 ** 17, blockSize: 8, parallelization: 1 } as const
const SALT_BYTES = 16

/**
 * What is taken from a store file. The upper ends keep a forged file from filling the memory
 * (128 * N * r bytes: at most 1 GiB), the lower ones are what anybody may still have chosen.
 */
const LIMITS = {
  cost: [2 ** 14, 2 ** 20],
  blockSize: [8, 8],
  parallelization: [1, 4],
  salt: [16, 64],
} as const

const derive = promisify<Buffer, Buffer, number, object, Buffer>(scrypt)

/** The parameters for a new passphrase, with a new salt. */
export function newDerivation(): Derivation {
  return { ...PARAMETERS, salt: randomBytes(SALT_BYTES) }
}

/** The key of a passphrase; the caller wipes it. */
export async function deriveKey(passphrase: Secret, derivation: Derivation): Promise<Secret> {
  const { cost, blockSize, parallelization, salt } = derivation
  // Node refuses more than 32 MiB unless told; scrypt needs 128 * N * r bytes and a little.
  const maxmem = 128 * blockSize * (cost + parallelization + 2)
  const options = { cost, blockSize, parallelization, maxmem }
  return new Secret(await derive(passphrase.bytes(), salt, KEY_BYTES, options))
}

/** The parameters as they stand in the store file. */
export function plainDerivation(derivation: Derivation): Record<string, unknown> {
  return { ...derivation, salt: derivation.salt.toString('base64') }
}

/** The parameters of a store file. @throws {VolsealError} `usage` when one is out of bounds */
export function parseDerivation(fields: Record<string, unknown>): Derivation {
  const derivation: Derivation = {
    name: oneOf(fields['name'], 'kdf name', ['scrypt']),
    cost: count(fields['cost'], 'scrypt cost', ...LIMITS.cost),
    blockSize: count(fields['blockSize'], 'scrypt block size', ...LIMITS.blockSize),
    parallelization: count(
      fields['parallelization'],
      'scrypt parallelization',
      ...LIMITS.parallelization,
    ),
    salt: base64Field(fields['salt'], 'scrypt salt'),
  }
  count(derivation.salt.length, 'length of the scrypt salt', ...LIMITS.salt)
  if (Number.isInteger(Math.log2(derivation.cost))) return derivation
  throw new VolsealError('usage', `scrypt cost: expected a power of two, got ${derivation.cost}`)
}
