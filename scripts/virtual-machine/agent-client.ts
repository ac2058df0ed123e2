import type { Duplex } from 'node:stream'
import {
  encodeFrame,
  type Frame,
  FrameReader,
  type GuestRequest,
  type ToGuest,
  type ToHost,
} from './frames.js'

export interface RunOptions {
  /** Standard input; empty when not given. */
  readonly input?: string | Buffer
  /** More input follows, by `Running.write`. */
  readonly moreInput?: boolean
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** SIGKILL to the program and what it started, and an error, after this time. */
  readonly timeoutMs?: number
  /** Called with what it prints, as it comes. */
  readonly onOutput?: (stream: 'stdout' | 'stderr', piece: Buffer) => void
}

/** How a program in the machine ended. */
export interface Ended {
  /** Null when a signal ended it. */
  readonly exitCode: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
  /** Standard output as it came, for what is no text. */
  readonly bytes: Buffer
}

/** A program that runs in the machine. */
export interface Running {
  readonly pid: number
  readonly ended: Promise<Ended>
  /** More of its standard input, where `moreInput` was asked for. */
  write(input: string | Buffer): void
  /** Sends a signal to the program, or to all of its process group, as a terminal's Ctrl-C does. */
  kill(signal: NodeJS.Signals, group?: 'group'): void
}

interface Program {
  readonly options: RunOptions
  readonly output: { readonly stdout: Buffer[]; readonly stderr: Buffer[] }
  readonly onStart: (pid: number) => void
  readonly onEnd: (ended: Ended) => void
  readonly onError: (error: Error) => void
}

const FIVE_MINUTES = 300_000
/** Pieces that the machine can take one after the other. */
const PIECE_BYTES = 64 * 1024

/** The host's side of the serial port; `guest/agent.ts` is the other one. */
export class AgentClient {
  /** Fulfilled when the machine is up. */
  readonly ready: Promise<void>
  readonly #port: Duplex
  readonly #programs = new Map<number, Program>()
  readonly #answer: (request: GuestRequest) => Promise<void>
  readonly #onKind = new Map<'ready' | 'bye', () => void>()
  #last = 0
  #gone: Error | undefined

  constructor(port: Duplex, answer: (request: GuestRequest) => Promise<void>) {
    this.#port = port
    this.#answer = answer
    this.ready = this.#heard('ready')
    const frames = new FrameReader<ToHost>()
    port.on('error', () => undefined)
    port.on('data', (piece: Buffer) => {
      for (const frame of frames.push(piece)) this.#take(frame)
    })
  }

  async start(argv: readonly string[], options: RunOptions = {}): Promise<Running> {
    if (this.#gone !== undefined) throw this.#gone
    this.#last += 1
    const id = this.#last
    const { env = {}, cwd = '/root', input = '', moreInput = false } = options
    let ended: Promise<Ended> | undefined
    const pid = await new Promise<number>((resolve, reject) => {
      ended = new Promise((onEnd, onError) => {
        const output = { stdout: [], stderr: [] }
        this.#programs.set(id, {
          options,
          output,
          onStart: resolve,
          onEnd,
          onError: (error) => {
            reject(error)
            onError(error)
          },
        })
      })
      // Who never asks for the end is not to be surprised by it.
      ended.catch(() => undefined)
      this.#say({ kind: 'start', id, argv, env, cwd })
      this.#feed(id, Buffer.from(input))
      if (!moreInput) this.#say({ kind: 'input-end', id })
    })
    return {
      pid,
      ended: this.#inTime(id, argv, ended),
      write: (more) => {
        this.#feed(id, Buffer.from(more))
      },
      kill: (signal, group) => {
        this.#say({ kind: 'signal', id, signal, group: group === 'group' })
      },
    }
  }

  /** Runs a program to its end. */
  async run(argv: readonly string[], options: RunOptions = {}): Promise<Ended> {
    const { ended } = await this.start(argv, options)
    return await ended
  }

  /** Everything is written to the disks, and the machine switched off. */
  async powerOff(): Promise<void> {
    const bye = this.#heard('bye')
    this.#say({ kind: 'power-off' })
    await bye
  }

  /** The machine is gone: nothing that was begun will end. */
  fail(error: Error): void {
    this.#gone = error
    for (const program of this.#programs.values()) program.onError(error)
    this.#programs.clear()
  }

  async #inTime(
    id: number,
    argv: readonly string[],
    ended: Promise<Ended> | undefined,
  ): Promise<Ended> {
    const program = this.#programs.get(id)
    const timeoutMs = program?.options.timeoutMs ?? FIVE_MINUTES
    const timer = setTimeout(() => {
      this.#say({ kind: 'signal', id, signal: 'SIGKILL', group: true })
      program?.onError(new Error(`in the machine, ${argv.join(' ')} took over ${timeoutMs} ms`))
    }, timeoutMs)
    try {
      if (ended === undefined) throw new Error('not started')
      return await ended
    } finally {
      clearTimeout(timer)
    }
  }

  #feed(id: number, input: Buffer): void {
    for (let at = 0; at < input.length; at += PIECE_BYTES) {
      this.#say({ kind: 'input', id }, input.subarray(at, at + PIECE_BYTES))
    }
  }

  #say(head: ToGuest, body?: Buffer): void {
    this.#port.write(encodeFrame(head, body))
  }

  async #heard(kind: 'ready' | 'bye'): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#onKind.set(kind, resolve)
    })
  }

  #take({ head, body }: Frame<ToHost>): void {
    if (head.kind === 'ready' || head.kind === 'bye') this.#onKind.get(head.kind)?.()
    else if (head.kind === 'ask') void this.#respond(head.id, head.request)
    else this.#tell(this.#programs.get(head.id), head, body)
  }

  #tell(program: Program | undefined, head: AboutProgram, body: Buffer): void {
    switch (head.kind) {
      case 'started':
        program?.onStart(head.pid)
        break
      case 'stdout':
      case 'stderr':
        program?.output[head.kind].push(body)
        program?.options.onOutput?.(head.kind, body)
        break
      case 'not-started':
        this.#programs.delete(head.id)
        program?.onError(new Error(`in the machine: ${head.error}`))
        break
      case 'ended':
        this.#programs.delete(head.id)
        program?.onEnd({ ...outputOf(program), exitCode: head.exitCode, signal: head.signal })
    }
  }

  async #respond(id: number, request: GuestRequest): Promise<void> {
    const answer = await this.#answer(request).then(
      () => ({}),
      (error: unknown) => ({ error: String(error) }),
    )
    this.#say({ kind: 'answer', id, ...answer })
  }
}

type AboutProgram = Exclude<ToHost, { kind: 'ready' | 'bye' | 'ask' }>

function outputOf({ output }: Program): Pick<Ended, 'stdout' | 'stderr' | 'bytes'> {
  const bytes = Buffer.concat(output.stdout)
  return { bytes, stdout: bytes.toString(), stderr: Buffer.concat(output.stderr).toString() }
}
