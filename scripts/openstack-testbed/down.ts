import { existsSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
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

/** Ends whatever work on a test bed has started and starts, until that work has come to an end. */
export async function endWhile(directory: string, work: Promise<unknown>): Promise<void> {
  const settled = work.then(
    () => true,
    () => true,
  )
  do await endTestbed(directory, 0)
  while (!(await Promise.race([settled, sleep(20, false)])))
  await endTestbed(directory, 0)
}

/** What `Promise.all` gives, but it fails only when nothing of the work goes on any more. */
export async function allOrNone<T>(directory: string, work: readonly Promise<T>[]): Promise<T[]> {
  try {
    return await Promise.all(work)
  } catch (error) {
    await endWhile(directory, Promise.allSettled(work))
    throw error
  }
}

/** Ends it and removes the directory, which must have been a test bed's. */
export async function removeTestbed(directory: string): Promise<void> {
  await endTestbed(directory, 0)
  if (!existsSync(directory) || readSettings(directory) === undefined) return
  rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
}
