import { generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { abortableWaits } from '../core/abortable-waits.js'
import { type KeyTypeName, keyType, RSA_MAX_BITS, RSA_MIN_BITS } from '../core/algorithms.js'
import { count } from '../core/check.js'
import { throwIfAborted, VolsealError } from '../core/errors.js'
import { Secret } from '../core/secret.js'

export const RSA_DEFAULT_BITS = 3072
const RSA_SLOW_BITS = 4097

export interface KeyPairPlan {
  readonly keyType: KeyTypeName
  /** RSA: 2048 to 8192, a multiple of 8; DSA: 2048 or 3072; 3072 when not given. */
  readonly bits?: number | undefined
}

const generate = promisify(generateKeyPair)

/** Sizes, in bits, of keys that may take many seconds: the search for primes is a matter of luck. */
const SLOW_BITS: Readonly<Record<string, readonly [least: number, most: number]>> = {
  rsa: [RSA_SLOW_BITS, RSA_MAX_BITS],
  dsa: [2048, 3072],
}

/** Whether somebody who waits for the key should be told that it takes a while. */
export function isSlowToDraw({ keyType: name, bits = RSA_DEFAULT_BITS }: KeyPairPlan): boolean {
  const [least, most] = SLOW_BITS[keyType(name).family] ?? [1, 0]
  return bits >= least && bits <= most
}

/**
 * Draws a signing key. For `RSA-PSS` it is a plain rsaEncryption key with e = 65537, as
 * `openssl genrsa` makes: an id-RSASSA-PSS key would not serve every cloud. DSA has a q of 256 bits
 * (FIPS 186-4 §4.2); its parameters, drawn anew, take some seconds. After an abort the drawing goes on
 * in a thread of Node's, and comes to nothing.
 */
export async function makeKey(plan: KeyPairPlan, signal?: AbortSignal): Promise<KeyObject> {
  throwIfAborted(signal)
  const waits = abortableWaits(signal)
  try {
    return await waits.wait(drawKey(plan))
  } finally {
    waits.end()
  }
}

async function drawKey({ keyType: name, bits }: KeyPairPlan): Promise<KeyObject> {
  const type = keyType(name)
  if (type.family === 'ec') return await makeEcKey(type.name, type.curve, bits)
  if (type.family === 'dsa') return await makeDsaKey(bits)
  const modulusLength = count(bits ?? RSA_DEFAULT_BITS, '--bits', RSA_MIN_BITS, RSA_MAX_BITS)
  const pair = await generate('rsa', {
    modulusLength: modulusLength - (modulusLength % 8),
    publicExponent: 65537,
  })
  return pair.privateKey
}

async function makeEcKey(name: string, namedCurve: string, bits?: number): Promise<KeyObject> {
  if (bits !== undefined) {
    throw new VolsealError('usage', `--bits is for RSA and DSA keys; ${name} has its size`)
  }
  return (await generate('ec', { namedCurve })).privateKey
}

async function makeDsaKey(bits = 3072): Promise<KeyObject> {
  if (!DSA_SIZES.includes(bits)) {
    throw new VolsealError('usage', `--bits: a DSA key has 2048 or 3072, got ${bits}`)
  }
  return (await generate('dsa', { modulusLength: bits, divisorLength: 256 })).privateKey
}

const DSA_SIZES: readonly number[] = [2048, 3072]

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
