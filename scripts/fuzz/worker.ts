import { parentPort, workerData } from 'node:worker_threads'
import { minimize } from './minimize.js'
import { makeSeed, mutate } from './mutator.js'
import { makeRandom } from './random.js'
import { attempt, type Failure, type Target } from './target.js'
import { TARGETS } from './targets.js'
import type { Finding, WorkerPlan } from './watch.js'

/**
 * Fuzzes one target on a thread of its own, so that an input that never ends can be found from
 * outside: see `watch.ts`, which starts it. Every input is shown there before it is tried.
 */
const { plan }: { plan: WorkerPlan } = { plan: workerData }
const window = Buffer.from(plan.window)
const state = new Int32Array(plan.state)

const found = TARGETS.find(({ name }) => name === plan.name)
if (found !== undefined) await fuzz(found)

async function fuzz(target: Target): Promise<void> {
  const seeds = (await target.seeds(plan.directory)).map(makeSeed)
  const [first, ...others] = seeds
  if (first === undefined) throw new Error(`${target.name} has no seeds`)
  const kinds = new Set<string>()
  const once = async (bytes: Buffer, index: number): Promise<void> => {
    show(bytes)
    const failure = await attempt(target, bytes)
    if (failure === undefined || kinds.has(failure.kind)) return
    kinds.add(failure.kind)
    report(await minimize(target, bytes, failure), index, failure)
  }
  for (const { bytes } of seeds) await once(bytes, -1)
  const end = Date.now() + plan.seconds * 1000
  for (let index = 0; Date.now() < end; index += 1) {
    await once(mutate([first, ...others], makeRandom(plan.seed, target.name, index)), index)
  }
}

function show(bytes: Buffer): void {
  bytes.copy(window)
  Atomics.store(state, 1, bytes.length)
  Atomics.add(state, 0, 1)
}

function report(bytes: Buffer, index: number, failure: Failure): void {
  const finding: Finding = { name: plan.name, index, message: failure.message, bytes }
  parentPort?.postMessage(finding)
}
