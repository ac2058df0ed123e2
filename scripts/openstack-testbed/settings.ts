import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { TestbedFailure } from './failure.js'
import { USERS } from './identity.js'
import { databaseSocket, scratchPlace } from './places.js'
import type { KeyManagerName } from './testbed.js'

/** What stays the same when a test bed is taken down and up again; kept in `settings.json`. */
export interface Settings {
  readonly swift: boolean
  /** The services ask keystone about a token each time; else for five minutes not again. */
  readonly freshTokens: boolean
  readonly keyManager: KeyManagerName
  /** Hex. */
  readonly fixedKey: string | null
  readonly passwords: Readonly<Record<string, string>>
  /** Barbican's master key, base64. */
  readonly barbicanKek: string
  /** The id in Barbican of the secret under which swift encrypts; null until swift is first started. */
  readonly swiftRootSecretId: string | null
}

/** Which of them the command line may choose. */
export type Choices = Partial<Pick<Settings, 'swift' | 'freshTokens' | 'keyManager' | 'fixedKey'>>

/** `sun_path` of unix(7), less the zero at its end. */
const LONGEST_SOCKET_PATH = 107

/**
 * The settings of a test bed, drawn when there is none in that directory yet.
 *
 * @throws {TestbedFailure} for a directory that cannot become a test bed
 */
export function openSettings(directory: string, choices: Choices): Settings {
  const old = readSettings(directory)
  if (old === undefined) checkDirectory(directory)
  const settings = chosen(old ?? drawn(), choices)
  // Passwords are in it.
  chmodSync(directory, 0o700)
  writeSettings(directory, settings)
  return settings
}

export function readSettings(directory: string): Settings | undefined {
  if (!existsSync(settingsFile(directory))) return undefined
  const settings: Settings = JSON.parse(readFileSync(settingsFile(directory), 'utf8'))
  return settings
}

export function writeSettings(directory: string, settings: Settings): void {
  const text = `${JSON.stringify(settings, null, 2)}\n`
  writeFileSync(settingsFile(directory), text, { mode: 0o600 })
}

/** cinder's own key manager cannot do without a fixed key: one is drawn when none is given. */
export function chosen(settings: Settings, choices: Choices): Settings {
  const next = { ...settings, ...choices }
  if (next.keyManager === 'barbican' || next.fixedKey !== null) return next
  return { ...next, fixedKey: randomBytes(32).toString('hex') }
}

function settingsFile(directory: string): string {
  return join(directory, 'settings.json')
}

function drawn(): Settings {
  const password = (): string => randomBytes(18).toString('base64url')
  return {
    swift: false,
    freshTokens: false,
    keyManager: 'barbican',
    fixedKey: null,
    passwords: Object.fromEntries(USERS.map(({ name }) => [name, password()])),
    barbicanKek: randomBytes(32).toString('base64'),
    swiftRootSecretId: null,
  }
}

function checkDirectory(directory: string): void {
  if (readdirSync(directory).length > 0) {
    throw new TestbedFailure(
      `${directory}: expected an empty or new directory, or a test bed's; it holds other things`,
    )
  }
  const spare = LONGEST_SOCKET_PATH - Buffer.byteLength(databaseSocket(scratchPlace(directory)))
  if (spare < 0) {
    throw new TestbedFailure(
      `${directory}: the path is ${-spare} bytes too long for the database's UNIX socket; take a shorter one`,
    )
  }
}
