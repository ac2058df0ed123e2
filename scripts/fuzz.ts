import { createHash, randomInt } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { attempt } from './fuzz/target.js'
import { TARGETS } from './fuzz/targets.js'
import { type Finding, fuzzTarget } from './fuzz/watch.js'
import { chosen, usage, wholeNumber } from './harness/options.js'
import { REPOSITORY } from './harness/program.js'
import { scratchDirectory } from './harness/scratch.js'

/**
 * Feeds damaged input to everything that takes bytes from outside:
 * `npm run fuzz [-- --seconds 20] [-- --seed N] [-- --only NAME]`. An input that breaks a promise is
 * written to build/fuzz and makes it exit 1; `--only NAME --replay FILE` tries it again.
 */
const DIRECTORY = `${REPOSITORY}build/fuzz`

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '2' },
    seed: { type: 'string', default: String(randomInt(2 ** 31)) },
    only: { type: 'string', multiple: true },
    replay: { type: 'string' },
  },
})
const seconds = wholeNumber('--seconds', values.seconds, 1)
const seed = wholeNumber('--seed', values.seed, 0)
const targets = chosen(TARGETS, values.only)

process.exitCode = (await (values.replay === undefined ? fuzz() : replay(values.replay))) ? 0 : 1

async function fuzz(): Promise<boolean> {
  console.log(`seed ${seed}, ${seconds} s a target`)
  const directory = scratchDirectory('fuzz')
  let passed = true
  for (const { name } of targets) {
    const { inputs, findings } = await fuzzTarget({ name, seed, seconds, directory })
    console.log(`${name}: ${inputs} inputs, ${findings.length} findings`)
    for (const finding of findings) await keep(finding)
    passed &&= findings.length === 0
  }
  return passed
}

async function keep({ name, index, message, bytes }: Finding): Promise<void> {
  const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 12)
  const path = `${DIRECTORY}/${name}-${hash}.bin`
  await mkdir(DIRECTORY, { recursive: true })
  await writeFile(path, bytes)
  console.log(`  ${path} (seed ${seed}, input ${index}): ${message}`)
}

async function replay(path: string): Promise<boolean> {
  const [target, ...others] = targets
  if (target === undefined || others.length > 0) return usage('--replay: name one target by --only')
  // A target prepares itself with its seeds.
  await target.seeds(scratchDirectory('fuzz'))
  const failure = await attempt(target, await readFile(path))
  console.log(failure?.message ?? 'passed')
  return failure === undefined
}
