import fc from 'fast-check'
import { it } from 'vitest'

/** Property tests: fast-check in a vitest test, without the 5 s that its own binding takes to load. */

type Arbitraries<Values extends unknown[]> = { [Key in keyof Values]: fc.Arbitrary<Values[Key]> }

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
      await fc.assert(property, parameters)
    })
  }
}

export { fc }
