import { barbicanKeyManager } from '../../src/keyfile/index.js'
import { Barbican } from '../../src/openstack/index.js'
import { type ContractSubject, keyManagerContract } from '../contract/key-manager.js'
import { openSession } from '../harness/cloud-session.js'
import { sharedTestbed } from '../harness/testbed.js'

const testbed = sharedTestbed()

keyManagerContract('Barbican', async (): Promise<ContractSubject> => {
  const session = await openSession(testbed(), 'alice')
  return {
    manager: barbicanKeyManager(new Barbican(session)),
    dispose: async () => await session.close(),
  }
})
