import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, vi } from 'vitest'
import { REPOSITORY } from '../../scripts/virtual-machine/paths.js'
import { scratchDirectory } from '../harness/run.js'

const scratch = scratchDirectory()

/** Processes that have inherited the mark, by what they are called. */
function processesWith(mark: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        if (!readFileSync(`/proc/${pid}/environ`, 'utf8').includes(mark)) return []
        return [readFileSync(`/proc/${pid}/comm`, 'utf8').trim()]
      } catch {
        return []
      }
    })
}

it.each(['SIGINT', 'SIGTERM', 'SIGKILL'] as const)(
  'a run that %s ends leaves no process, no directory and no socket',
  async (signal) => {
    const temporary = mkdtempSync(join(scratch, 'tmp-'))
    const mark = randomUUID()
    const run = ['build/scripts/vm.js', 'run', 'test/guest/volumes.test.ts', '--disk', '48M']
    const child = spawn(process.execPath, run, {
      cwd: REPOSITORY,
      env: { ...process.env, TMPDIR: temporary, TEST_MARK: mark, VOLSEAL_COUNTS: '/dev/null' },
      stdio: 'ignore',
    })
    const wait = { timeout: 60_000, interval: 100 }
    await vi.waitFor(() => expect(processesWith(mark)).toContain('qemu-system-x86'), wait)
    expect(readdirSync(temporary)).toHaveLength(1)
    const ended = once(child, 'exit')
    child.kill(signal)
    expect(await ended).toEqual([null, signal])
    await vi.waitFor(() => expect(processesWith(mark)).toEqual([]), wait)
    await vi.waitFor(() => expect(readdirSync(temporary)).toEqual([]), wait)
  },
)
