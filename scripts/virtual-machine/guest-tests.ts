import { relative, resolve } from 'node:path'
import { Machine, type MachineOptions } from './machine.js'
import { REPOSITORY } from './paths.js'

export interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  /** The names of those that failed. */
  readonly failures: readonly string[]
}

const PROJECT = '/opt/volseal'
const COUNTS = '/run/counts'
/** A machine that does not end by then hangs. */
const THIRTY_MINUTES = 1_800_000

/**
 * Runs test files inside a machine, with what they print on our standard output. A machine that
 * panics, hangs or ends without the test runner's counts is one failed test more, never a pass.
 */
export async function runGuestTests(
  files: readonly string[],
  options: MachineOptions,
): Promise<Counts> {
  try {
    await using machine = await Machine.boot(options)
    const paths = files.map((file) => relative(REPOSITORY, resolve(file)))
    const args = ['run', '--config', 'test/guest/vitest.config.ts', ...paths]
    const { exitCode } = await machine.run('node', ['node_modules/vitest/vitest.mjs', ...args], {
      cwd: PROJECT,
      env: { VOLSEAL_COUNTS: COUNTS, VOLSEAL_LONG: process.env['VOLSEAL_LONG'] ?? '' },
      timeoutMs: THIRTY_MINUTES,
      onOutput: (stream, piece) => process[stream].write(piece),
    })
    const { stdout } = await machine.run('cat', [COUNTS])
    await machine.stop()
    return counted(stdout, exitCode)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    console.error(message)
    return { passed: 0, failed: 1, skipped: 0, failures: [`tests in the machine: ${message}`] }
  }
}

function counted(text: string, exitCode: number | null): Counts {
  const [, passed = '', failed = '', skipped = ''] = /^(\d+) (\d+) (\d+)\n/.exec(text) ?? []
  if (passed === '') throw new Error('the tests in the machine ended without saying how')
  const failures = [...text.matchAll(/^# (.*)$/gm)].map(([, name = '']) => name)
  const counts = { passed: Number(passed), skipped: Number(skipped) }
  if (exitCode === 0 || Number(failed) > 0) return { ...counts, failed: Number(failed), failures }
  // vitest also fails for what belongs to no test, such as a rejection that nobody awaits.
  return { ...counts, failed: 1, failures: [`vitest in the machine: exit code ${exitCode}`] }
}
