import { Worker } from 'node:worker_threads'

/** What the thread is given. */
export interface WorkerPlan {
  readonly name: string
  readonly seed: number
  readonly seconds: number
  readonly directory: string
  /** Holds the input that is being tried. */
  readonly window: SharedArrayBuffer
  /** How many inputs were begun, and the length of the last one. */
  readonly state: SharedArrayBuffer
}

/** An input that broke something. */
export interface Finding {
  readonly name: string
  /** Which mutation it was; -1 for a seed as it is. */
  readonly index: number
  readonly message: string
  readonly bytes: Uint8Array
}

export interface Outcome {
  readonly inputs: number
  readonly findings: readonly Finding[]
}

const WINDOW_BYTES = 16 * 1024 * 1024
/** An input that takes so long is taken for one that never ends. */
const STUCK_MS = 15_000

/** Fuzzes one target to the end of its time, or until an input does not end or kills the thread. */
export async function fuzzTarget(options: Omit<WorkerPlan, 'window' | 'state'>): Promise<Outcome> {
  const [window, state] = [new SharedArrayBuffer(WINDOW_BYTES), new SharedArrayBuffer(8)]
  const plan: WorkerPlan = { ...options, window, state }
  const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData: plan })
  const findings: Finding[] = []
  const lost = (message: string): void => {
    findings.push({ name: options.name, index: inputs(), message, bytes: current(plan) })
  }
  const inputs = (): number => Atomics.load(new Int32Array(state), 0)
  worker.on('message', (finding: Finding) => findings.push(finding))
  worker.on('error', (error) => {
    lost(error instanceof Error ? (error.stack ?? error.message) : String(error))
  })
  const stopWatching = onStandstill(inputs, () => {
    lost(`expected less than a second, took more than ${STUCK_MS / 1000} s`)
    void worker.terminate()
  })
  // events.once would reject at the `error` that is told above.
  await new Promise((resolve) => worker.once('exit', resolve))
  stopWatching()
  return { inputs: inputs(), findings }
}

function current({ window, state }: WorkerPlan): Buffer {
  return Buffer.from(Buffer.from(window, 0, Atomics.load(new Int32Array(state), 1)))
}

function onStandstill(inputs: () => number, standstill: () => void): () => void {
  let [last, since] = [0, Date.now()]
  const timer = setInterval(() => {
    const now = inputs()
    // Before the first input the seeds are made, by programs that take their time.
    if (now !== last || now === 0) [last, since] = [now, Date.now()]
    else if (Date.now() - since > STUCK_MS) standstill()
  }, 500)
  return () => {
    clearInterval(timer)
  }
}
