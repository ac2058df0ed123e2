import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { passwordOf, wantedIdentity } from './identity.js'
import type { Settings } from './settings.js'
import { render, renderTo, type Values } from './templates.js'
import type { KeyManagerName, Testbed } from './testbed.js'

/** Directories that the services expect, below the test bed's own. */
const DIRECTORIES = [
  'logs',
  'keystone/fernet-keys',
  'keystone/credential-keys',
  'barbican/.barbican',
  'glance/images',
  'glance/staging',
  'glance/tasks',
  'glance/lock',
  'cinder/lock',
  'cinder/state',
  'cinder/mnt',
  'cinder/backup',
  'mariadb',
  'swift/devices/d1',
]

interface File {
  readonly template: string
  readonly path: string
  /** The service user whose password goes in. */
  readonly user?: string
}

const FILES: readonly File[] = [
  { template: 'keystone.conf', path: 'keystone/keystone.conf' },
  { template: 'barbican.conf', path: 'barbican/.barbican/barbican.conf', user: 'barbican' },
  { template: 'barbican-paste.ini', path: 'barbican/barbican-paste.ini' },
  { template: 'glance-api.conf', path: 'glance/glance-api.conf', user: 'glance' },
  { template: 'glance-paste.ini', path: 'glance/glance-paste.ini' },
  { template: 'cinder.conf', path: 'cinder/cinder.conf', user: 'cinder' },
  { template: 'cinder-paste.ini', path: 'cinder/cinder-paste.ini' },
  { template: 'resource-filters.json', path: 'cinder/resource-filters.json' },
  { template: 'shares.conf', path: 'cinder/shares.conf' },
  { template: 'swift.conf', path: 'swift/swift.conf' },
  { template: 'account-server.conf', path: 'swift/account-server.conf' },
  { template: 'container-server.conf', path: 'swift/container-server.conf' },
  { template: 'object-server.conf', path: 'swift/object-server.conf' },
  { template: 'proxy-server.conf', path: 'swift/proxy-server.conf', user: 'swift' },
  { template: 'keymaster.conf', path: 'swift/keymaster.conf', user: 'swift' },
]

/** Keys of keystone; it wants a primary key (the highest number) and a staged one (0). */
const KEYS = ['fernet-keys/0', 'fernet-keys/1', 'credential-keys/0', 'credential-keys/1']

const KEY_MANAGER_BACKENDS: Readonly<Record<KeyManagerName, string>> = {
  barbican: 'barbican',
  conf: 'cinder.keymgr.conf_key_mgr.ConfKeyManager',
}

/** What keystone is to hold; it says the ids in the second file. */
export const IDENTITY_WANTED = 'keystone/identity.json'
export const IDENTITY_IDS = 'keystone/ids.json'

/** Writes what the services read. Databases are not among it. */
export function writeConfiguration(
  directory: string,
  settings: Settings,
  urls: Testbed['urls'],
): void {
  for (const each of DIRECTORIES) mkdirSync(join(directory, each), { recursive: true, mode: 0o700 })
  for (const key of KEYS) writeOnce(join(directory, 'keystone', key), drawFernetKey)
  const values = bedValues(directory, settings, urls)
  for (const { template, path, user } of FILES) {
    const own = user === undefined ? values : { ...values, ...authtoken(settings, values, user) }
    renderTo(join(directory, path), template, own)
  }
  const wanted = JSON.stringify(wantedIdentity(settings, urls), null, 2)
  writeFileSync(join(directory, IDENTITY_WANTED), wanted, { mode: 0o600 })
}

function bedValues(directory: string, settings: Settings, urls: Testbed['urls']): Values {
  const { keyManager, fixedKey, barbicanKek, swiftRootSecretId } = settings
  return {
    directory,
    barbicanKek,
    swiftRootSecretId: swiftRootSecretId ?? '',
    keystoneUrl: urls.keystone ?? '',
    barbicanUrl: urls.barbican ?? '',
    glanceUrl: urls.glance ?? '',
    keyManagerBackend: KEY_MANAGER_BACKENDS[keyManager],
    fixedKeyLine: fixedKey === null ? '' : `fixed_key = ${fixedKey}`,
  }
}

/** The options with which a service checks its callers' tokens. */
function authtoken(settings: Settings, values: Values, user: string): Values {
  const cacheLine = settings.freshTokens ? 'token_cache_time = -1' : ''
  const own = { ...values, user, password: passwordOf(settings, user), cacheLine }
  return { ...own, authtoken: render('keystone-authtoken.ini', own).trimEnd() }
}

/** Fernet's specification: 256 bits in base64url, with padding. */
function drawFernetKey(): string {
  return randomBytes(32).toString('base64').replaceAll('+', '-').replaceAll('/', '_')
}

function writeOnce(file: string, draw: () => string): void {
  if (!existsSync(file)) writeFileSync(file, draw(), { mode: 0o600 })
}
