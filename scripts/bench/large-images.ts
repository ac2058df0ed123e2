import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { output, REPOSITORY } from '../harness/program.js'
import { type Measurement, measure } from './measure.js'

/** The same work on large images on each side, and what volseal does beyond it in rows of its own. */

export interface LargeImages {
  /** Has `large.raw`, keys and certificates, and `state`, which tells the certificate's id. */
  readonly directory: string
  /** Lines of bash, with the variables of `state`. */
  readonly bash: (command: string) => readonly string[]
  /** How often each is run, in turns. */
  readonly rounds: number
}

interface Task {
  readonly command: string
  /** Run after it, and not measured. */
  readonly after: string
}

const PROPERTIES = [
  '--property img_signature="$signature"',
  '--property img_signature_certificate_uuid="$certificate"',
  '--property img_signature_hash_method=SHA-256',
  '--property img_signature_key_type=RSA-PSS',
].join(' ')

const CREATE = 'openstack image create --disk-format raw --file large.raw large'
const DELETE = 'openstack image delete "$(cat large.id)"'
const SIGN =
  'openssl dgst -sha256 -sign private_key.pem -sigopt rsa_padding_mode:pss large.raw | base64 -w 0'

const LIBRARY = `node --input-type=module -e "$PROGRAM" ${REPOSITORY}dist/index.js`

function program(text: string): string {
  return `PROGRAM=$(cat <<'END'\n${text}\nEND\n)\n${LIBRARY}`
}

/** Upload alone: no command does that, since an image that nobody has read back is not published. */
const UPLOAD = `
import { randomUUID } from 'node:crypto'
import { open, writeFile } from 'node:fs/promises'
const { openCloud } = await import(process.argv[1])
const cloud = await openCloud({ env: process.env })
const file = await open('large.raw')
const { size } = await file.stat()
async function* pieces() {
  for (let at = 0; at < size; at += 2 ** 20) {
    const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(2 ** 20), 0, 2 ** 20, at)
    yield buffer.subarray(0, bytesRead)
  }
}
const id = randomUUID()
await writeFile('large.id', id)
await cloud.glance.create({ id, name: 'large', diskFormat: 'raw', containerFormat: 'bare' })
await cloud.glance.upload(id, { size, open: pieces, again: true })
await cloud.close()
`

/** As `sign --publish`, which tells its phases only to the second. */
const PUBLISH = `
import { readFile, writeFile } from 'node:fs/promises'
const { openCloud, publishImage } = await import(process.argv[1])
const cloud = await openCloud({ env: process.env })
let verifyingSince
const { imageId } = await publishImage({
  cloud,
  image: 'large.raw',
  key: await readFile('key.pem'),
  certificate: await readFile('cert.pem'),
  onVerifyProgress: () => { verifyingSince ??= performance.now() },
})
await writeFile('verifying', String((performance.now() - verifyingSince) / 1000))
await writeFile('large.id', imageId)
await cloud.close()
`

const TASKS = {
  create: { command: `${CREATE} -c id -f value >large.id`, after: DELETE },
  upload: { command: program(UPLOAD), after: DELETE },
  signAndCreate: {
    command: `signature=$(${SIGN})\n${CREATE} ${PROPERTIES} -c id -f value >large.id`,
    after: DELETE,
  },
  publish: { command: program(PUBLISH), after: 'mv large.id signed.id' },
  save: {
    command: 'openstack image save --file saved.raw "$(cat signed.id)"',
    after: 'rm saved.raw',
  },
  write: {
    command: 'volseal write "glance:$(cat signed.id)" saved.raw --trusted cert.pem',
    after: 'rm saved.raw',
  },
  verify: {
    command: 'volseal verify "glance:$(cat signed.id)" --trusted cert.pem',
    after: 'openstack image delete "$(cat signed.id)"',
  },
} as const satisfies Record<string, Task>

type TaskName = keyof typeof TASKS
type Figures = readonly [seconds: string, memory: string]

/** What was done, and of each side its median of the seconds and the most memory. */
export async function largeImageRows(images: LargeImages): Promise<string[][]> {
  const runs = new Map<TaskName, Measurement[]>()
  const published: Measurement[] = []
  for (let round = 0; round < images.rounds; round += 1) {
    for (const name of NAMES) {
      const run = await measured(name, images)
      runs.set(name, [...(runs.get(name) ?? []), run])
      if (name === 'publish') published.push(untilActive(run, images))
    }
  }
  const of = (name: TaskName): Figures => figures(runs.get(name) ?? [])
  return [
    ['upload, as it is', ...of('create'), ...of('upload')],
    ['sign and upload', ...of('signAndCreate'), ...figures(published)],
    ['the same, then read it back and verify it', '', '', ...of('publish')],
    ['download into a file; volseal verifies it before', ...of('save'), ...of('write')],
    ['download to verify it only', '', '', ...of('verify')],
  ]
}

const NAMES = ['create', 'upload', 'signAndCreate', 'publish', 'save', 'write', 'verify'] as const

async function measured(name: TaskName, { directory, bash }: LargeImages): Promise<Measurement> {
  const { command, after } = TASKS[name]
  // What an earlier task wrote must not be written out at the cost of this one.
  await output(['sync'])
  const run = await measure({ label: name, argv: bash(command) }, directory)
  await output(bash(after))
  return run
}

/** Publishing without its last phase: as far as the official commands go. */
function untilActive(run: Measurement, { directory }: LargeImages): Measurement {
  const verifying = Number(readFileSync(join(directory, 'verifying'), 'utf8'))
  return { ...run, seconds: run.seconds - verifying }
}

function figures(runs: readonly Measurement[]): Figures {
  const seconds = runs.map((run) => run.seconds).toSorted((a, b) => a - b)
  const middle = seconds[Math.floor(seconds.length / 2)] ?? 0
  const most = Math.max(...runs.map(({ rssBytes }) => rssBytes ?? 0))
  const memory = most === 0 ? '-' : `${Math.round(most / 1024 ** 2)} MB`
  return [`${middle.toFixed(1)} s`, memory]
}
