import { defineConfig } from 'vitest/config'
import shared from '../vitest.shared.js'

/** Tests that run inside the virtual machine: `scripts/vm run test/guest/…`. */
export default defineConfig({
  ...shared,
  test: {
    ...shared.test,
    include: ['test/guest/**/*.test.ts'],
    testTimeout: 600_000,
    hookTimeout: 600_000,
    fileParallelism: false,
    // A line for each test as it ends: a machine that hangs has said where.
    reporters: ['verbose', './test/harness/summary-reporter.ts'],
  },
})
