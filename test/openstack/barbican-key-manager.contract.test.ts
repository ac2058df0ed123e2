import { barbicanKeyManager } from '../../src/keyfile/index.js'
import { Barbican } from '../../src/openstack/index.js'
import { type ContractSubject, keyManagerContract } from '../contract/key-manager.js'
import { openSession } from '../harness/cloud-session.js'
import { sharedTestbed } from '../harness/testbed.js'

const testbed = sharedTestbed()

/** No other test keeps secrets in dave's project, so that they can be counted there. */
keyManagerContract('Barbican', async (): Promise<ContractSubject> => {
  const session = await openSession(testbed(), 'dave')
  const barbican = new Barbican(session)
  return {
    manager: barbicanKeyManager(barbican),
    async dispose() {
      const secrets = await barbican.list()
      await Promise.all(secrets.map(async ({ id }) => await barbican.delete(id)))
      await session.close()
    },
  }
})
