import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { testbedCommand } from './testbed-command.js'

declare module 'vitest' {
  interface ProvidedContext {
    /** Where the run's one OpenStack is, or will be, and the process that it must not outlive. */
    testbed: { readonly directory: string; readonly owner: number }
  }
}

/**
 * Tells all workers of a run where its OpenStack is. The first test file that asks for it starts it
 * (`sharedTestbed`), so a run that needs none starts none; the end of the run takes it down, and
 * its own guard does when the run is killed.
 */
export default function setup({ provide }: TestProject): () => Promise<void> {
  const directory = join(tmpdir(), `volseal-openstack-${randomBytes(4).toString('hex')}`)
  provide('testbed', { directory, owner: process.pid })
  return async () => {
    if (existsSync(directory)) await testbedCommand('down', directory, '--purge')
  }
}
