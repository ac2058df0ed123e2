import { abortReason, throwIfAborted, VolsealError } from '../core/errors.js'
import { Secret } from '../core/secret.js'
import type { Cli } from './cli.js'

/** Longer is no passphrase that anybody types. */
const MOST_BYTES = 1024

/** What the control keys do while a passphrase is typed, by their byte. */
const KEYS = {
  enter: [0x0a, 0x0d],
  interrupt: [0x03],
  end: [0x04],
  erase: [0x08, 0x7f],
  clear: [0x15],
} as const
const ESCAPE = 0x1b
const FIRST_PRINTABLE = 0x20

/** Whether somebody sits there: both who answers and who is asked is a terminal. */
export function canAsk({ streams }: Cli): boolean {
  return process.stdin.isTTY && streams.stderr.isTTY
}

/**
 * Asks for a passphrase on the terminal, which shows nothing of it. However it ends, the terminal is
 * as it was; the caller wipes the result.
 *
 * @throws {VolsealError} `interrupted` for Ctrl-C, the signal's reason, `usage` for nothing
 */
export async function askPassphrase({ streams, signal }: Cli, question: string): Promise<Secret> {
  const { stdin } = process
  throwIfAborted(signal)
  // Raw mode: the terminal neither shows what is typed nor makes a signal of Ctrl-C.
  stdin.setRawMode(true)
  streams.stderr.write(question)
  try {
    return await typedLine(stdin, signal)
  } finally {
    // A signal has destroyed it already; Node then gives the terminal back when it ends.
    if (!stdin.destroyed) stdin.setRawMode(false).pause()
    streams.stderr.write('\n')
  }
}

async function typedLine(stdin: NodeJS.ReadStream, signal: AbortSignal): Promise<Secret> {
  const typed = Buffer.alloc(MOST_BYTES)
  try {
    const length = await new Promise<number>((resolve, reject) => {
      let soFar = 0
      const onData = (piece: Buffer): void => {
        try {
          const step = take(piece, typed, soFar)
          soFar = step.length
          if (step.done) resolve(soFar)
        } catch (error) {
          reject(error)
        } finally {
          piece.fill(0)
        }
      }
      signal.addEventListener('abort', () => reject(abortReason(signal)), { once: true })
      stdin.on('data', onData).once('end', () => reject(nothingTyped()))
    })
    return new Secret(Buffer.from(typed.subarray(0, length)))
  } finally {
    stdin.removeAllListeners('data')
    typed.fill(0)
  }
}

/** Adds what was typed; returns how many bytes there are now, and whether that is all. */
function take(piece: Buffer, typed: Buffer, before: number): { length: number; done: boolean } {
  let length = before
  // The arrows and their like send some bytes at once, which are no part of a passphrase.
  if (piece[0] === ESCAPE) return { length, done: false }
  for (const byte of piece) {
    if (isKey('interrupt', byte)) throw new VolsealError('interrupted', 'interrupted by Ctrl-C')
    if (isKey('enter', byte) || isKey('end', byte)) {
      if (length === 0) throw nothingTyped()
      return { length, done: true }
    }
    if (isKey('clear', byte)) length = 0
    else if (isKey('erase', byte)) length = beforeLastCharacter(typed, length)
    else if (byte >= FIRST_PRINTABLE) {
      if (length === MOST_BYTES) throw tooLong()
      typed[length] = byte
      length += 1
    }
  }
  return { length, done: false }
}

function isKey(key: keyof typeof KEYS, byte: number): boolean {
  return KEYS[key].some((candidate) => candidate === byte)
}

/** A character of UTF-8 is a first byte and those that begin with the bits 10. */
function beforeLastCharacter(typed: Buffer, length: number): number {
  let end = Math.max(0, length - 1)
  while (end > 0 && ((typed[end] ?? 0) & 0xc0) === 0x80) end -= 1
  return end
}

function nothingTyped(): VolsealError {
  return new VolsealError('usage', 'expected a passphrase, and nothing was typed')
}

function tooLong(): VolsealError {
  return new VolsealError('usage', `expected a passphrase of at most ${MOST_BYTES} bytes`)
}
