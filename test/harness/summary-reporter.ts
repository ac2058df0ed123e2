import { appendFileSync } from 'node:fs'
import type { Reporter, TestModule } from 'vitest/node'

/**
 * Prints `N passed, N failed, N skipped` as the last line, which continuous integration reads, and
 * names every skipped test. With VOLSEAL_COUNTS=FILE the three numbers are added to that file too,
 * and a line `# NAME` for each failure, so that several runs can be summed up.
 */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const counts = { passed: 0, failed: 0, skipped: 0 }
    const failures: string[] = []
    for (const module of modules) {
      // A file that fails to load has no tests, and has failed all the same.
      counts.failed += module.errors().length
      failures.push(...module.errors().map(() => module.relativeModuleId))
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        counts[state === 'pending' ? 'skipped' : state] += 1
        if (state === 'failed') failures.push(`${module.relativeModuleId} > ${test.fullName}`)
        else if (state !== 'passed') console.log(`skipped: ${test.fullName}`)
      }
    }
    const { passed, failed, skipped } = counts
    const file = process.env['VOLSEAL_COUNTS']
    if (file !== undefined) {
      const names = failures.map((name) => `# ${name}\n`)
      appendFileSync(file, `${passed} ${failed} ${skipped}\n${names.join('')}`)
    }
    console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
  }
}
