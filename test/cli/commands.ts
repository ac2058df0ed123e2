import type { Cli } from '../../src/cli/cli.js'
import type { CommandShape } from '../../src/cli/completion.js'
import { describeCommands } from '../../src/cli/program.js'

const SILENT: Cli = {
  streams: { stdout: process.stdout, stderr: process.stderr },
  env: {},
  signal: new AbortController().signal,
  exitCode: 0,
}

/** All commands as the program itself knows them: a new one is tested without being named here. */
export const COMMANDS: readonly CommandShape[] = await describeCommands(SILENT)

export const PATHS: readonly string[] = COMMANDS.map(({ path }) => path)

/** Those that have nothing to do without a cloud: test/openstack has them. */
export const IN_A_CLOUD: ReadonlySet<string> = new Set([
  'images list',
  'images resign',
  'images delete',
  'secret orphans',
  'volume-type show',
  'swift rootkey create',
  'swift rootkey check',
])

/** The example in a command's help: the lines between the two last headings. */
export function exampleOf(help: string): string {
  return help
    .slice(help.indexOf('\nExample:\n') + '\nExample:\n'.length, help.indexOf('\nExit codes:'))
    .trim()
}
