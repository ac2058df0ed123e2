import type { TypeEncryption } from '../face/volume-types.js'

/** A spec's lines, as all commands show them. */
export function describeSpec({
  provider,
  cipher,
  keySize,
  controlLocation,
}: TypeEncryption): [string, string][] {
  return [
    ['provider', provider],
    ['cipher', cipher ?? 'none'],
    ['key size', keySize === null ? 'none' : `${keySize} bits`],
    ['control location', controlLocation],
  ]
}
