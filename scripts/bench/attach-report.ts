import { table } from '../../src/cli/text.js'
import type { SideName } from './attach-peers.js'
import { markdownTable } from './markdown.js'

/** What was measured of one kind of volume. */
export interface AttachResult {
  readonly name: string
  /** Seconds of each round. */
  readonly seconds: Readonly<Record<SideName, Record<'attach' | 'detach', number[]>>>
  /** Seconds of each round of the command, Node's start among them. */
  readonly command: Readonly<Record<'attach' | 'detach', number[]>>
  /** Programs that an attach runs, and cryptsetup's peak memory in MB. */
  readonly traced: Record<SideName, { programs: number; memory: number }>
}

type Column = readonly [title: string, cell: (result: AttachResult) => string]

const COLUMNS: readonly Column[] = [
  ['VOLUME', ({ name }) => name],
  ['OS-BRICK', (result) => took(result, 'os-brick', 'attach')],
  ['VOLSEAL', (result) => took(result, 'volseal', 'attach')],
  ['TIMES', (result) => ratio(result, 'attach')],
  ['DETACH', (result) => took(result, 'os-brick', 'detach')],
  ['VOLSEAL', (result) => took(result, 'volseal', 'detach')],
  ['TIMES', (result) => ratio(result, 'detach')],
  ['MEMORY', ({ traced }) => memory(traced['os-brick'])],
  ['VOLSEAL', ({ traced }) => memory(traced.volseal)],
  ['PROGRAMS', ({ traced }) => [traced['os-brick'], traced.volseal].map(programs).join(', ')],
  ['COMMAND', ({ command }) => [command.attach, command.detach].map(seconds).join(', ')],
]

const TITLES = COLUMNS.map(([title]) => title)

const about = (rounds: number): string =>
  `seconds, median of ${rounds} rounds; memory is cryptsetup's; programs run by an attach; the command is volseal attach and detach, Node's start among it`

/** The results as a table for a terminal. */
export function attachText(results: readonly AttachResult[], rounds: number): string {
  return `${about(rounds)}\n${table(TITLES, linesOf(results))}`
}

/** The same for a document. */
export function attachMarkdown(results: readonly AttachResult[], rounds: number): string {
  const heading = TITLES.map((title) => title.toLowerCase())
  return `${about(rounds)}\n\n${markdownTable(heading, linesOf(results))}`
}

function linesOf(results: readonly AttachResult[]): string[][] {
  return results.map((result) => COLUMNS.map(([, cell]) => cell(result)))
}

type Verb = 'attach' | 'detach'

function took(result: AttachResult, side: SideName, verb: Verb): string {
  return seconds(result.seconds[side][verb])
}

function seconds(times: readonly number[]): string {
  return median(times).toFixed(2)
}

/** The peer's time by ours. */
function ratio(result: AttachResult, verb: Verb): string {
  const peer = median(result.seconds['os-brick'][verb])
  return (peer / median(result.seconds.volseal[verb])).toFixed(1)
}

function memory(side: AttachResult['traced'][SideName]): string {
  return side.memory === 0 ? '-' : `${side.memory} MB`
}

function programs(side: AttachResult['traced'][SideName]): string {
  return String(side.programs || '-')
}

function median(times: readonly number[]): number {
  const sorted = times.toSorted((one, other) => one - other)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
