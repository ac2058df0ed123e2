import type { Streams } from './output.js'

export const PROGRESS_STYLES = ['auto', 'json', 'none'] as const
export type ProgressStyle = (typeof PROGRESS_STYLES)[number]

/** Reports of one phase of long work. */
export type Report = (bytes: number, total: number | undefined) => void

export interface Progress {
  /** A reporter for a phase such as `verifying`. */
  phase(name: string): Report
  /** Takes the bar off the terminal. */
  end(): void
}

const BAR_EVERY_MS = 100
const JSON_EVERY_MS = 1000

/** A bar where stderr is a terminal; one JSON line a second with `json`; else silence. */
export function makeProgress({ stderr }: Streams, style: ProgressStyle): Progress {
  if (style === 'json') return new Meter(JSON_EVERY_MS, (state) => stderr.write(jsonLine(state)))
  if (style === 'none' || !stderr.isTTY) return SILENT
  return new Meter(
    BAR_EVERY_MS,
    (state) => stderr.write(`\r${barLine(state, stderr.columns)}\u001B[K`),
    () => stderr.write('\r\u001B[K'),
  )
}

const SILENT: Progress = { phase: () => () => undefined, end: () => undefined }

interface State {
  readonly phase: string
  readonly bytes: number
  readonly total: number | undefined
  /** Since the phase began. */
  readonly elapsedMs: number
}

class Meter implements Progress {
  readonly #everyMs: number
  readonly #show: (state: State) => void
  readonly #clear: () => void

  constructor(everyMs: number, show: (state: State) => void, clear: () => void = () => undefined) {
    this.#everyMs = everyMs
    this.#show = show
    this.#clear = clear
  }

  phase(name: string): Report {
    const began = performance.now()
    let shown = began
    return (bytes, total) => {
      const now = performance.now()
      if (now - shown < this.#everyMs) return
      shown = now
      this.#show({ phase: name, bytes, total, elapsedMs: now - began })
    }
  }

  end(): void {
    this.#clear()
  }
}

function jsonLine({ phase, bytes, total, elapsedMs }: State): string {
  const state = { phase, bytes, total: total ?? null, elapsedMs: Math.round(elapsedMs) }
  return `${JSON.stringify(state)}\n`
}

const BAR_WIDTH = { least: 5, most: 24 } as const

/** The numbers first; the bar takes what room they leave. */
function barLine({ phase, bytes, total, elapsedMs }: State, columns: number): string {
  const rate = bytes / (elapsedMs / 1000)
  const speed = `${humanBytes(rate)}/s`
  if (total === undefined || total === 0) return `${phase} ${humanBytes(bytes)}, ${speed}`
  const share = Math.min(1, bytes / total)
  const left = `${Math.ceil((total - bytes) / rate)} s left`
  const numbers = `${humanBytes(bytes)} of ${humanBytes(total)}, ${speed}, ${left}`
  const room = columns - `${phase} [] ${numbers} `.length
  if (room < BAR_WIDTH.least) return `${phase} ${numbers}`.slice(0, columns - 1)
  const width = Math.min(BAR_WIDTH.most, room)
  const filled = Math.round(share * width)
  return `${phase} [${'#'.repeat(filled)}${'-'.repeat(width - filled)}] ${numbers}`
}

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** `2.0 GiB` for 2147483648. */
export function humanBytes(bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log2(bytes || 1) / 10)))
  const value = bytes / 1024 ** power
  return `${power === 0 ? String(Math.round(value)) : value.toFixed(1)} ${UNITS[power] ?? ''}`
}
