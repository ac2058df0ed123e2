import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Scratch {
  readonly directory: string
  remove(): Promise<void>
}

/**
 * A directory that goes when this process goes, even by SIGKILL: a shell waits for the end of a
 * pipe that only this process holds, and removes it then.
 */
export function scratchForMachine(): Scratch {
  const directory = mkdtempSync(join(tmpdir(), 'volseal-machine-'))
  const guard = spawn('sh', ['-c', 'read -r _; rm -rf "$1"', 'sh', directory], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  guard.unref()
  return {
    directory,
    remove: async () => {
      await end(guard)
    },
  }
}

async function end(guard: ChildProcess): Promise<void> {
  if (guard.exitCode !== null) return
  guard.ref()
  guard.stdin?.end()
  await once(guard, 'exit')
}
