import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { TestbedFailure } from './failure.js'
import { bedEnvironment, startTimeOf } from './processes.js'

/**
 * A process that removes the test bed when its owner ends, however that ends: a test run that is
 * killed cannot take down what it has started.
 */
export function startGuard(directory: string, owner: number): void {
  const startTime = startTimeOf(owner)
  if (startTime === undefined) {
    throw new TestbedFailure(`--owner ${owner}: there is no such process`)
  }
  const file = fileURLToPath(new URL('./guard-process.js', import.meta.url))
  spawn(process.execPath, [file, directory, `${owner}`, startTime], {
    env: bedEnvironment(directory, 'guard', { PATH: process.env['PATH'] }),
    stdio: 'ignore',
    detached: true,
  }).unref()
}
