import type { ConfigCheck } from './config-check.js'

/** What is known of a root secret in Barbican. */
export interface RootSecretFacts {
  readonly type: string
  readonly algorithm: string | null
  readonly bitLength: number | null
  /** ISO 8601, UTC; null when it never expires. */
  readonly expiration: string | null
  /** Of the secret itself. */
  readonly payloadBytes: number
}

/** What the keys of all objects are derived from by HMAC-SHA256. */
export const ROOT_SECRET_BITS = 256
export const ROOT_SECRET_ALGORITHM = 'aes'

interface SecretRule {
  readonly name: string
  readonly expected: string
  readonly found: (facts: RootSecretFacts) => string
  readonly holds: (facts: RootSecretFacts) => boolean
  readonly source: string
}

const KMS = 'swift/common/middleware/crypto/kms_keymaster.py _get_root_secret'

/** Of all but the last two Swift says the same: "Secret with key_id … is not a symmetric key". */
const RULES: readonly SecretRule[] = [
  {
    name: 'type',
    expected: 'symmetric',
    found: ({ type }) => type,
    holds: ({ type }) => type === 'symmetric',
    source: KMS,
  },
  {
    name: 'algorithm',
    expected: 'AES',
    found: ({ algorithm }) => algorithm ?? 'none',
    holds: ({ algorithm }) => algorithm?.toLowerCase() === ROOT_SECRET_ALGORITHM,
    source: KMS,
  },
  {
    name: 'bits',
    expected: `at least ${ROOT_SECRET_BITS} bits`,
    found: ({ bitLength }) => (bitLength === null ? 'none' : `${bitLength} bits`),
    holds: ({ bitLength }) => bitLength !== null && bitLength >= ROOT_SECRET_BITS,
    source: KMS,
  },
  {
    name: 'bytes',
    expected: `at least ${ROOT_SECRET_BITS / 8} bytes, as many as its bits say`,
    found: ({ payloadBytes }) => `${payloadBytes} bytes`,
    holds: ({ bitLength, payloadBytes }) =>
      payloadBytes >= ROOT_SECRET_BITS / 8 && payloadBytes * 8 === bitLength,
    source: 'swift/common/middleware/crypto/keymaster.py KeyMaster; Swift believes the bits',
  },
  {
    name: 'expiration',
    expected: 'never',
    found: ({ expiration }) => expiration ?? 'never',
    holds: ({ expiration }) => expiration === null,
    source: 'Barbican denies an expired secret, and the proxy does not start again',
  },
]

/** Checks one root secret; `suffix` is that of its option. */
export function checkRootSecret(suffix: string, facts: RootSecretFacts): ConfigCheck[] {
  const of = suffix === '' ? 'root-secret' : `root-secret ${suffix}`
  return RULES.map(({ name, expected, found, holds, source }) => ({
    name: `${of} ${name}`,
    result: holds(facts) ? 'pass' : 'fail',
    expected,
    found: found(facts),
    source,
  }))
}
