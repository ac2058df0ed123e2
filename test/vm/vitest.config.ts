import { defineConfig, mergeConfig } from 'vitest/config'
import shared from '../vitest.shared.js'

/** Tests on this machine that drive a virtual one: `scripts/vm` says more. */
export default mergeConfig(
  shared,
  defineConfig({
    test: {
      include: ['test/vm/**/*.test.ts'],
      globalSetup: './test/vm/build-machine.ts',
      // Everything inside is emulated, several times slower than here.
      testTimeout: 600_000,
      hookTimeout: 600_000,
      maxWorkers: 2,
    },
  }),
)
