import { createInterface } from 'node:readline'
import type { Duplex } from 'node:stream'

interface Answer {
  readonly return?: unknown
  readonly error?: { readonly desc: string }
}

/** qemu's own control channel: JSON lines, one answer for each command, events in between. */
export class Monitor {
  readonly #stream: Duplex
  readonly #waiting: ((answer: Answer) => void)[] = []

  constructor(stream: Duplex) {
    this.#stream = stream.on('error', () => undefined)
    createInterface(stream).on('line', (line) => {
      const answer: Answer = JSON.parse(line)
      if ('return' in answer || 'error' in answer) this.#waiting.shift()?.(answer)
    })
  }

  async execute(command: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    const answered = new Promise<Answer>((resolve) => {
      this.#waiting.push(resolve)
    })
    this.#stream.write(`${JSON.stringify({ execute: command, arguments: args })}\n`)
    const answer = await answered
    if (answer.error === undefined) return answer.return
    throw new Error(`qemu refuses ${command}: ${answer.error.desc}`)
  }

  /** A command of the human monitor; its answer is text, errors too. */
  async human(line: string): Promise<string> {
    return String(await this.execute('human-monitor-command', { 'command-line': line }))
  }
}
