import { parentPort, workerData } from 'node:worker_threads'
import { type LaneRequest, type LaneWork, openWork } from './lane.js'

/** The other thread's side of a lane: see `lane.ts`, which is the only one to start it. */
const given: { work: LaneWork } = { work: workerData }
const work = openWork(given.work)

parentPort?.on('message', (request: LaneRequest) => {
  parentPort?.postMessage(answer(request))
})

function answer(request: LaneRequest): Uint8Array {
  if (request.kind === 'finish') return work.finish(request.signature)
  work.update(request.piece)
  return new Uint8Array(0)
}
