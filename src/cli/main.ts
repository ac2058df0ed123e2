#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { CommanderError } from '@commander-js/extra-typings'
import { VolsealError } from '../core/errors.js'
import type { Cli } from './cli.js'
import { exitCodeOf } from './exit-codes.js'
import { asVolsealError, printError } from './output.js'
import { chosenPath, runProgram } from './program.js'

/** Runs the command line, and turns whatever happens into output and an exit code. */
async function main(args: readonly string[]): Promise<number> {
  const controller = new AbortController()
  catchSignals(controller)
  const { stdout, stderr, env } = process
  const cli: Cli = { streams: { stdout, stderr }, env, signal: controller.signal, exitCode: 0 }
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
      if (controller.signal.aborted) process.exit(exitCodeOf(code))
      controller.abort(new VolsealError(code, `${code} by ${signal}`))
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
  const path = chosenPath(args)
  const hint = `see volseal ${path === undefined ? '' : `${path} `}--help`
  return new VolsealError('usage', error.message.replace(/^error: /, ''), { hint, cause: error })
}

/** A reader that has gone (`volseal secret list | head -1`) is no error. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

const code = await main(process.argv.slice(2))
// Waits for output that is still on its way, but not for a standard input that nobody ends.
process.stdout.write('', () => process.exit(code))
