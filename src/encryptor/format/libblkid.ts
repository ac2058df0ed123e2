import { lastLine, runCommand } from '../../core/command.js'
import { VolsealError } from '../../core/errors.js'

/** Exit codes of `blkid --probe` (blkid(8)). */
const FOUND = 0
const NOTHING = 2
const SEVERAL = 8

/**
 * What libblkid finds on a device or file: a name such as `xfs` or `gpt`, or undefined. It says
 * "nothing" of what cannot be read, too, so that it can only speak against blankness, never for it.
 *
 * @throws {VolsealError} `unavailable` when there is no blkid, `io`
 */
export async function probeContent(
  path: string,
  { luks = true }: { readonly luks?: boolean } = {},
): Promise<string | undefined> {
  const left = luks ? [] : ['--match-types', 'nocrypto_LUKS']
  const result = await runCommand('blkid', ['--probe', ...left, '--output', 'export', path])
  if (result.exitCode === NOTHING) return undefined
  if (result.exitCode === SEVERAL) return 'more than one kind of'
  if (result.exitCode === FOUND) {
    return /^(?:TYPE|PTTYPE)=(.+)$/m.exec(result.stdout)?.[1] ?? 'some'
  }
  throw new VolsealError('io', `blkid cannot look at ${path}: ${lastLine(result)}`)
}
