import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { writeConfiguration } from './configuration.js'
import { allOrNone } from './down.js'
import { launch, untilReady } from './launch.js'
import { DATABASE_CACHE, databaseSocket, moduleCommand, scratchPlace } from './places.js'
import { bedProcesses, endProcesses } from './processes.js'
import type { Settings } from './settings.js'
import { runSetup } from './setup-command.js'

/**
 * The services' databases. Making the tables takes each service seconds; it is done once for the
 * installed versions, in a scratch directory that looks like a test bed, and copied from then on.
 */

/** What a service's own command makes, below the test bed's directory. */
const DATABASES: Readonly<Record<string, (directory: string) => Promise<void>>> = {
  'keystone/keystone.sqlite': async (directory) => {
    const args = ['--config-file', join(directory, 'keystone/keystone.conf'), 'db_sync']
    await runSetup(directory, ['keystone-manage', ...args])
  },
  'barbican/barbican.sqlite': async (directory) => {
    const command = moduleCommand('barbican-manage', 'barbican.cmd.barbican_manage')
    const env = { HOME: join(directory, 'barbican') }
    await runSetup(directory, [...command, 'db', 'upgrade'], { env })
  },
  'glance/glance.sqlite': async (directory) => {
    const command = moduleCommand('glance-manage', 'glance.cmd.manage')
    const config = join(directory, 'glance/glance-api.conf')
    await runSetup(directory, [...command, '--config-file', config, 'db', 'sync'])
  },
  'mariadb/data': makeCinderDatabase,
}

/** The packages whose versions say what the tables look like. */
const PACKAGES = ['keystone', 'barbican', 'glance', 'cinder', 'oslo.db', 'sqlalchemy']
/** Raised when something here changes what is made. */
const EDITION = 1

/** Puts the databases that are not there yet into a test bed. */
export async function provideDatabases(directory: string, settings: Settings): Promise<void> {
  const missing = Object.keys(DATABASES).filter((path) => !existsSync(join(directory, path)))
  if (missing.length === 0) return
  const source = await databaseTemplates(directory, settings)
  for (const path of missing) {
    // Under another name first, so that half a copy is never taken for a database.
    cpSync(join(source, path), join(directory, `${path}.copy`), { recursive: true })
    renameSync(join(directory, `${path}.copy`), join(directory, path))
  }
}

async function databaseTemplates(directory: string, settings: Settings): Promise<string> {
  const names = [...PACKAGES.map((name) => `python3-${name}`), 'mariadb-server-core']
  const versions = await runSetup(directory, ['dpkg-query', '-W', '-f', '${Version} ', ...names])
  const key = createHash('sha256').update(`${EDITION} ${versions}`).digest('hex').slice(0, 16)
  const templates = join(DATABASE_CACHE, key)
  if (!existsSync(templates)) await makeTemplates(templates, scratchPlace(directory), settings)
  return templates
}

/** Below the test bed, so that what runs there is the test bed's and ends with it. */
async function makeTemplates(
  templates: string,
  scratch: string,
  settings: Settings,
): Promise<void> {
  console.error('Making the databases (once for these package versions)')
  rmSync(scratch, { recursive: true, force: true })
  writeConfiguration(scratch, settings, {})
  const made = Object.values(DATABASES).map(async (make) => await make(scratch))
  await allOrNone(scratch, made)
  keep(scratch, templates)
  rmSync(scratch, { recursive: true })
}

function keep(scratch: string, templates: string): void {
  const copy = `${templates}.${process.pid}`
  for (const path of Object.keys(DATABASES)) {
    mkdirSync(join(copy, path, '..'), { recursive: true })
    cpSync(join(scratch, path), join(copy, path), { recursive: true })
  }
  try {
    renameSync(copy, templates)
  } catch (error) {
    rmSync(copy, { recursive: true })
    if (!existsSync(templates)) throw error // else another test bed was faster
  }
}

async function makeCinderDatabase(directory: string): Promise<void> {
  const data = join(directory, 'mariadb/data')
  await runSetup(directory, [
    'mariadb-install-db',
    '--no-defaults',
    `--datadir=${data}`,
    '--auth-root-authentication-method=normal',
    '--skip-test-db',
    '--innodb-log-file-size=16M',
    ...asRoot(),
  ])
  const mariadb = await launch(directory, 'mariadb', [], {})
  mariadb.become(mariadbCommand(directory))
  await untilReady(directory, mariadb, async () => await databaseAnswers(directory))
  await sql(directory, 'create database cinder character set utf8mb3')
  const command = moduleCommand('cinder-manage', 'cinder.cmd.manage')
  const config = join(directory, 'cinder/cinder.conf')
  await runSetup(directory, [...command, '--config-file', config, 'db', 'sync'])
  // Only here: the options of that name are read for new databases alone, and too late for this one.
  await sql(directory, 'update cinder.quota_classes set hard_limit = -1')
  const running = bedProcesses(directory).filter(({ role }) => role === 'mariadb')
  await endProcesses(running, 10_000)
}

/** MariaDB for one program: on a UNIX socket alone, with as little as it can do with. */
export function mariadbCommand(directory: string): string[] {
  return [
    'mariadbd',
    '--no-defaults',
    ...asRoot(),
    `--datadir=${join(directory, 'mariadb/data')}`,
    `--socket=${databaseSocket(directory)}`,
    `--pid-file=${join(directory, 'mariadb/pid')}`,
    '--skip-networking',
    '--skip-log-bin',
    '--performance-schema=off',
    '--max-connections=200',
    '--innodb-log-file-size=16M',
    '--innodb-buffer-pool-size=64M',
    // A test bed's data need not survive a power cut.
    '--innodb-flush-log-at-trx-commit=0',
  ]
}

/** MariaDB refuses to run as root unless told so. */
function asRoot(): string[] {
  return process.getuid?.() === 0 ? ['--user=root'] : []
}

export async function databaseAnswers(directory: string): Promise<boolean> {
  if (!existsSync(databaseSocket(directory))) return false
  await sql(directory, 'select 1')
  return true
}

async function sql(directory: string, statement: string): Promise<void> {
  const args = ['--no-defaults', `--socket=${databaseSocket(directory)}`, '--user=root']
  await runSetup(directory, ['mariadb', ...args], { input: statement })
}
