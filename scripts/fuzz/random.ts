import { createHash } from 'node:crypto'

/** A deterministic source of numbers: the same words give the same numbers on every machine. */
export interface Random {
  /** A whole number from 0 to `limit` - 1; 0 when there is none. */
  below(limit: number): number
  /** One of the items. */
  pick<T>(items: readonly [T, ...T[]]): T
}

/** sfc32 (C. Doty-Humphrey, PractRand), seeded by a hash of the words. */
export function makeRandom(...words: readonly (string | number)[]): Random {
  const hash = createHash('sha256').update(JSON.stringify(words)).digest()
  const word = (index: number): number => hash.readInt32LE(4 * index)
  let [a, b, c, counter] = [word(0), word(1), word(2), word(3)]
  const next = (): number => {
    const sum = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + sum) | 0
    return (sum >>> 0) / 2 ** 32
  }
  const below = (limit: number): number => Math.floor(next() * limit)
  return {
    below,
    pick: (items) => items[below(items.length)] ?? items[0],
  }
}
