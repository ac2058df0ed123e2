import type { Finding } from './header-rules.js'
import type { Kdf } from './luks2-metadata.js'

/**
 * Most work that opening may cost, all keyslots together, since a wrong key is tried on each: a
 * forged header must not stop the host. cryptsetup itself chooses what takes it two seconds.
 */
const MOST_WORK = {
  /** Of one Argon2, in KiB: 1 GiB, the most that cryptsetup chooses. A host opens several at once. */
  argon2Memory: 1024 * 1024,
  argon2Threads: 4,
  /** Sum of passes × KiB: some minutes. */
  argon2Work: 256 * 1024 * 1024,
  /** Sum of PBKDF2's iterations: a minute or two. */
  iterations: 100_000_000,
  /** Of one digest, which cryptsetup makes an eighth of a second long. */
  digestIterations: 20_000_000,
}

/** What LUKS2's keyslots cost. */
export function costFindings(kdfs: readonly Kdf[]): Finding[] {
  const pbkdf2 = kdfs.filter((kdf) => kdf.type === 'pbkdf2')
  const argon2 = kdfs.filter((kdf) => kdf.type !== 'pbkdf2')
  const memory = Math.max(0, ...argon2.map((kdf) => kdf.memory))
  const threads = Math.max(0, ...argon2.map((kdf) => kdf.cpus))
  const work = sum(argon2.map((kdf) => kdf.memory * kdf.time))
  return [
    ...atMost('KiB of memory for Argon2', memory, MOST_WORK.argon2Memory),
    ...atMost('threads for Argon2', threads, MOST_WORK.argon2Threads),
    ...atMost('KiB times passes for all keyslots', work, MOST_WORK.argon2Work),
    ...iterationFindings(pbkdf2.map((kdf) => kdf.iterations)),
  ]
}

/** The same for LUKS1, which knows PBKDF2 only. */
export function iterationFindings(iterations: readonly number[]): Finding[] {
  return atMost('iterations for all keyslots', sum(iterations), MOST_WORK.iterations)
}

export function digestCostFindings(iterations: number): Finding[] {
  return atMost('iterations for a digest', iterations, MOST_WORK.digestIterations)
}

function atMost(what: string, came: number, most: number): Finding[] {
  if (came <= most) return []
  return [{ check: 'key derivation', text: `expected at most ${most} ${what}, got ${came}` }]
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
