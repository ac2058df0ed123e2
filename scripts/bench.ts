import { mkdir, writeFile } from 'node:fs/promises'
import { loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { type Fixtures, makeFixtures } from './bench/fixtures.js'
import { type Contender, type Measurement, measure } from './bench/measure.js'
import { machineFacts, markdownOf, type RowResult, summarizeRow, tableOf } from './bench/report.js'
import { ROWS, type Row } from './bench/rows.js'
import { chosen, usage, wholeNumber } from './harness/options.js'
import { REPOSITORY, succeeds } from './harness/program.js'
import { scratchDirectory } from './harness/scratch.js'

/**
 * Measures volseal against its peers: `npm run bench [-- --size 2G] [-- --rounds 5]
 * [-- --only sign --only verify] [-- --out FILE]`.
 * Both sides of a row run in one go and by turns, so that a machine that becomes slower becomes so
 * for both. The table goes to stdout, as Markdown to FILE, and all figures to build/bench.json. Only a program that fails
 * makes it fail, never the time.
 */
const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '2G' },
    rounds: { type: 'string', default: '5' },
    only: { type: 'string', multiple: true },
    out: { type: 'string' },
  },
})
const size = bytesOf(values.size)
const rounds = wholeNumber('--rounds', values.rounds, 1)
const rows = chosen(ROWS, values.only)

// What else runs takes time from both sides, but more from the one that uses two cores.
const loadBefore = loadavg()[0] ?? 0
const fixtures = makeFixtures(scratchDirectory('bench'), size)
const results: RowResult[] = []
const skipped: string[] = []
for (const row of rows) {
  if (await succeeds(row.needs)) results.push(await runRow(row, fixtures))
  else skipped.push(row.name)
}
await writeReport()

async function runRow(row: Row, made: Fixtures): Promise<RowResult> {
  console.error(`${row.name} …`)
  const { ours, peer } = await row.prepare(made)
  const mine: Measurement[] = []
  const theirs: Measurement[] = []
  const turn = async (contender: Contender, into: Measurement[]): Promise<void> => {
    into.push(await measure(contender, made.directory))
  }
  for (let round = 0; round < rounds; round += 1) {
    // Who comes first changes: whatever one side leaves behind, the other one finds as often.
    if (round % 2 === 1) await turn(peer, theirs)
    await turn(ours, mine)
    if (round % 2 === 0) await turn(peer, theirs)
  }
  return summarizeRow(row, { contender: ours, rounds: mine }, { contender: peer, rounds: theirs })
}

async function writeReport(): Promise<void> {
  const machine = await machineFacts()
  const report = {
    date: new Date().toISOString(),
    machine,
    loadBefore,
    size,
    rounds,
    rows: results,
    skipped,
  }
  await mkdir(`${REPOSITORY}build`, { recursive: true })
  await writeFile(`${REPOSITORY}build/bench.json`, `${JSON.stringify(report, null, 2)}\n`)
  const facts = `${machine['cpu']}, ${machine['cores']} cores, Node ${machine['node']}`
  if (values.out !== undefined) {
    const load = `${rounds} rounds, median; load before the run ${loadBefore.toFixed(1)}`
    await writeFile(values.out, `${facts}; ${load}\n\n${markdownOf(results)}`)
  }
  console.log(facts)
  console.log(`${size} bytes, ${rounds} rounds; peak memory by ${machine['rss']}`)
  console.log(`load before the run: ${loadBefore.toFixed(1)}\n`)
  console.log(tableOf(results))
  for (const name of skipped) console.log(`skipped, because the peer is not installed: ${name}`)
}

/** `512M`, `2G` or plain bytes. */
function bytesOf(text: string): number {
  const [, digits = '', unit = ''] = /^(\d{1,12})([KMG]?)$/.exec(text) ?? []
  if (digits === '') return usage(`--size: expected bytes such as 512M or 2G, got ${text}`)
  return Number(digits) * 1024 ** ' KMG'.indexOf(unit || ' ')
}
