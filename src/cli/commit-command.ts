import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { lastLine, runCommand } from '../core/command.js'
import { VolsealError } from '../core/errors.js'
import type { NewVolumeKey } from '../face/rekey-volume.js'
import type { Cli } from './cli.js'

/**
 * A program that takes a volume's new key over. It is started without a shell, and has as much time
 * as it takes. That it can be started at all is found out before anything is changed.
 *
 * @throws {VolsealError} `usage`
 */
export async function commitCommand(
  { env, signal }: Cli,
  program: string,
): Promise<(key: NewVolumeKey) => Promise<void>> {
  const path = await findProgram(program, env['PATH'] ?? '')
  return async ({ newKeyId, oldKeyId, uuid }) => {
    const result = await runCommand(path, [newKeyId, oldKeyId, uuid], { signal, timeoutMs: 0 })
    if (result.exitCode === 0) return
    const why = lastLine(result)
    throw new VolsealError(
      'unavailable',
      `${program} did not take the new key ${newKeyId} over: ${why}`,
    )
  }
}

/** As a shell finds it: a name without a slash is looked up in PATH. */
async function findProgram(program: string, searchPath: string): Promise<string> {
  const directories = program.includes('/') ? ['.'] : searchPath.split(':')
  for (const directory of directories) {
    const path = program.includes('/') ? resolve(program) : join(directory, program)
    if (await isExecutable(path)) return path
  }
  throw new VolsealError('usage', `--commit ${program}: expected a program that can be started`, {
    hint: 'nothing was changed; name it with its directory, such as ./take-over, and see its mode',
  })
}

async function isExecutable(path: string): Promise<boolean> {
  return await access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}
