import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { IDENTITY_IDS, writeConfiguration } from './configuration.js'
import { provideDatabases } from './databases.js'
import { allOrNone } from './down.js'
import { cloudsYaml, describeUsers, type IdentityIds, REGION } from './identity.js'
import { type Launched, launch, untilReady } from './launch.js'
import { cloudsFile, logFile } from './places.js'
import { bedProcesses } from './processes.js'
import { describeDatabase, SERVICE_TABLE } from './services.js'
import { type Settings, writeSettings } from './settings.js'
import { orderSwiftSecret } from './swift-secret.js'
import { readTestbed, SERVICES, type ServiceName, type Testbed, writeTestbed } from './testbed.js'

/** What the NFS driver calls the mount point of the share in `shares.conf`. */
const SHARE = createHash('md5').update('127.0.0.1:/share').digest('hex')

/** Starts whatever a test bed needs, where nothing of it runs. */
export async function bringUp(directory: string, settings: Settings): Promise<Testbed> {
  const names = servicesOf(settings)
  const held = names.map(async (name) => await hold(directory, name, 0))
  const services = await allOrNone(directory, held)
  const urls = urlsOf(services)
  writeConfiguration(directory, settings, urls)
  await provideDatabases(directory, settings)
  await startAll(directory, settings, urls, services)
  const testbed = describe(directory, settings, urls, services)
  writeFileSync(testbed.clouds, cloudsYaml(testbed), { mode: 0o600 })
  writeTestbed(testbed)
  return testbed
}

/** The test bed, when all of its services run. */
export function runningTestbed(directory: string, settings: Settings): Testbed | undefined {
  const roles = new Set(bedProcesses(directory).map(({ role }) => role))
  const isComplete = servicesOf(settings).every((name) => roles.has(name))
  return isComplete ? readTestbed(directory) : undefined
}

function servicesOf({ swift }: Settings): ServiceName[] {
  return SERVICES.filter((name) => name !== 'swift' || swift)
}

/** A process with the sockets of a service; port 0 takes any that is free. */
export async function hold(
  directory: string,
  service: ServiceName,
  port: number,
): Promise<Launched> {
  const { sockets, environment = () => ({}) } = SERVICE_TABLE[service]
  const ports = Array.from({ length: sockets }, (_, index) => (index === 0 ? port : 0))
  return await launch(directory, service, ports, environment(directory))
}

function urlsOf(services: readonly Launched[]): Testbed['urls'] {
  return Object.fromEntries(
    services.flatMap(({ service, ports: [port] }) => {
      const url = port === undefined ? undefined : SERVICE_TABLE[service].url?.(port)
      return url === undefined ? [] : [[service, url]]
    }),
  )
}

/** All at once; each waits for those alone that it cannot start without. */
async function startAll(
  directory: string,
  settings: Settings,
  urls: Testbed['urls'],
  services: readonly Launched[],
): Promise<void> {
  const ready = new Map<ServiceName, Promise<void>>()
  for (const launched of services) ready.set(launched.service, start(launched))
  await allOrNone(directory, [...ready.values()])

  async function start(launched: Launched): Promise<void> {
    const { after } = SERVICE_TABLE[launched.service]
    for (const name of after) await ready.get(name)
    if (launched.service === 'swift') await provideSwiftSecret(directory, settings, urls)
    await startService(directory, launched, urls)
  }
}

export async function startService(
  directory: string,
  launched: Launched,
  urls: Testbed['urls'],
): Promise<void> {
  const { command, isReady } = SERVICE_TABLE[launched.service]
  launched.become(command(directory))
  await untilReady(directory, launched, async () => await isReady(directory, urls))
}

async function provideSwiftSecret(
  directory: string,
  settings: Settings,
  urls: Testbed['urls'],
): Promise<void> {
  if (settings.swiftRootSecretId !== null) return
  const withSecret = { ...settings, swiftRootSecretId: await orderSwiftSecret(settings, urls) }
  writeSettings(directory, withSecret)
  writeConfiguration(directory, withSecret, urls)
}

function describe(
  directory: string,
  settings: Settings,
  urls: Testbed['urls'],
  services: readonly Launched[],
): Testbed {
  const ids: IdentityIds = JSON.parse(readFileSync(join(directory, IDENTITY_IDS), 'utf8'))
  return {
    directory,
    clouds: cloudsFile(directory),
    region: REGION,
    urls,
    users: describeUsers(settings, ids),
    projects: ids.projects,
    database: describeDatabase(directory),
    keyManager: settings.keyManager,
    fixedKey: settings.fixedKey,
    services: Object.fromEntries(
      services.map(({ service, pid, ports: [port = null] }) => [
        service,
        { pid, port, log: logFile(directory, service) },
      ]),
    ),
    paths: {
      glanceImages: join(directory, 'glance/images'),
      cinderShare: join(directory, 'cinder/mnt', SHARE),
      cinderConf: join(directory, 'cinder/cinder.conf'),
      cinderBackup: join(directory, 'cinder/backup'),
      swiftDevices: join(directory, 'swift/devices'),
    },
  }
}
