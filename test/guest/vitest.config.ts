import { defineConfig, mergeConfig } from 'vitest/config'
import shared from '../vitest.shared.js'

/** Tests that run inside the virtual machine: `scripts/vm run test/guest/…`. */
const config = mergeConfig(
  shared,
  defineConfig({
    test: {
      include: ['test/guest/**/*.test.ts'],
      testTimeout: 600_000,
      hookTimeout: 600_000,
      fileParallelism: false,
    },
  }),
)

// A line for each test as it ends, so that a machine that hangs has said where. Merged, the shared
// reporters would stay.
config.test.reporters = ['verbose', './test/harness/summary-reporter.ts']

export default config
