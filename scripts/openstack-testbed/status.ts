import { readFileSync } from 'node:fs'
import { bedProcesses } from './processes.js'
import { readTestbed, SERVICES, type Testbed } from './testbed.js'

/** What a test bed says of itself: results on standard output, one JSON object on request. */

interface ServiceStatus {
  readonly service: string
  readonly running: boolean
  readonly url: string | null
  /** Resident memory of all its processes, in MiB. */
  readonly memory: number
}

/** Prints how a test bed is, and returns whether it is up. */
export function printStatus(directory: string, json: boolean): boolean {
  const testbed = readTestbed(directory)
  const services = serviceStatus(directory, testbed)
  const isUp = testbed !== undefined && services.every(({ running }) => running)
  if (json) console.log(JSON.stringify({ directory, up: isUp, services }, null, 2))
  else if (services.length === 0) console.log(`${directory}: down`)
  else console.log(table(services))
  return isUp
}

export function printReady(testbed: Testbed, tookMs: number): void {
  const { directory, clouds } = testbed
  console.log(table(serviceStatus(directory, testbed)))
  console.log(`
ready after ${(tookMs / 1000).toFixed(1)} s; all about it is in ${directory}/testbed.json
  as a user:      export OS_CLIENT_CONFIG_FILE=${clouds}
                  openstack --os-cloud alice secret list
  take it down:   scripts/testbed down ${directory}`)
}

function serviceStatus(directory: string, testbed: Testbed | undefined): ServiceStatus[] {
  const processes = bedProcesses(directory)
  return SERVICES.flatMap((service) => {
    const own = processes.filter(({ role }) => role === service)
    if (own.length === 0 && testbed?.services[service] === undefined) return []
    const memory = own.reduce((sum, { pid }) => sum + residentMiB(pid), 0)
    const url = testbed?.urls[service] ?? null
    return [{ service, running: own.length > 0, url, memory: Math.round(memory) }]
  })
}

function residentMiB(pid: number): number {
  try {
    const line = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))
    return Number(line?.[1] ?? 0) / 1024
  } catch {
    return 0
  }
}

function table(services: readonly ServiceStatus[]): string {
  return services
    .map(({ service, running, url, memory }) => {
      const where = url ?? (service === 'mariadb' ? 'UNIX socket' : '')
      const state = running ? `${String(memory).padStart(4)} MiB` : 'not running'
      return `  ${service.padEnd(9)} ${where.padEnd(28)} ${state}`
    })
    .join('\n')
}
