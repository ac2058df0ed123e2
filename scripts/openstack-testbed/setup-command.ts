import { output, type ProgramOptions } from '../harness/program.js'
import { TestbedFailure } from './failure.js'
import { bedEnvironment } from './processes.js'

/**
 * Runs a program that prepares a test bed, to its end; it belongs to the bed as the services do.
 *
 * @throws {TestbedFailure} with what the program said
 */
export async function runSetup(
  directory: string,
  argv: readonly string[],
  { env = {}, input }: Pick<ProgramOptions, 'env' | 'input'> = {},
): Promise<string> {
  const options = {
    cwd: directory,
    env: bedEnvironment(directory, 'setup', env),
    timeoutMs: 300_000,
    ...(input === undefined ? {} : { input }),
  }
  try {
    return (await output(argv, options)).toString()
  } catch (error) {
    throw new TestbedFailure(error instanceof Error ? error.message : String(error))
  }
}
