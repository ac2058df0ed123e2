import { createInterface } from 'node:readline'
import { PassThrough } from 'node:stream'
import type { Machine } from './machine.js'

/** Sends a line of JSON to a program in a machine, and reads the one that it answers with. */
export type Converse<Answer> = (request: object) => Promise<Answer>

const HOUR_MS = 3_600_000

/**
 * Starts a program that answers one line after the other: what it loads takes seconds in an
 * emulated machine.
 */
export async function converseWith<Answer>(
  machine: Machine,
  argv: readonly [file: string, ...args: string[]],
  env: Readonly<Record<string, string>> = {},
): Promise<Converse<Answer>> {
  const [file, ...args] = argv
  const stdout = new PassThrough()
  let stderr = ''
  const program = await machine.start(file, args, {
    env,
    moreInput: true,
    timeoutMs: 12 * HOUR_MS,
    onOutput: (stream, piece) => {
      if (stream === 'stdout') stdout.write(piece)
      else stderr += piece.toString()
    },
  })
  void program.ended.then(
    () => stdout.end(),
    () => stdout.end(),
  )
  const lines = createInterface(stdout)[Symbol.asyncIterator]()
  return async (request) => {
    program.write(`${JSON.stringify(request)}\n`)
    const line = await lines.next()
    if (line.done === true) throw new Error(`${argv.join(' ')} has ended: ${stderr}`)
    const answer: Answer = JSON.parse(line.value)
    return answer
  }
}
