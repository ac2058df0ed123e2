import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { BENCH, KEY_HEX, SIDES, type SideName, TRACED, TRACER_TEXT } from './bench/attach-peers.js'
import { type AttachResult, attachMarkdown, attachText } from './bench/attach-report.js'
import { chosen, wholeNumber } from './harness/options.js'
import { REPOSITORY } from './harness/program.js'
import { scratchDirectory } from './harness/scratch.js'
import { Machine } from './virtual-machine/machine.js'

/**
 * Attach and detach beside os-brick, inside the virtual machine, each in one long-lived process:
 * `npm run bench:attach [-- --rounds 5] [-- --only machine] [-- --out FILE]`, which is Markdown; all
 * figures go to build/bench-attach.json. Volumes formatted in the machine, where a key derivation is
 * given what suits an emulated computer, and volumes with the cost that an idle computer of today picks.
 * The peer opens what os-brick makes; volseal what volseal makes, or makes of os-brick's (luks tune).
 */
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    only: { type: 'string', multiple: true },
    out: { type: 'string' },
  },
})
const rounds = wholeNumber('--rounds', values.rounds, 1)

type Provider = 'luks' | 'luks2'

interface Case {
  readonly name: string
  readonly provider: Provider
  readonly made: (typeof MADE)[number]
}

/** `tuned`: the peer's volume of the case before. */
const MADE = ['in the machine', 'on a host', 'tuned'] as const

/** What cryptsetup's benchmark picks for two seconds; forced, because this computer may be busy. */
const HOST_COST: Readonly<Record<Provider, readonly string[]>> = {
  luks: ['--pbkdf-force-iterations', '2000000'],
  luks2: ['--pbkdf', 'argon2id', '--pbkdf-memory', '1048576', '--pbkdf-force-iterations', '4'],
}

const CASES: readonly Case[] = (['luks', 'luks2'] as const).flatMap((provider) =>
  MADE.map((made) => ({
    name: made === 'tuned' ? `${provider}, the same tuned` : `${provider}, formatted ${made}`,
    provider,
    made,
  })),
)

interface Answer {
  readonly seconds: number
  readonly error?: string | null
}

const MAIN = join(REPOSITORY, 'dist/cli/main.js')
const directory = scratchDirectory('bench-attach')
const state = join(directory, 'state')
let store: ReturnType<typeof makeStore> | undefined
const cases = chosen(CASES, values.only)
const disks = cases.flatMap((each) => [diskOf(each, 'os-brick'), diskOf(each, 'volseal')])
await using machine = await Machine.boot({ disks, memoryMiB: 3072 })
await machine.shell(`mkdir -p ${BENCH}/bin ${BENCH}/dev; cd ${BENCH}
  mkfifo volseal.in volseal.out os-brick.in os-brick.out
  for disk in /dev/vd[b-z]; do ln -s $disk dev/v-\${disk#/dev/}; done`)
for (const { file, text } of Object.values(SIDES)) await machine.run('tee', [file], { input: text })

const results: AttachResult[] = []
await withSides('', async (ask) => {
  for (const [index, each] of cases.entries()) {
    const result = await measure(ask, index, each)
    // What the peer takes for the volume as it was.
    if (each.made === 'tuned') copyPeer(result, results.at(-1))
    results.push(result)
  }
})
await measureCommand()
await trace()
await withSides(`${BENCH}/bin:`, async (ask) => {
  for (const [index, { traced, name }] of results.entries()) {
    const provider = name.startsWith('luks2') ? 'luks2' : 'luks'
    for (const side of sidesOf(name)) {
      await machine.shell(`rm -f ${BENCH}/trace`)
      await ask(side, { verb: 'attach', ...place(index, side), provider })
      const { stdout } = await machine.shell(`cat ${BENCH}/trace`)
      await ask(side, { verb: 'detach', ...place(index, side), provider })
      traced[side] = programsIn(stdout)
    }
  }
})
await report()

function sidesOf(name: string): readonly SideName[] {
  return name.endsWith('tuned') ? ['volseal'] : ['os-brick', 'volseal']
}

function copyPeer(result: AttachResult, earlier: AttachResult | undefined): void {
  if (earlier === undefined) return
  Object.assign(result.seconds, { 'os-brick': earlier.seconds['os-brick'] })
}

/** The volume on the host; `tuned` is what `luks tune` makes of os-brick's. */
function diskOf({ provider, made }: Case, side: SideName): string | { path: string; size: string } {
  if (made === 'in the machine') return '64M'
  const path = join(directory, `${provider}-${made}-${side}.img`)
  if (made === 'tuned') {
    copyFileSync(join(directory, `${provider}-on a host-os-brick.img`), path)
    if (side === 'volseal') volseal(['luks', 'tune', path, '--backup-dir', join(state, 'backups')])
    return { path, size: '64M' }
  }
  writeFileSync(path, '')
  truncateSync(path, 64 * 1024 * 1024)
  if (side === 'volseal') volseal(['luks', 'format', path, '--provider', provider])
  else {
    const type = provider === 'luks' ? 'luks1' : 'luks2'
    const options = ['--cipher', 'aes-xts-plain64', '--key-size', '256', ...HOST_COST[provider]]
    cryptsetup(['--batch-mode', 'luksFormat', '--type', type, ...options, '--key-file=-', path])
  }
  return { path, size: '64M' }
}

/** The key store with the volumes' key. */
function makeStore(): { keys: readonly string[]; keyId: string } {
  const keys = ['--key-store', join(state, 'keys'), '--key-store-key', join(state, 'key')]
  mkdirSync(state, { recursive: true })
  const put = ['secret', 'put', '-', '--type', 'symmetric', '--json', ...keys]
  const stored = spawnSync('node', [MAIN, ...put], { input: Buffer.from(KEY_HEX, 'hex') })
  const { id }: { id: string } = JSON.parse(String(stored.stdout))
  return { keys, keyId: id }
}

function volseal(args: readonly string[]): void {
  store ??= makeStore()
  const { keys, keyId } = store
  const ended = spawnSync('node', [MAIN, ...args, '--key-id', keyId, '--key-is-random', ...keys])
  if (ended.status !== 0) throw new Error(String(ended.stderr))
}

function cryptsetup(args: readonly string[]): void {
  const { status, stderr } = spawnSync('cryptsetup', args, { input: KEY_HEX })
  if (status !== 0) throw new Error(String(stderr))
}

/** A link to a case's disk, as a connector makes it. */
function place(index: number, side: SideName): { device: string } {
  const letter = String.fromCharCode('b'.charCodeAt(0) + index * 2 + (side === 'volseal' ? 1 : 0))
  return { device: `${BENCH}/dev/v-vd${letter}` }
}

type Ask = (side: SideName, request: Record<string, unknown>) => Promise<number>

/** Runs `use` with both processes there. */
async function withSides(path: string, use: (ask: Ask) => Promise<void>): Promise<void> {
  const PATH = `${path}/usr/sbin:/usr/bin:/sbin:/bin`
  const running = await Promise.all(
    Object.values(SIDES).map(
      async ({ argv: [file = '', ...args] }) =>
        await machine.start(file, args, { env: { PATH }, timeoutMs: 3_600_000 }),
    ),
  )
  try {
    await use(async (side, request) => {
      const { stdout } = await machine.shell(
        `echo '${JSON.stringify(request)}' >${BENCH}/${side}.in; head -n 1 ${BENCH}/${side}.out`,
      )
      const { seconds, error }: Answer = JSON.parse(stdout)
      if (error) throw new Error(`${side} ${JSON.stringify(request)}: ${error}`)
      const device = String(request['device'])
      // A connector makes the link anew before the next attach.
      const disk = device.replace(/^.*v-/, '/dev/')
      if (request['verb'] === 'detach') await machine.shell(`ln -sfn ${disk} ${device}`)
      return seconds
    })
  } finally {
    for (const each of running) each.kill('SIGKILL')
    // When the machine has failed, what failed first is told, and not that these went with it.
    await Promise.allSettled(running.map(async ({ ended }) => await ended))
  }
}

/** Rounds by turns; what comes before the first formats blank disks, and is not counted. */
async function measure(ask: Ask, index: number, each: Case): Promise<AttachResult> {
  console.error(`${each.name} …`)
  const { provider } = each
  const firstUse = { provider, firstUse: { volumeId: `volume-${index}`, evidence: 'blank' } }
  const seconds: AttachResult['seconds'] = {
    'os-brick': { attach: [], detach: [] },
    volseal: { attach: [], detach: [] },
  }
  for (let round = each.made === 'in the machine' ? 0 : 1; round <= rounds; round += 1) {
    const sides = sidesOf(each.name)
    for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
      for (const verb of ['attach', 'detach'] as const) {
        const took = await ask(side, { verb, ...place(index, side), provider, firstUse })
        if (round > 0) seconds[side][verb].push(took)
      }
    }
  }
  const nothing = { programs: 0, memory: 0 }
  const traced = { 'os-brick': nothing, volseal: nothing }
  return { name: each.name, seconds, command: { attach: [], detach: [] }, traced }
}

/** `volseal attach` and `detach` as a person has them: Node starts each time. */
async function measureCommand(): Promise<void> {
  await machine.run('tee', [`${BENCH}/key`], { input: Buffer.from(KEY_HEX, 'hex') })
  const command = 'PATH=/usr/sbin:/usr/bin:/sbin:/bin node /opt/volseal/dist/cli/main.js'
  const key = `--key-file ${BENCH}/key --key-type symmetric`
  for (const [index, { name, command: seconds }] of results.entries()) {
    const { device } = place(index, 'volseal')
    for (let round = 0; round < rounds; round += 1) {
      seconds.attach.push(await timed(`${command} attach ${device} ${key}`, name))
      seconds.detach.push(await timed(`${command} detach ${device}`, name))
    }
  }
}

async function timed(line: string, name: string): Promise<number> {
  const clock = 'date +%s%N'
  const { stdout, stderr } = await machine.shell(
    `began=$(${clock}); ${line} >/dev/null && echo $(($(${clock}) - began))`,
  )
  if (stdout === '') throw new Error(`${name}: ${line}: ${stderr}`)
  return Number(stdout) / 1e9
}

async function trace(): Promise<void> {
  await machine.run('tee', [`${BENCH}/tracer`], { input: TRACER_TEXT })
  const links = TRACED.map((name) => `ln -s ../tracer ${BENCH}/bin/${name}`).join('; ')
  await machine.shell(`chmod +x ${BENCH}/tracer; ${links}`)
}

function programsIn(text: string): { programs: number; memory: number } {
  const lines = text
    .trim()
    .split('\n')
    .map((line) => line.split(' '))
  const memory = lines.filter(([name]) => name === 'cryptsetup').map(([, kib]) => Number(kib))
  return { programs: lines.length, memory: Math.round(Math.max(...memory) / 1024) }
}

async function report(): Promise<void> {
  console.log(attachText(results, rounds))
  await mkdir(`${REPOSITORY}build`, { recursive: true })
  await writeFile(`${REPOSITORY}build/bench-attach.json`, `${JSON.stringify(results, null, 2)}\n`)
  if (values.out !== undefined) await writeFile(values.out, attachMarkdown(results, rounds))
}
