import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLocalKeyManager } from '../../src/keyfile/index.js'
import { type ContractSubject, keyManagerContract } from '../contract/key-manager.js'

keyManagerContract('the local key manager', async (): Promise<ContractSubject> => {
  const directory = await mkdtemp(join(tmpdir(), 'volseal-contract-'))
  const manager = await openLocalKeyManager({
    store: join(directory, 'keys'),
    key: { kind: 'file', path: join(directory, 'key') },
  })
  return {
    manager,
    async dispose() {
      manager.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
})
