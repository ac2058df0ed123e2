import { fileURLToPath } from 'node:url'
import { outputOf } from './program.js'

/** scripts/testbed. */
export const TESTBED: string = fileURLToPath(new URL('../../scripts/testbed', import.meta.url))

/** Runs scripts/testbed, which must succeed. */
export async function testbedCommand(...args: readonly string[]): Promise<string> {
  return await outputOf(TESTBED, args)
}
