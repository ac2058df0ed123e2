import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { TestbedFailure } from './failure.js'
import { testbedFile } from './places.js'

/** The services that a test bed can have, in the order in which they are told. */
export const SERVICES = ['mariadb', 'keystone', 'barbican', 'glance', 'cinder', 'swift'] as const
export type ServiceName = (typeof SERVICES)[number]

/** cinder's key managers: castellan's for Barbican, and cinder's own with the legacy fixed key. */
export type KeyManagerName = 'barbican' | 'conf'

export interface TestbedUser {
  readonly id: string
  readonly password: string
  readonly project: string
  readonly projectId: string
  readonly roles: readonly string[]
}

export interface TestbedService {
  readonly pid: number
  /** Null for MariaDB, which listens on a UNIX socket alone. */
  readonly port: number | null
  readonly log: string
}

/** What `testbed.json` says: all that a program needs to use a test bed. */
export interface Testbed {
  readonly directory: string
  /** A configuration of the OpenStack client with a cloud for each user. */
  readonly clouds: string
  readonly region: string
  /** `keystone` and `cinder` end with /v3, `swift` with /v1; `barbican` and `glance` have no version. */
  readonly urls: Readonly<Partial<Record<ServiceName, string>>>
  readonly users: Readonly<Record<string, TestbedUser>>
  /** Ids by name. */
  readonly projects: Readonly<Record<string, string>>
  /** cinder's database; root has no password there. */
  readonly database: { readonly socket: string; readonly user: string; readonly name: string }
  readonly keyManager: KeyManagerName
  /** cinder's `[key_manager] fixed_key` in hex. */
  readonly fixedKey: string | null
  readonly services: Readonly<Partial<Record<ServiceName, TestbedService>>>
  readonly paths: {
    readonly glanceImages: string
    readonly cinderShare: string
    readonly cinderConf: string
    readonly cinderBackup: string
    readonly swiftDevices: string
  }
}

export function readTestbed(directory: string): Testbed | undefined {
  const file = testbedFile(directory)
  if (!existsSync(file)) return undefined
  const testbed: Testbed = JSON.parse(readFileSync(file, 'utf8'))
  return testbed
}

/** @throws {TestbedFailure} when there is none. */
export function needTestbed(directory: string): Testbed {
  const testbed = readTestbed(directory)
  if (testbed !== undefined) return testbed
  throw new TestbedFailure(
    `${directory}: no test bed is up there; start one with scripts/testbed up ${directory}`,
  )
}

/** In one step, so that whoever finds the file finds all of it. */
export function writeTestbed(testbed: Testbed): void {
  const file = testbedFile(testbed.directory)
  writeFileSync(`${file}.new`, `${JSON.stringify(testbed, null, 2)}\n`, { mode: 0o600 })
  renameSync(`${file}.new`, file)
}
