import { writeConfiguration } from './configuration.js'
import { TestbedFailure } from './failure.js'
import { bedProcesses, endProcesses } from './processes.js'
import { type Choices, chosen, readSettings, writeSettings } from './settings.js'
import { needTestbed, type Testbed, writeTestbed } from './testbed.js'
import { hold, startService } from './up.js'

const GRACE_MS = 3000

/** Starts cinder again at the same address, with another key manager or fixed key if so chosen. */
export async function restartCinder(directory: string, choices: Choices): Promise<Testbed> {
  const testbed = needTestbed(directory)
  const old = readSettings(directory)
  const service = testbed.services.cinder
  if (old === undefined || service === undefined) {
    throw new TestbedFailure(`${directory}: the test bed has no cinder`)
  }
  const settings = chosen(old, choices)
  const processes = bedProcesses(directory).filter(({ role }) => role === 'cinder')
  await endProcesses(processes, GRACE_MS)
  const launched = await hold(directory, 'cinder', service.port ?? 0)
  writeSettings(directory, settings)
  writeConfiguration(directory, settings, testbed.urls)
  await startService(directory, launched, testbed.urls)
  const { keyManager, fixedKey } = settings
  const services = { ...testbed.services, cinder: { ...service, pid: launched.pid } }
  const restarted = { ...testbed, keyManager, fixedKey, services }
  writeTestbed(restarted)
  return restarted
}
