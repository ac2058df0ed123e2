#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { CommanderError } from '@commander-js/extra-typings'
import { fromSystem, VolsealError } from '../core/errors.js'
import type { Cli } from './cli.js'
import { exitCodeOf } from './exit-codes.js'
import { asVolsealError, errorLines, printError } from './output.js'
import { chosenPath, runProgram } from './program.js'

/** Runs the command line, and turns whatever happens into output and an exit code. */
async function main(cli: Cli, args: readonly string[]): Promise<number> {
  const { stdout } = cli.streams
  try {
    if (args[0] === '--version' || args[0] === '-V') stdout.write(`${version()}\n`)
    else await runProgram(cli, args)
    return cli.exitCode
  } catch (thrown) {
    if (isHelpShown(thrown)) return 0
    const error = fromCommander(thrown, args) ?? asVolsealError(thrown)
    const schema = chosenPath(args)?.replaceAll(' ', '-') ?? 'volseal'
    printError(cli.streams, schema, error, args.includes('--json'))
    return exitCodeOf(error.code)
  }
}

/** The first signal lets the command clean up after itself; a second one ends it at once. */
function catchSignals(controller: AbortController): void {
  const reasons = { SIGINT: 'interrupted', SIGTERM: 'terminated', SIGHUP: 'terminated' } as const
  for (const [signal, code] of Object.entries(reasons)) {
    process.on(signal, () => {
      if (controller.signal.aborted) leave(exitCodeOf(code))
      const reason = new VolsealError(code, `${code} by ${signal}`)
      controller.abort(reason)
      // Wakes who waits for a terminal, or for a pipe that nobody writes to.
      process.stdin.on('error', () => undefined).destroy(reason)
    })
  }
}

function version(): string {
  const path = new URL('../../package.json', import.meta.url)
  const { version: found }: { version: string } = JSON.parse(readFileSync(path, 'utf8'))
  return found
}

function isHelpShown(error: unknown): boolean {
  return error instanceof CommanderError && error.exitCode === 0
}

/** commander's complaints about the command line are usage errors like all others. */
function fromCommander(error: unknown, args: readonly string[]): VolsealError | undefined {
  if (!(error instanceof CommanderError)) return undefined
  // A second line is commander's guess, such as `(Did you mean --cert?)`.
  const [message = '', guess] = error.message.replace(/^error: /, '').split('\n')
  const help = `see volseal ${chosenPath(args) ?? ''} --help`.replace('  ', ' ')
  const hint = guess === undefined ? help : guess.replace('(Did', 'did').replace(')', '')
  return new VolsealError('usage', message, { hint, cause: error })
}

/**
 * A reader that has gone (`volseal secret list | head -1`) is no error, but it does not make a
 * refusal a success either. A result that a full disk swallowed is one.
 */
let lost: VolsealError | undefined
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') lost = fromSystem(error, 'cannot write to standard output')
})
// Nobody is left to tell; the exit code still says it.
process.stderr.on('error', () => undefined)

const controller = new AbortController()
catchSignals(controller)
const { stdout, stderr, env } = process
const cli: Cli = { streams: { stdout, stderr }, env, signal: controller.signal, exitCode: 0 }
const code = await main(cli, process.argv.slice(2))
// Waits for output that is still on its way, but not for a standard input that nobody ends.
process.stdout.write('', () => setImmediate(end))

function end(): never {
  if (lost === undefined || code !== 0) leave(code)
  process.stderr.write(errorLines(lost))
  leave(exitCodeOf(lost.code))
}

/** Ends with the code; by its signal where Node would wait, which a shell shows as the same code. */
function leave(exitCode: number): never {
  const signal = exitCode === exitCodeOf('interrupted') ? 'SIGINT' : 'SIGTERM'
  if (cli.unstoppable === true && controller.signal.aborted) {
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  }
  process.exit(exitCode)
}
