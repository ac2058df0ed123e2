import { arch, cpus, release, totalmem } from 'node:os'
import { table } from '../../src/cli/text.js'
import { output } from '../harness/program.js'
import { markdownTable } from './markdown.js'
import { type Contender, type Measurement, RSS_METHOD } from './measure.js'
import type { Bar, Row } from './rows.js'

/** One side of a benchmark, summed up. */
export interface Side {
  readonly label: string
  readonly command: string
  /** Wall time of every round, in their order. */
  readonly seconds: readonly number[]
  readonly median: number
  readonly min: number
  readonly max: number
  readonly cpuMedian: number | null
  /** The most of all rounds. */
  readonly rssBytes: number | null
}

export interface RowResult {
  readonly name: string
  readonly ours: Side
  readonly peer: Side
  /** Median of ours by median of the peer's. */
  readonly ratio: number
  /** Median of the ratios of each round, which a machine that changes its pace disturbs less. */
  readonly pairedRatio: number
  readonly bar: Bar | null
  /** What the bar says; `-` without one. */
  readonly verdict: string
}

export function summarizeRow(
  { name, bar }: Row,
  ours: { readonly contender: Contender; readonly rounds: readonly Measurement[] },
  peer: { readonly contender: Contender; readonly rounds: readonly Measurement[] },
): RowResult {
  const [mine, theirs] = [side(ours.contender, ours.rounds), side(peer.contender, peer.rounds)]
  const pairs = mine.seconds.map((seconds, round) => seconds / (theirs.seconds[round] ?? 1))
  const ratio = mine.median / theirs.median
  return {
    name,
    ours: mine,
    peer: theirs,
    ratio,
    pairedRatio: median(pairs),
    bar: bar ?? null,
    verdict: bar === undefined ? '-' : verdictOf(bar, ratio, mine.rssBytes),
  }
}

function side(contender: Contender, rounds: readonly Measurement[]): Side {
  const seconds = rounds.map((round) => round.seconds)
  const cpu = known(rounds.map((round) => round.cpuSeconds))
  const rss = known(rounds.map((round) => round.rssBytes))
  return {
    label: contender.label,
    command: 'argv' in contender ? contender.argv.join(' ') : 'a function',
    seconds,
    median: median(seconds),
    min: Math.min(...seconds),
    max: Math.max(...seconds),
    cpuMedian: cpu.length === 0 ? null : median(cpu),
    rssBytes: rss.length === 0 ? null : Math.max(...rss),
  }
}

function known(values: readonly (number | null)[]): number[] {
  return values.filter((value) => value !== null)
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other)
  const middle = sorted.length / 2
  const [low, high] = [sorted[Math.ceil(middle) - 1] ?? 0, sorted[Math.floor(middle)] ?? 0]
  return (low + high) / 2
}

function verdictOf(bar: Bar, ratio: number, rssBytes: number | null): string {
  const slow = ratio > bar.ratio ? [`slower than ${bar.ratio}`] : []
  const large = (rssBytes ?? 0) > bar.rssBytes ? [`over ${megabytes(bar.rssBytes)} MB`] : []
  const misses = [...slow, ...large]
  return misses.length === 0 ? 'ok' : misses.join(', ')
}

type Column = readonly [string, (row: RowResult) => string]

const COLUMNS: readonly Column[] = [
  ['benchmark', ({ name }) => name],
  ['ours, s', ({ ours }) => spread(ours)],
  ['peer, s', ({ peer }) => spread(peer)],
  ['ratio', ({ ratio }) => ratio.toFixed(2)],
  ['paired', ({ pairedRatio }) => pairedRatio.toFixed(2)],
  ['CPU s', ({ ours, peer }) => `${cpuText(ours)} / ${cpuText(peer)}`],
  ['peak MB', ({ ours, peer }) => `${megabytes(ours.rssBytes)} / ${megabytes(peer.rssBytes)}`],
  ['peer', ({ peer }) => peer.label],
  ['verdict', ({ verdict }) => verdict],
]

/** The results as a table for people. */
export function tableOf(results: readonly RowResult[]): string {
  const lines = results.map((row) => COLUMNS.map(([, cell]) => cell(row)))
  return table(
    COLUMNS.map(([title]) => title),
    lines,
  )
}

/** The same for a document. */
export function markdownOf(results: readonly RowResult[]): string {
  const heading = ['', 'volseal', 'beside it', 'ratio', 'memory']
  return markdownTable(
    heading,
    results.map(({ name, ours, peer, ratio }) => [
      name,
      duration(ours.median),
      `${duration(peer.median)} (${peer.label})`,
      ratio < 1 ? `${figure(1 / ratio)} times faster` : `${figure(ratio)} times as long`,
      `${megabytes(ours.rssBytes)} MB, ${megabytes(peer.rssBytes)} MB`,
    ]),
  )
}

function duration(seconds: number): string {
  return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`
}

function figure(value: number): string {
  return value < 10 ? value.toFixed(1) : value.toFixed(0)
}

function spread({ median: middle, min, max }: Side): string {
  return `${middle.toFixed(3)} (${min.toFixed(3)}..${max.toFixed(3)})`
}

function cpuText({ cpuMedian }: Side): string {
  return cpuMedian === null ? '-' : cpuMedian.toFixed(2)
}

function megabytes(bytes: number | null): string {
  return bytes === null ? '-' : (bytes / 1e6).toFixed(0)
}

/** What the figures depend on. */
export async function machineFacts(): Promise<Record<string, string | number>> {
  const processors = cpus()
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    architecture: arch(),
    kernel: release(),
    memoryBytes: totalmem(),
    node: process.version,
    nodeOpenssl: process.versions.openssl,
    openssl: await versionOf(['openssl', 'version']),
    cryptsetup: await versionOf(['cryptsetup', '--version']),
    rss: RSS_METHOD,
  }
}

async function versionOf(argv: readonly string[]): Promise<string> {
  return await output(argv).then(
    (text) => text.toString().trim(),
    () => 'not installed',
  )
}
