import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A directory that is removed when this process ends, Ctrl-C included. */
export function scratchDirectory(name: string): string {
  const directory = mkdtempSync(join(tmpdir(), `volseal-${name}-`))
  process.on('exit', () => {
    rmSync(directory, { recursive: true, force: true })
  })
  process.once('SIGINT', () => process.exit(130))
  process.once('SIGTERM', () => process.exit(143))
  return directory
}
