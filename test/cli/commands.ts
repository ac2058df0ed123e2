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

/** Those that do nothing without a cloud: test/openstack runs them. */
export const IN_A_CLOUD: ReadonlySet<string> = new Set([
  'volume-type show',
  'swift rootkey create',
  'swift rootkey check',
])
