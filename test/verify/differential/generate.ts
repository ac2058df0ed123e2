import { makeRandom } from '../../../scripts/fuzz/random.js'
import type { Case, Signer } from './case.js'
import { CHANGES, type Change, type Draw, signatureOf } from './changes.js'

const ID = '2f6f4a2c-9e6f-4b71-8d0b-5b1f1b7a1c11'

/** How many changes a case gets: few, so that there are images that are accepted. */
const HOW_MANY = [0, 0, 0, 1, 1, 1, 1, 2, 2, 3] as const

/**
 * Cases of one seed. The first have one change each, so that every one is tried alone; the rest
 * have none to three at random. Each case is drawn by itself: the same seed and number give the
 * same one, keys and salts apart.
 */
export function generateCases(
  signers: readonly [Signer, ...Signer[]],
  seed: number,
  count: number,
): Case[] {
  return Array.from({ length: count }, (_, index) => {
    const random = makeRandom('differential', seed, index)
    const signer = random.pick(signers)
    return generate({ ...random, signers, signer }, CHANGES[index])
  })
}

function generate(draw: Draw, only: Change | undefined): Case {
  const signed = signedCase(draw)
  const drawn = Array.from(
    { length: draw.pick(HOW_MANY) },
    () => CHANGES[draw.below(CHANGES.length)],
  )
  const changes = only === undefined ? drawn : [only]
  return changes.reduce<Case>((made, change) => {
    if (change === undefined) return made
    return { ...made, ...change.make(made, draw), name: `${made.name}, ${change.name}` }
  }, signed)
}

function signedCase({ signer, below }: Draw): Case {
  const hash = signer.hashes[below(signer.hashes.length)] ?? 'SHA-256'
  const keyType = signer.keyTypes[below(signer.keyTypes.length)] ?? ''
  const image = Buffer.from(Array.from({ length: below(4) * below(700) + 1 }, () => below(256)))
  return {
    name: `${signer.name} ${hash} ${keyType}`,
    signature: signatureOf(signer, hash, image),
    hash,
    keyType,
    id: ID,
    secret: {
      status: 200,
      secretType: 'certificate',
      contentType: 'application/octet-stream',
      payload: signer.certificate,
    },
    image,
  }
}
