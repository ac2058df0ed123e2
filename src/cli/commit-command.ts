import { lastLine, runCommand } from '../core/command.js'
import { VolsealError } from '../core/errors.js'
import type { NewVolumeKey } from '../face/rekey-volume.js'
import type { Cli } from './cli.js'
import { findProgram } from './find-program.js'

/**
 * A program that takes a volume's new key over. It is started without a shell, and has as much time
 * as it takes. That it can be started at all is found out before anything is changed.
 *
 * @throws {VolsealError} `usage`
 */
export async function commitCommand(
  cli: Cli,
  program: string,
): Promise<(key: NewVolumeKey) => Promise<void>> {
  const path = await findProgram(cli, program, '--commit')
  return async ({ newKeyId, oldKeyId, uuid }) => {
    const result = await runCommand(path, [newKeyId, oldKeyId, uuid], {
      signal: cli.signal,
      timeoutMs: 0,
    })
    if (result.exitCode === 0) return
    const why = lastLine(result)
    throw new VolsealError(
      'unavailable',
      `${program} did not take the new key ${newKeyId} over: ${why}`,
    )
  }
}
