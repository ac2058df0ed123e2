import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

/**
 * Tests name the sources and run what `npm run build` made of them, because that is what users get;
 * worker threads and the command are only there in compiled form anyway.
 */
const dist = fileURLToPath(new URL('../dist/', import.meta.url))

/** What all runs of tests have in common: on this machine, in a virtual one, and driving one. */
export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: ['default', './test/harness/summary-reporter.ts'],
  },
  resolve: {
    alias: [{ find: /^(?:\.\.\/)+src\/(.*)$/, replacement: `${dist}$1` }],
  },
})
