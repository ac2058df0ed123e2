import { generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { type KeyTypeName, keyType, RSA_MAX_BITS, RSA_MIN_BITS } from '../core/algorithms.js'
import { count } from '../core/check.js'
import { VolsealError } from '../core/errors.js'
import { Secret } from '../core/secret.js'

export const RSA_DEFAULT_BITS = 3072

export interface KeyPairPlan {
  readonly keyType: KeyTypeName
  /** RSA only: 2048 to 8192, a multiple of 8; 3072 when not given. */
  readonly bits?: number | undefined
}

const generate = promisify(generateKeyPair)

/**
 * Draws a signing key. For `RSA-PSS` it is a plain rsaEncryption key with e = 65537, as
 * `openssl genrsa` makes: an id-RSASSA-PSS key would not serve every cloud.
 */
export async function makeKey(plan: KeyPairPlan): Promise<KeyObject> {
  const type = keyType(plan.keyType)
  if (type.family === 'ec') {
    if (plan.bits !== undefined) {
      throw new VolsealError('usage', `--bits is for RSA keys; ${type.name} has its size`)
    }
    const pair = await generate('ec', { namedCurve: type.curve })
    return pair.privateKey
  }
  const bits = count(plan.bits ?? RSA_DEFAULT_BITS, '--bits', RSA_MIN_BITS, RSA_MAX_BITS)
  const pair = await generate('rsa', { modulusLength: bits - (bits % 8), publicExponent: 65537 })
  return pair.privateKey
}

/**
 * PKCS#8 PEM of a key (RFC 5958), encrypted with AES-256 (PBES2) when a passphrase is given. The
 * caller wipes the result.
 */
export function exportKey(key: KeyObject, passphrase?: Secret): Secret {
  const protection =
    passphrase === undefined ? {} : { cipher: 'aes-256-cbc', passphrase: passphrase.bytes() }
  const pem = key.export({ type: 'pkcs8', format: 'pem', ...protection })
  return new Secret(Buffer.from(pem))
}
