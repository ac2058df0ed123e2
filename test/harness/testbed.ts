import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, inject } from 'vitest'
import type { Testbed } from '../../scripts/openstack-testbed/testbed.js'
import { testbedCommand } from './testbed-command.js'

export type {
  ServiceName as ServiceUrl,
  Testbed,
  TestbedUser,
} from '../../scripts/openstack-testbed/testbed.js'

/** Real OpenStack for tests. */

/** The first start of all makes the databases, and installs packages where that is still to be done. */
const START_TIMEOUT_MS = 600_000

/**
 * The OpenStack that all test files of a run share, with swift. Tests leave cinder's configuration
 * and the roles of users alone, and name what they make.
 */
export function sharedTestbed(): () => Testbed {
  let testbed: Testbed | undefined
  beforeAll(async () => {
    const { directory, owner } = inject('testbed')
    await testbedCommand('up', directory, '--with', 'swift', '--owner', `${owner}`)
    testbed = readTestbed(directory)
  }, START_TIMEOUT_MS)
  return () => started(testbed)
}

/** An OpenStack of a test file's own, which it may change; `args` are those of `up`. */
export function ownTestbed(...args: readonly string[]): () => Testbed {
  const directory = mkdtempSync(join(tmpdir(), 'volseal-openstack-'))
  beforeAll(async () => {
    const { owner } = inject('testbed')
    await testbedCommand('up', directory, '--owner', `${owner}`, ...args)
  }, START_TIMEOUT_MS)
  afterAll(async () => {
    await testbedCommand('down', directory, '--purge')
    rmSync(directory, { recursive: true, force: true })
  }, 60_000)
  // Read each time: the commands of scripts/testbed change it.
  return () => readTestbed(directory)
}

export function readTestbed(directory: string): Testbed {
  const testbed: Testbed = JSON.parse(readFileSync(join(directory, 'testbed.json'), 'utf8'))
  return testbed
}

function started(testbed: Testbed | undefined): Testbed {
  if (testbed === undefined) throw new Error('the test bed is there once the tests run, not before')
  return testbed
}
