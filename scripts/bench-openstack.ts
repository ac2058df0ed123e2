import { writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { counted, table } from '../src/cli/text.js'
import { type CountingProxy, countingProxy } from './bench/counting-proxy.js'
import { STORIES, type Step } from './bench/guide-steps.js'
import { largeImageRows } from './bench/large-images.js'
import { CLI, ENVIRONMENT, output, REPOSITORY } from './harness/program.js'
import { scratchDirectory } from './harness/scratch.js'
import { readTestbed, type Testbed } from './openstack-testbed/testbed.js'

/**
 * volseal beside the official commands, on a real OpenStack that this starts (scripts/testbed): the steps
 * of the guide with their seconds and requests, key fetches beside castellan, and large images:
 * `npm run bench:openstack -- [--size 2G] [--rounds 3] [--out docs/guide.md]`.
 */
const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '2G' },
    rounds: { type: 'string', default: '3' },
    out: { type: 'string' },
  },
})
const directory = scratchDirectory('bench-openstack')
const bed = join(directory, 'bed')
const testbedScript = join(REPOSITORY, 'scripts/testbed')
const lines: string[] = []

async function compare(testbed: Testbed): Promise<void> {
  const proxy = await countingProxy()
  const env = {
    ...ENVIRONMENT,
    OS_CLOUD: 'alice',
    OS_CLIENT_CONFIG_FILE: testbed.clouds,
    VOLSEAL: CLI,
  }
  tell('# The guide, beside volseal', '')
  tell(
    'Made by `npm run bench:openstack` on a test bed (`scripts/testbed`) with real Keystone, Barbican, Glance',
    'and cinder: the commands of "Encrypting and validating OpenStack services", and what volseal does',
    'instead. Requests are counted by a proxy between the commands and the services; seconds are those of',
    'one run, with a small image, on a shared machine with 2 cores.',
    '',
  )
  writeFileSync(join(directory, 'state'), '')
  await output(['qemu-img', 'create', '-q', '-f', 'qcow2', join(directory, 'cirros.img'), '64M'])
  for (const { title, official, ours } of STORIES) {
    tell(`## ${title}`, '')
    for (const [side, steps] of [
      ['The guide', official],
      ['volseal', ours],
    ] as const) {
      await prepareSnapshot(env)
      await tellSteps(side, steps, proxy, env)
    }
  }
  await tellFetches(testbed, proxy, env)
  proxy.close()
  await tellLarge(env)
}

function tell(...more: readonly string[]): void {
  lines.push(...more)
}

/** Somebody's snapshot, without a signature. */
async function prepareSnapshot(env: NodeJS.ProcessEnv): Promise<void> {
  const create =
    'openstack image create --disk-format qcow2 --file cirros.img snapshot -c id -f value'
  await inBash(`snapshot=$(${create})`, env)
}

interface Cost {
  readonly seconds: number
  readonly requests: number
}

async function tellSteps(
  side: string,
  steps: readonly Step[],
  proxy: CountingProxy,
  env: NodeJS.ProcessEnv,
): Promise<void> {
  const costs: Cost[] = []
  tell('```sh no-run')
  for (const { what, command } of steps) {
    proxy.take()
    const began = performance.now()
    await inBash(command, { ...env, http_proxy: proxy.url })
    const cost = { seconds: (performance.now() - began) / 1000, requests: proxy.take().length }
    costs.push(cost)
    tell(`# ${what}: ${cost.seconds.toFixed(1)} s, ${counted(cost.requests, 'request')}`, command)
  }
  const seconds = costs.reduce((sum, cost) => sum + cost.seconds, 0)
  const requests = costs.reduce((sum, cost) => sum + cost.requests, 0)
  const commands = steps.flatMap(({ command }) => programsIn(command)).length
  tell(
    '```',
    '',
    `${side}: ${counted(commands, 'command')}, ${seconds.toFixed(1)} s, ${counted(requests, 'request')}.`,
    '',
  )
}

/** Programs that the reader has to type; a line that goes on is one. */
function programsIn(command: string): string[] {
  return command
    .replaceAll(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => /(openssl|openstack|base64|volseal|rm) /.test(line))
}

const KEPT = 'declare -p href certificate signature image snapshot 2>/dev/null >state || true'

/** Runs lines of bash, with the variables of earlier ones. */
async function inBash(command: string, env: NodeJS.ProcessEnv): Promise<string> {
  const script = `set -e; . ./state; volseal() { node "$VOLSEAL" "$@"; }\n${command}\n${KEPT}`
  return String(await output(['bash', '-c', script], { cwd: directory, env }))
}

const FETCHES = 20

/** Each side in one process: the token is paid once. */
async function tellFetches(
  testbed: Testbed,
  proxy: CountingProxy,
  env: NodeJS.ProcessEnv,
): Promise<void> {
  const id = (await inBash('volseal secret create --bits 256', env)).trim()
  const { password = '', project = '' } = testbed.users['alice'] ?? {}
  const asked = {
    keystone: testbed.urls.keystone,
    barbican: testbed.urls.barbican,
    password,
    project,
  }
  const sides = {
    castellan: ['/usr/bin/python3', '-c', CASTELLAN],
    volseal: [process.execPath, '--input-type=module', '-e', VOLSEAL],
  }
  const rows: string[][] = []
  for (const [name, argv] of Object.entries(sides)) {
    proxy.take()
    const input = JSON.stringify({
      ...asked,
      id,
      count: FETCHES,
      index: `${REPOSITORY}dist/index.js`,
    })
    const told = String(await output(argv, { input, env: { ...env, http_proxy: proxy.url } }))
    const requests = proxy.take().length
    const times: number[] = JSON.parse(told)
    const sorted = times.toSorted((a, b) => a - b)
    const median = sorted[Math.floor(sorted.length / 2)] ?? 0
    rows.push([name, (requests / FETCHES).toFixed(1), `${median.toFixed(0)} ms`])
  }
  tell(`## Fetching a key from Barbican`, '')
  tell(`${FETCHES} fetches in one process; the requests for the token are divided among them.`, '')
  tell('| | requests a fetch | median |', '| --- | --- | --- |')
  for (const row of rows) tell(`| ${row.join(' | ')} |`)
  tell('')
}

const CASTELLAN = `
import json, sys, time
from castellan import key_manager
from castellan.common.credentials.keystone_password import KeystonePassword
from oslo_config import cfg
asked = json.load(sys.stdin)
conf = cfg.CONF
conf([], project='castellan', default_config_files=[])
key_manager.API(conf)
conf.set_override('backend', 'barbican', 'key_manager')
conf.set_override('auth_endpoint', asked['keystone'], 'barbican')
conf.set_override('barbican_endpoint', asked['barbican'], 'barbican')
times = []
manager = key_manager.API(conf)
for _ in range(asked['count']):
    # A request of a service has a context of its own.
    context = KeystonePassword(auth_url=asked['keystone'], username='alice', password=asked['password'],
        project_name=asked['project'], user_domain_name='Default', project_domain_name='Default')
    began = time.monotonic()
    manager.get(context, asked['id']).get_encoded()
    times.append((time.monotonic() - began) * 1000)
print(json.dumps(times))
`

const VOLSEAL = `
import { text } from 'node:stream/consumers'
const { id, count, index } = JSON.parse(await text(process.stdin))
const { openCloud } = await import(index)
const cloud = await openCloud({ env: process.env })
const times = []
for (let n = 0; n < count; n += 1) {
  const began = performance.now()
  const { payload } = await cloud.keyManager.fetch(id)
  payload.wipe()
  times.push(performance.now() - began)
}
await cloud.close()
console.log(JSON.stringify(times))
`

/** The same work on each side, in turns. */
async function tellLarge(env: NodeJS.ProcessEnv): Promise<void> {
  const image = join(directory, 'large.raw')
  await output(['bash', '-c', `head -c ${bytesOf(values.size)} /dev/urandom >${image}`])
  const rounds = Number(values.rounds)
  const load = loadavg()[0]?.toFixed(1)
  const rows = await largeImageRows({ directory, bash: (command) => inEnv(command, env), rounds })
  tell(
    `## Images of ${values.size}iB`,
    '',
    `Each ran ${counted(rounds, 'time')}, in turns; seconds are the median, memory is the most of the largest`,
    `process, the load was ${load} before. The official side is \`openstack image create --file\`, \`openssl dgst\``,
    "before it, and `openstack image save --file`; volseal's is the library's upload and `publishImage`,",
    '`volseal write glance:ID FILE` and `volseal verify glance:ID`.',
    '',
    '| | official | memory | volseal | memory |',
    '| --- | --- | --- | --- | --- |',
    ...rows.map((row) => `| ${row.join(' | ')} |`),
    '',
  )
  console.error(table(['WHAT', 'OFFICIAL', 'MEMORY', 'VOLSEAL', 'MEMORY'], rows))
}

/** Lines of bash as a program of their own, which can be measured. */
function inEnv(command: string, env: NodeJS.ProcessEnv): string[] {
  const settings = Object.entries(env).flatMap(([name, value]) =>
    /^(OS_|VOLSEAL)/.test(name) && value !== undefined ? [`${name}=${value}`] : [],
  )
  const script = `. ./state; volseal() { node "$VOLSEAL" "$@"; }\n${command}`
  return ['env', '-C', directory, ...settings, 'bash', '-ec', script]
}

/** `2G`, `512M`. */
function bytesOf(size: string): number {
  const [, number = '0', unit = 'G'] = /^(\d+)([MG])$/.exec(size) ?? []
  return Number(number) * (unit === 'G' ? 1024 ** 3 : 1024 ** 2)
}

await output([testbedScript, 'up', bed])
try {
  const testbed = readTestbed(bed)
  if (testbed === undefined) throw new Error('the test bed is not there')
  await compare(testbed)
} finally {
  await output([testbedScript, 'down', bed, '--purge'])
}
const text = `${lines.join('\n')}\n`
console.log(text)
if (values.out !== undefined) writeFileSync(values.out, text)
