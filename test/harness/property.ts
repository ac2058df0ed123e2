import fc from 'fast-check'
import { it } from 'vitest'

/** Property tests: fast-check in a vitest test, without the 5 s that its own binding takes to load. */

type Arbitraries<Values extends unknown[]> = { [Key in keyof Values]: fc.Arbitrary<Values[Key]> }

/**
 * The normal run draws the same values every time, so that it fails for a change and not by chance;
 * the long run (VOLSEAL_LONG=1) draws new ones.
 */
const SEED = process.env['VOLSEAL_LONG'] === '1' ? {} : { seed: 20261121 }

/** `prop([arbitraries])(name, check)`: the check holds for whatever is drawn. */
export function prop<Values extends [unknown, ...unknown[]]>(
  arbitraries: Arbitraries<Values>,
  parameters: fc.Parameters<Values> = {},
): (name: string, check: (...values: Values) => Promise<void> | void) => void {
  return (name, check) => {
    it(name, async () => {
      const property = fc.asyncProperty<Values>(...arbitraries, async (...values) => {
        await check(...values)
      })
      await fc.assert(property, { ...SEED, ...parameters })
    })
  }
}

export { fc }
