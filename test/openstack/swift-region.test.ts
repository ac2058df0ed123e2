import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openCloud } from '../../src/face/cloud.js'
import { checkRootKey, createRootKey, RootKeyRefused } from '../../src/index.js'
import { userOf } from '../harness/openstack.js'
import { type Api, jsonOf, openApi } from '../harness/openstack-api.js'
import { scratchDirectory } from '../harness/run.js'
import { swiftStarts } from '../harness/swift.js'
import { ownTestbed } from '../harness/testbed.js'

/** The catalog is changed: a second region has the same Barbican under another address. */
const testbed = ownTestbed()
const scratch = scratchDirectory()
const LONG_MS = 180_000
const TWO = 'RegionTwo'

let keystone: Api
let second = ''

interface Endpoint {
  readonly id: string
  readonly region: string
  readonly service_id: string
}

beforeAll(async () => {
  keystone = await openApi(testbed(), 'admin', 'keystone')
  second = (testbed().urls.barbican ?? '').replace('127.0.0.1', 'localhost')
  await jsonOf(keystone('POST', '/regions', { json: { region: { id: TWO } } }))
  const [first] = await endpoints()
  const { service_id } = first ?? {}
  const endpoint = { service_id, region_id: TWO, interface: 'public', url: second }
  await jsonOf(keystone('POST', '/endpoints', { json: { endpoint } }))
}, LONG_MS)

/** Those of Barbican. */
async function endpoints(): Promise<Endpoint[]> {
  const found = keystone('GET', '/services?type=key-manager')
  const { services } = await jsonOf<{ services: { id: string }[] }>(found)
  const listed = keystone('GET', `/endpoints?service_id=${services[0]?.id}`)
  return (await jsonOf<{ endpoints: Endpoint[] }>(listed)).endpoints
}

/** The keymaster.conf that is printed for a region, with the password. */
async function confFor(region: string): Promise<{ file: string; lines: string }> {
  const env = { OS_CLIENT_CONFIG_FILE: cloudsIn(region) }
  const cloud = await openCloud({ cloud: 'swift', env })
  try {
    const lines = (await createRootKey(cloud, 'of a region')).keymasterConf.join('\n')
    const file = join(scratch, `${region}.conf`)
    const { password } = userOf(testbed(), 'swift')
    writeFileSync(file, `${lines}\npassword = ${password}\n`, { mode: 0o600 })
    return { file, lines }
  } finally {
    await cloud.close()
  }
}

function cloudsIn(region: string): string {
  const file = join(scratch, `${region}.yaml`)
  const text = readFileSync(testbed().clouds, 'utf8').replaceAll(testbed().region, region)
  writeFileSync(file, text, { mode: 0o600 })
  return file
}

function without(file: string, option: string): string {
  const text = readFileSync(file, 'utf8')
  const other = `${file}.without`
  writeFileSync(other, text.replace(new RegExp(`^${option} = .*\n`, 'm'), ''), { mode: 0o600 })
  return other
}

describe('a root key in one of two regions', () => {
  it('is read by Swift where it was made', { timeout: LONG_MS }, async () => {
    const { file, lines } = await confFor(TWO)
    expect(lines).toContain(`barbican_endpoint = ${second}`)
    const report = await checkRootKey({ keymasterConf: file, env: {} })
    expect(report.checks).toContainEqual(
      expect.objectContaining({ name: 'barbican-endpoint', result: 'pass', found: second }),
    )
    // The other region is away: only who is told where to ask finds Barbican.
    for (const { id } of (await endpoints()).filter(({ region }) => region !== TWO)) {
      const json = { endpoint: { url: 'http://127.0.0.1:9' } }
      await jsonOf(keystone('PATCH', `/endpoints/${id}`, { json }))
    }
    expect(await swiftStarts(file)).toBe('starts with 32 bytes')
    const open = without(file, 'barbican_endpoint')
    const refused = await checkRootKey({ keymasterConf: open, env: {} }).catch(
      (error: unknown) => error,
    )
    expect(refused).toBeInstanceOf(RootKeyRefused)
    expect(refused).toMatchObject({
      report: {
        checks: expect.arrayContaining([
          expect.objectContaining({
            name: 'barbican-endpoint',
            result: 'fail',
            found: expect.stringMatching(/^none; Barbican is in .*RegionTwo.*, and Swift asks /),
          }),
        ]),
      },
    })
  })
})
