import { VolsealError } from '../../src/core/errors.js'

/** Code that takes bytes from anybody, and what it promises whatever they are. */
export interface Target {
  readonly name: string
  /** Inputs as they should be, to be changed; `directory` is for the programs that make them. */
  readonly seeds: (directory: string) => Promise<readonly Buffer[]> | readonly Buffer[]
  /**
   * Handles an input. It may throw a VolsealError, but no other error, and none that is `internal`.
   */
  readonly run: (bytes: Buffer) => Promise<void> | void
}

/** What an input broke. */
export interface Failure {
  /** What the same defect says of other inputs too. */
  readonly kind: string
  readonly message: string
}

/** Most processor time for one input, in microseconds: other processes are not to be measured. */
const MOST_MICROSECONDS = 1_000_000

/** Without a stack: what is broken says it all. */
class BrokenPromise extends Error {
  override readonly stack: string = this.message
}

/** States what a target promises. */
export function hold(holds: boolean, promise: string): asserts holds {
  if (!holds) throw new BrokenPromise(`expected that ${promise}`)
}

/** Runs an input; undefined when all is as it should be. */
export async function attempt(target: Target, bytes: Buffer): Promise<Failure | undefined> {
  const start = process.cpuUsage()
  try {
    await target.run(Buffer.from(bytes))
  } catch (error) {
    const failure = failureOf(error)
    if (failure !== undefined) return failure
  }
  const { user, system } = process.cpuUsage(start)
  const taken = user + system
  if (taken <= MOST_MICROSECONDS) return undefined
  return { kind: 'time', message: `expected less than a second, took ${taken / 1e6} s` }
}

function failureOf(error: unknown): Failure | undefined {
  if (error instanceof VolsealError && error.code !== 'internal') return undefined
  if (!(error instanceof Error)) return { kind: 'thrown', message: String(error) }
  const { name, message, stack = message } = error
  // The same place is the same defect, whatever a library says of it.
  const place = stack.split('\n').find((line) => line.includes('/src/'))
  if (place !== undefined) return { kind: `${name}${place}`, message: stack }
  return { kind: `${name} ${message}`.replaceAll(/\d+/g, 'N'), message: stack }
}
