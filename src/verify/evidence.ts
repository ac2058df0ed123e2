import {
  createHash,
  createVerify,
  type Hash,
  type KeyObject,
  type Verify,
  verify,
} from 'node:crypto'
import { HASH_METHODS, type HashMethod, type HashName } from '../core/algorithms.js'
import { readDsaSignature } from '../core/dsa-signature.js'

/**
 * What a pass over the image brings to light besides the verdict: its digests, and which hash a DSA
 * or ECDSA signature fits. Verifying gives that by the named hash; `EvidenceCollector`, in the same
 * pass, by every one. It costs several hashes of the image, so it is only done when an explanation is
 * asked for.
 */
export interface Evidence {
  /** Bytes of the image. */
  readonly size: number
  readonly digests: ReadonlyMap<HashName, Buffer>
  /** Whether a DSA or ECDSA signature, in either form, is one of the image by that hash. */
  fitsImage(signature: Buffer, hash: HashMethod): boolean
}

/** Whether the image was hashed by all that a signature could have been made with. */
export function isWhole({ digests }: Evidence): boolean {
  return digests.size === HASH_METHODS.length
}

interface Trial {
  readonly signature: Buffer
  readonly hash: HashMethod
  readonly state: Verify
}

export class EvidenceCollector {
  #size = 0
  readonly #hashes: readonly (readonly [HashName, Hash])[]
  readonly #trials: readonly Trial[]
  readonly #key: KeyObject | undefined

  /** @param signatures DSA and ECDSA signatures that are to be tried with every hash */
  constructor(key: KeyObject | undefined, signatures: readonly Buffer[]) {
    this.#key = key
    this.#hashes = HASH_METHODS.map(({ name, node }) => [name, createHash(node)])
    this.#trials = isDsa(key) ? signatures.flatMap(trialsOf) : []
  }

  update(piece: Buffer): void {
    this.#size += piece.length
    for (const [, hash] of this.#hashes) hash.update(piece)
    for (const { state } of this.#trials) state.update(piece)
  }

  finish(): Evidence {
    const fitting = this.#trials.filter((trial) => fits(trial, this.#key))
    return {
      size: this.#size,
      digests: new Map(this.#hashes.map(([name, hash]) => [name, hash.digest()])),
      fitsImage: (signature, hash) =>
        fitting.some((trial) => trial.hash === hash && trial.signature.equals(signature)),
    }
  }
}

function isDsa(key: KeyObject | undefined): boolean {
  return key?.asymmetricKeyType === 'ec' || key?.asymmetricKeyType === 'dsa'
}

function trialsOf(signature: Buffer): Trial[] {
  return HASH_METHODS.map((hash) => ({ signature, hash, state: createVerify(hash.node) }))
}

function fits({ signature, state }: Trial, key: KeyObject | undefined): boolean {
  const read = readDsaSignature(signature)
  if (read === undefined || key === undefined) return false
  return quietly(() => state.verify(key, read.der))
}

/** Whether a DSA or ECDSA signature is one of these few bytes. */
export function signsBytes(
  bytes: Buffer,
  { signature, key, hash }: { signature: Buffer; key: KeyObject; hash: HashMethod },
): boolean {
  const read = readDsaSignature(signature)
  return read !== undefined && quietly(() => verify(hash.node, bytes, key, read.der))
}

/** What OpenSSL cannot even take for a signature is none. */
function quietly(check: () => boolean): boolean {
  try {
    return check()
  } catch {
    return false
  }
}
