import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  type CinderKind,
  keyIdOf,
  makeEncryptedType,
  makeResource,
  qemuOpens,
  untilTrue,
  volumeFile,
  ZERO_KEY_ID,
} from '../harness/cinder.js'
import { openApi } from '../harness/openstack-api.js'
import { ownTestbed } from '../harness/testbed.js'
import { testbedCommand } from '../harness/testbed-command.js'

/**
 * cinder's own migration of keys, which is what ours is compared with: from the fixed key of
 * ConfKeyManager, with the all-zeros id in every row, to Barbican. The tests build on each other.
 */
const testbed = ownTestbed('--key-manager', 'conf')
const ids = new Map<CinderKind, string>()

/** The key ids of the volume, its snapshot and the other volume's backup. */
async function keyIds(): Promise<string[]> {
  return await Promise.all([...ids].map(async ([kind, id]) => await keyIdOf(testbed(), kind, id)))
}

function cinderLog(): string {
  return readFileSync(testbed().services.cinder?.log ?? '', 'utf8')
}

beforeAll(async () => {
  const ask = await openApi(testbed(), 'alice', 'cinder')
  const type = await makeEncryptedType(testbed())
  const volume = await makeResource(ask, 'volume', { size: 1, volume_type: type })
  const other = await makeResource(ask, 'volume', { size: 1, volume_type: type })
  ids.set('volume', volume)
  ids.set('snapshot', await makeResource(ask, 'snapshot', { volume_id: volume, name: 'one' }))
  ids.set('backup', await makeResource(ask, 'backup', { volume_id: other, name: 'two' }))
})

describe('cinder', () => {
  it('with ConfKeyManager writes the all-zeros id, and the fixed key opens the volume', async () => {
    expect(await keyIds()).toEqual([ZERO_KEY_ID, ZERO_KEY_ID, ZERO_KEY_ID])
    const file = volumeFile(testbed(), ids.get('volume') ?? '')
    expect(await qemuOpens(file, testbed().fixedKey ?? '')).toBe(true)
  })

  it('started with barbican moves nothing as long as its user lacks the creator role', async () => {
    await testbedCommand('restart-cinder', testbed().directory, '--key-manager', 'barbican')
    const refusal = 'Error migrating encryption key: Forbidden: Secret creation attempt not allowed'
    await untilTrue(async () => await Promise.resolve(cinderLog().includes(refusal)), Boolean)
    expect(await keyIds()).toEqual([ZERO_KEY_ID, ZERO_KEY_ID, ZERO_KEY_ID])
  })

  it('with the role moves every row, to secrets that hold the fixed key', async () => {
    await testbedCommand('role', testbed().directory, 'add', 'cinder', 'creator')
    await testbedCommand('restart-cinder', testbed().directory)
    const moved = await untilTrue(keyIds, (found) => !found.includes(ZERO_KEY_ID))
    const [volume, snapshot, backup] = moved
    expect(snapshot).toBe(volume)
    expect(backup).not.toBe(volume)
    const ask = await openApi(testbed(), 'alice', 'barbican')
    const headers = { Accept: 'application/octet-stream' }
    for (const id of new Set(moved)) {
      const { bytes } = await ask('GET', `/v1/secrets/${id}/payload`, { headers })
      expect(bytes.toString('hex')).toBe(testbed().fixedKey)
    }
  })
})
