import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type OpenCloud, openCloud } from '../../src/face/cloud.js'
import {
  checkRootKey,
  createRootKey,
  type RootKeyCheck,
  RootKeyRefused,
  Secret,
} from '../../src/index.js'
import { openstack, userOf } from '../harness/openstack.js'
import { runProgram } from '../harness/program.js'
import { CLI, scratchDirectory } from '../harness/run.js'
import { swiftStarts } from '../harness/swift.js'
import { sharedTestbed } from '../harness/testbed.js'

const testbed = sharedTestbed()
const scratch = scratchDirectory()
const LONG_MS = 180_000
const PYTHON = '/usr/bin/python3'

let swift: OpenCloud
let alice: OpenCloud
const opened: OpenCloud[] = []

beforeAll(async () => {
  swift = await cloudOf('swift')
  alice = await cloudOf('alice')
})

afterAll(async () => {
  await Promise.all(opened.map(async (one) => await one.close()))
})

async function cloudOf(user: string): Promise<OpenCloud> {
  const env = { OS_CLIENT_CONFIG_FILE: testbed().clouds }
  const cloud = await openCloud({ cloud: user, env })
  opened.push(cloud)
  return cloud
}

function path(name: string): string {
  return join(testbed().directory, 'swift', name)
}

/** A keymaster.conf with that root secret. */
function confOf(keyId: string, changes: Readonly<Record<string, string>> = {}): string {
  const { password, project } = userOf(testbed(), 'swift')
  const options = {
    key_id: keyId,
    username: 'swift',
    password,
    project_name: project,
    user_domain_name: 'Default',
    project_domain_name: 'Default',
    auth_endpoint: testbed().urls.keystone ?? '',
    api_class: 'barbican',
    ...changes,
  }
  const file = join(scratch, `keymaster-${Math.random()}.conf`)
  const lines = Object.entries(options).map(([name, value]) => `${name} = ${value}`)
  writeFileSync(file, ['[kms_keymaster]', ...lines, ''].join('\n'), { mode: 0o600 })
  return file
}

async function check(options: Parameters<typeof checkRootKey>[0]): Promise<RootKeyCheck> {
  try {
    return await checkRootKey(options)
  } catch (error) {
    if (error instanceof RootKeyRefused) return error.report
    throw error
  }
}

function failed({ checks }: RootKeyCheck): string[] {
  return checks.flatMap(({ name, result }) => (result === 'fail' ? name : []))
}

describe('a root key', () => {
  it('is drawn by Barbican, and Swift starts with it', { timeout: LONG_MS }, async () => {
    const { keyId, keymasterConf } = await createRootKey(swift, 'our root secret')
    const shown = await openstack<Record<string, unknown>>(testbed(), 'swift', [
      'secret',
      'get',
      `${testbed().urls.barbican}/v1/secrets/${keyId}`,
    ])
    expect(shown).toMatchObject({
      Name: 'our root secret',
      Algorithm: 'aes',
      'Bit length': 256,
      'Secret type': 'symmetric',
      Expiration: null,
    })
    const { password } = userOf(testbed(), 'swift')
    expect(keymasterConf.join('\n')).not.toContain(password)
    expect(keymasterConf.join('\n')).not.toContain('barbican_endpoint')
    const file = join(scratch, 'printed.conf')
    writeFileSync(file, `${keymasterConf.join('\n')}\npassword = ${password}\n`, { mode: 0o600 })
    expect(await swiftStarts(file)).toBe('starts with 32 bytes')
    expect(failed(await check({ keymasterConf: file, env: {} }))).toEqual([])
  })

  it('is refused to who may not make one', async () => {
    await expect(createRootKey(await cloudOf('bob'), 'x')).rejects.toMatchObject({
      code: 'forbidden',
    })
  })

  const BYTES = Buffer.alloc(32, 7)

  it.each([
    ['of 128 bits', { type: 'symmetric', algorithm: 'aes', bitLength: 128 }, 16, ['bits', 'bytes']],
    ['that is opaque', { type: 'opaque' }, 32, ['type', 'algorithm', 'bits', 'bytes']],
    [
      'of another algorithm',
      { type: 'symmetric', algorithm: '3des', bitLength: 256 },
      32,
      ['algorithm'],
    ],
  ])(
    '%s is refused by Swift and by us',
    { timeout: LONG_MS },
    async (_what, facts, size, names) => {
      const id = await swift.barbican.store(facts, new Secret(Buffer.from(BYTES.subarray(0, size))))
      const keymasterConf = confOf(id)
      expect(await swiftStarts(keymasterConf)).toContain('is not a symmetric key')
      const report = await check({ keymasterConf, env: {} })
      expect(failed(report)).toEqual(names.map((name) => `root-secret ${name}`))
      await expect(checkRootKey({ keymasterConf, env: {} })).rejects.toMatchObject({
        code: 'incomplete',
      })
    },
  )

  it('that is shorter than it says is refused by us alone', { timeout: LONG_MS }, async () => {
    const facts = { type: 'symmetric', algorithm: 'aes', bitLength: 256 }
    const id = await swift.barbican.store(facts, new Secret(Buffer.from(BYTES.subarray(0, 4))))
    const keymasterConf = confOf(id)
    expect(await swiftStarts(keymasterConf)).toBe('starts with 4 bytes')
    expect(failed(await check({ keymasterConf, env: {} }))).toEqual(['root-secret bytes'])
  })

  it.each([
    ['is not there', '1d0b8b8d-90d5-4c67-9f12-3d1a3b7c5a10', {}, 'not-found'],
    ['has the wrong password', undefined, { password: 'wrong' }, 'forbidden'],
    [
      'is read where nobody is',
      undefined,
      { barbican_endpoint: 'http://127.0.0.1:9' },
      'unavailable',
    ],
  ] as const)('that %s is told so', { timeout: LONG_MS }, async (_what, id, changes, code) => {
    const made = id ?? (await createRootKey(swift, 'x')).keyId
    const keymasterConf = confOf(made, changes)
    expect(await swiftStarts(keymasterConf)).not.toContain('starts')
    expect(failed(await check({ keymasterConf, env: {} }))).toEqual(['root-secret readable'])
    await expect(checkRootKey({ keymasterConf, env: {} })).rejects.toMatchObject({ code })
  })
})

/** What a proxy says once it listens; castellan logs on the same stream. */
async function portIn(stdout: Readable): Promise<string> {
  for await (const line of createInterface(stdout)) {
    const port = /^listens on (\d+)$/.exec(line)?.[1]
    if (port !== undefined) return port
  }
  throw new Error('the proxy did not start')
}

describe('an object', () => {
  it('lies on the disk encrypted, and is gone afterwards', { timeout: LONG_MS }, async () => {
    const report = await checkRootKey({
      keymasterConf: path('keymaster.conf'),
      proxyConf: path('proxy-server.conf'),
      writeAs: alice,
      devices: testbed().paths.swiftDevices,
      env: {},
    })
    expect(failed(report)).toEqual([])
    const { object } = report
    expect(object?.devices).toMatchObject({
      clear: [],
      candidates: [expect.stringMatching(/\.data$/)],
    })
    for (const file of object?.devices?.candidates ?? []) expect(existsSync(file)).toBe(false)
    const gone = alice.swift.get(object?.container ?? '', object?.object ?? '')
    await expect(gone).rejects.toMatchObject({ code: 'not-found' })
  })

  it('proves nothing on devices that do not hold it', { timeout: LONG_MS }, async () => {
    const keymasterConf = path('keymaster.conf')
    const report = await check({ keymasterConf, writeAs: alice, devices: scratch, env: {} })
    expect(failed(report)).toEqual(['object-on-disk'])
  })

  /** The bed's own proxy with another pipeline, on a port of its own. */
  async function proxyWith(
    change: (conf: string) => string,
  ): Promise<{ url: string; conf: string; stop: () => Promise<void> }> {
    const conf = join(scratch, `proxy-${Math.random()}.conf`)
    writeFileSync(conf, change(readFileSync(path('proxy-server.conf'), 'utf8')), { mode: 0o600 })
    const script = `
import sys, eventlet
eventlet.monkey_patch()
from eventlet import wsgi
from swift.common import utils
utils.SWIFT_CONF_FILE = sys.argv[2]
from swift.common.wsgi import loadapp
app = loadapp(sys.argv[1])
socket = eventlet.listen(('127.0.0.1', 0))
print('listens on', socket.getsockname()[1], flush=True)
wsgi.server(socket, app, log_output=False)`
    const child = spawn(PYTHON, ['-W', 'ignore', '-c', script, conf, path('swift.conf')], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const ended = once(child, 'exit')
    const port = await portIn(child.stdout)
    const stop = async (): Promise<void> => {
      child.kill('SIGKILL')
      await ended
    }
    return { url: `http://127.0.0.1:${port}/v1`, conf, stop }
  }

  it.each([
    [
      'without encryption',
      (conf: string) => conf.replace('kms_keymaster encryption proxy', 'proxy'),
      ['encryption', 'keymaster'],
    ],
    [
      'with encryption switched off',
      (conf: string) => conf.replace('#encryption', '#encryption\ndisable_encryption = true'),
      ['enabled'],
    ],
    [
      'with authentication behind encryption',
      (conf: string) =>
        conf
          .replace('kms_keymaster encryption proxy', 'proxy')
          .replace('bulk authtoken', 'bulk kms_keymaster encryption authtoken'),
      ['authentication-before-keymaster', 'encryption-last'],
    ],
  ])(
    '%s is found on the disk, or the pipeline is',
    { timeout: LONG_MS },
    async (_what, change, names) => {
      const { url, conf, stop } = await proxyWith(change)
      const { password, project, projectId } = userOf(testbed(), 'alice')
      const env = {
        OS_AUTH_URL: testbed().urls.keystone,
        OS_USERNAME: 'alice',
        OS_PASSWORD: password,
        OS_PROJECT_NAME: project,
        OS_OBJECT_STORE_ENDPOINT_OVERRIDE: `${url}/AUTH_${projectId}`,
      }
      const writeAs = await openCloud({ env })
      opened.push(writeAs)
      try {
        const report = await check({
          keymasterConf: path('keymaster.conf'),
          proxyConf: conf,
          writeAs,
          devices: testbed().paths.swiftDevices,
          env: {},
        })
        const isClear = report.object?.devices?.clear.length !== 0
        const encrypts = names.includes('encryption-last')
        expect(isClear).toBe(!encrypts)
        expect(failed(report)).toEqual([...names, ...(encrypts ? [] : ['object-not-in-clear'])])
      } finally {
        await stop()
      }
    },
  )
})

describe('the commands', () => {
  async function volseal(...args: readonly string[]): ReturnType<typeof runProgram> {
    const env = { OS_CLIENT_CONFIG_FILE: testbed().clouds }
    return await runProgram(process.execPath, [CLI, 'swift', 'rootkey', ...args], { env })
  }

  it('make and check', { timeout: LONG_MS }, async () => {
    const made = await volseal('create', '--os-cloud', 'swift', '--name', 'by hand')
    expect(made).toMatchObject({ code: 0, stderr: expect.stringMatching(/^volseal: note: .*\n$/) })
    const keyId = /^key_id = (.*)$/m.exec(made.stdout)?.[1] ?? ''
    const file = confOf(keyId)
    const good = await volseal('check', '--keymaster-conf', file, '--json')
    expect(good.code).toBe(0)
    expect(JSON.parse(good.stdout)).toMatchObject({
      schema: 'volseal/swift-rootkey-check/1',
      ok: true,
      proxyConf: null,
      object: null,
    })
    await swift.barbican.delete(keyId)
    const bad = await volseal('check', '--keymaster-conf', file)
    expect(bad.code).toBe(31)
    expect(bad.stdout).toMatch(/root-secret readable +FAILED/)
    const { password } = userOf(testbed(), 'swift')
    expect(bad.stdout + bad.stderr + good.stdout).not.toContain(password)
    const usage = await volseal('check', '--keymaster-conf', file, '--devices', '/tmp')
    expect(usage.code).toBe(2)
  })
})
