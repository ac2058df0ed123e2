import { expect, it } from 'vitest'
import { type AttachResult, attachMarkdown, attachText } from '../../scripts/bench/attach-report.js'
import type { Measurement } from '../../scripts/bench/measure.js'
import { markdownOf, summarizeRow } from '../../scripts/bench/report.js'
import type { Bar } from '../../scripts/bench/rows.js'
import { chosen } from '../../scripts/harness/options.js'

const RESULT: AttachResult = {
  name: 'luks2, formatted on a host',
  seconds: {
    'os-brick': { attach: [30, 25, 20], detach: [0.5, 0.4, 0.6] },
    volseal: { attach: [0.4, 0.5, 9], detach: [1, 1, 1] },
  },
  command: { attach: [2, 1, 3], detach: [0.5, 0.6, 0.7] },
  traced: { 'os-brick': { programs: 2, memory: 1031 }, volseal: { programs: 1, memory: 8 } },
}

it('an attach benchmark tells a terminal and a document the same', () => {
  const times = ['25.00', '0.50', '50.0', '0.50', '1.00', '0.5']
  const cells = [...times, '1031 MB', '8 MB', '2, 1', '2.00, 0.60']
  const [, heading, rule, line, rest] = attachMarkdown([RESULT], 3).split(/\n+/)
  expect(heading).toMatch(/^\| volume \| os-brick \| volseal \| times \|/)
  expect(rule).toBe(`|${' --- |'.repeat(11)}`)
  expect(line).toBe(`| ${[RESULT.name, ...cells].join(' | ')} |`)
  expect(rest).toBe('')
  expect(attachText([RESULT], 3)).toContain('median of 3 rounds')
  expect(attachText([RESULT], 3).split('\n').at(-1)).toMatch(new RegExp(cells.join(' +')))
})

it('what was not measured is a dash', () => {
  const nothing = { programs: 0, memory: 0 }
  const traced = { 'os-brick': nothing, volseal: nothing }
  expect(attachMarkdown([{ ...RESULT, traced }], 1)).toContain('| - | - | -, - |')
})

const BAR: Bar = { ratio: 1 / 50, rssBytes: 20e6 }

function round(seconds: number, rssBytes = 8e6): Measurement {
  return { seconds, cpuSeconds: null, rssBytes }
}

it.each([
  ['a goal that is reached', 0.02, 2, 'ok', '20 ms | 2.0 s (theirs) | 100 times faster'],
  [
    'a goal that is missed',
    0.05,
    2,
    'slower than 0.02',
    '50 ms | 2.0 s (theirs) | 40 times faster',
  ],
  [
    'what takes longer',
    0.3,
    0.12,
    'slower than 0.02',
    '300 ms | 120 ms (theirs) | 2.5 times as long',
  ],
])('%s', (_, ours, theirs, verdict, cells) => {
  const prepare = async (): Promise<never> => await Promise.reject(new Error('not run here'))
  const row = { name: 'open', needs: [], prepare, bar: BAR }
  const result = summarizeRow(
    row,
    { contender: { label: 'ours', argv: [] }, rounds: [round(ours)] },
    { contender: { label: 'theirs', argv: [] }, rounds: [round(theirs)] },
  )
  expect(result.verdict).toBe(verdict)
  expect(markdownOf([result])).toContain(`| open | ${cells} | 8 MB, 8 MB |\n`)
})

it('--only takes rows by their name, or by what is in it, in their own order', () => {
  const rows = ['verify', 'verify, cursive', 'open LUKS1', 'open LUKS2'].map((name) => ({ name }))
  const names = (...only: string[]): string[] => chosen(rows, only).map(({ name }) => name)
  expect(chosen(rows, undefined)).toBe(rows)
  expect(names('verify')).toEqual(['verify'])
  expect(names('LUKS', 'cursive', 'LUKS1')).toEqual(['verify, cursive', 'open LUKS1', 'open LUKS2'])
})
