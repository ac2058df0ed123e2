import { appendFileSync } from 'node:fs'
import type { Reporter, TestModule } from 'vitest/node'

/**
 * Prints `N passed, N failed, N skipped` as the last line, which continuous integration reads, and
 * names every skipped test. With VOLSEAL_COUNTS=FILE the three numbers are added to that file too,
 * so that several runs can be summed up.
 */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const counts = { passed: 0, failed: 0, skipped: 0 }
    for (const module of modules) {
      // A file that fails to load has no tests, and has failed all the same.
      counts.failed += module.errors().length
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (state === 'passed' || state === 'failed') counts[state] += 1
        else {
          counts.skipped += 1
          console.log(`skipped: ${test.fullName}`)
        }
      }
    }
    const { passed, failed, skipped } = counts
    const file = process.env['VOLSEAL_COUNTS']
    if (file !== undefined) appendFileSync(file, `${passed} ${failed} ${skipped}\n`)
    console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
  }
}
