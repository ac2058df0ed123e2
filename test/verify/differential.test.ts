import { randomInt } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { hasCursive } from '../harness/cursive.js'
import { scratchDirectory } from '../harness/run.js'
import { agreementOf, EXCEPTIONS, isTold, REASONS } from './differential/agreement.js'
import { ACCEPTED, askReal, askVolseal } from './differential/answers.js'
import { type Case, fromJson, toJson } from './differential/case.js'
import { generateCases } from './differential/generate.js'
import { makeSigners } from './differential/signers.js'

/**
 * volseal's profile `cursive` against the real cursive, of images that are signed and then changed:
 * the same verdict for the corresponding reason. What they differ in is a row of `EXCEPTIONS`.
 *
 * VOLSEAL_SEED draws the cases of a seed again; VOLSEAL_CASE tries one again that failed.
 */
const COUNT = process.env['VOLSEAL_LONG'] === '1' ? 3000 : 300
const SEED = Number(process.env['VOLSEAL_SEED'] ?? randomInt(2 ** 31))
const REPLAYED = process.env['VOLSEAL_CASE']
const FAILED = fileURLToPath(new URL('../../build/differential/', import.meta.url))
const TIMEOUT = 600_000

/** Of these many percent at least there must be. */
const LEAST_PERCENT = 30

interface Result {
  readonly tried: Case
  readonly real: string
  readonly volseal: string
  readonly agreement: string | undefined
}

async function compare(cases: readonly Case[]): Promise<Result[]> {
  const answers = askReal(cases)
  const results: Result[] = []
  for (const [index, tried] of cases.entries()) {
    const [real, volseal] = [answers[index] ?? '', await askVolseal(tried)]
    results.push({ tried, real, volseal, agreement: agreementOf(tried.name, real, volseal) })
  }
  return results
}

/** What they disagree on, each case in a file that can be replayed. */
function disagreements(results: readonly Result[]): string[] {
  return results.flatMap(({ tried, real, volseal, agreement }, index) => {
    if (agreement !== undefined && isTold(real, volseal)) return []
    mkdirSync(FAILED, { recursive: true })
    const file = `${FAILED}${SEED}-${index}.json`
    writeFileSync(file, `${toJson(tried)}\n`)
    return [`${tried.name}\n  cursive: ${real}\n  volseal: ${volseal}\n  VOLSEAL_CASE=${file}`]
  })
}

function casesToTry(): Case[] {
  if (REPLAYED !== undefined) return [fromJson(readFileSync(REPLAYED, 'utf8'))]
  const [first, ...others] = makeSigners(scratchDirectory())
  return first === undefined ? [] : generateCases([first, ...others], SEED, COUNT)
}

it.skipIf(!hasCursive)(
  'judges images as the real cursive does (Debian package python3-cursive)',
  { timeout: TIMEOUT },
  async () => {
    const results = await compare(casesToTry())
    const accepted = results.filter(({ real }) => real === ACCEPTED).length
    const refused = results.length - accepted
    const seen = (name: string): number =>
      results.filter(({ agreement }) => agreement === name).length
    console.log(
      `${results.length} cases, ${accepted} accepted, ${refused} refused, seed ${SEED}\n${[
        ...REASONS,
        ...EXCEPTIONS,
      ]
        .map(({ name }) => `  ${seen(name)} ${name}`)
        .join('\n')}`,
    )
    expect(disagreements(results)).toEqual([])
    if (REPLAYED !== undefined) return
    expect(REASONS.filter(({ name }) => seen(name) === 0)).toEqual([])
    const least = (results.length * LEAST_PERCENT) / 100
    expect(accepted).toBeGreaterThanOrEqual(least)
    expect(refused).toBeGreaterThanOrEqual(least)
  },
)
