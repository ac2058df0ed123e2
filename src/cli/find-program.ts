import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { VolsealError } from '../core/errors.js'
import type { Cli } from './cli.js'

/**
 * The path of a program that an option names, as a shell finds it: a name without a slash is looked up
 * in PATH. It is one program without arguments: what needs some is a script.
 *
 * @param option for the error, such as `--commit`
 * @throws {VolsealError} `usage`
 */
export async function findProgram({ env }: Cli, program: string, option: string): Promise<string> {
  const named = program.includes('/')
  const directories = named ? ['.'] : (env['PATH'] ?? '').split(':')
  for (const directory of directories) {
    const path = named ? resolve(program) : join(directory, program)
    if (await isExecutable(path)) return path
  }
  throw new VolsealError('usage', `${option} ${program}: expected a program that can be started`, {
    hint: 'nothing was changed; name it with its directory, such as ./program, and see its mode',
  })
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return (await stat(path)).isFile()
  } catch {
    return false
  }
}
