import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { REPOSITORY } from '../harness/program.js'
import { isAlive } from './processes.js'

/** Usage: guard-process.js DIRECTORY OWNER_PID OWNER_START_TIME */
const [directory = '', pid, startTime = ''] = process.argv.slice(2)
const LOOK_EVERY_MS = 500

// Whoever ends a test run with all that belongs to it must not end what cleans up after it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
while (isAlive({ pid: Number(pid), startTime })) await sleep(LOOK_EVERY_MS)
// In a process that is not the test bed's, since it ends those; it waits for an `up` that is still
// at work.
const { PATH } = process.env
spawn(`${REPOSITORY}scripts/testbed`, ['down', directory, '--purge'], {
  env: { PATH },
  stdio: 'ignore',
  detached: true,
}).unref()
