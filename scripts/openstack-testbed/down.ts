import { existsSync, rmSync } from 'node:fs'
import { cloudsFile, testbedFile } from './places.js'
import { bedProcesses, endProcesses } from './processes.js'
import { readSettings } from './settings.js'

const GRACE_MS = 5000

/** Ends all that runs for a test bed. Its data stays, and `up` finds it again. */
export async function endTestbed(directory: string, graceMs: number = GRACE_MS): Promise<void> {
  rmSync(testbedFile(directory), { force: true })
  rmSync(cloudsFile(directory), { force: true })
  // Until there is none: one that is just being started does not show its environment yet.
  for (let processes = bedProcesses(directory); processes.length > 0; ) {
    await endProcesses(processes, graceMs)
    processes = bedProcesses(directory)
  }
}

/** Ends it and removes the directory, which must have been a test bed's. */
export async function removeTestbed(directory: string): Promise<void> {
  await endTestbed(directory, 0)
  if (!existsSync(directory) || readSettings(directory) === undefined) return
  rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
}
