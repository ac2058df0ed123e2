import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** A program that runs until it is ended. */
export interface Holding {
  readonly end: () => Promise<void>
}

/** Starts a program and waits until it holds a lock (proc_locks(5)) that was not there before. */
export async function holding(program: string, args: readonly string[]): Promise<Holding> {
  const before = locks()
  // Of its own group, so that what it started ends with it; its standard input stays open.
  const child = spawn(program, args, { stdio: ['pipe', 'ignore', 'inherit'], detached: true })
  const ended = once(child, 'exit')
  while (locks() <= before) {
    if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}`)
    await sleep(20)
  }
  return {
    end: async () => {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      await ended
    },
  }
}

function locks(): number {
  return readFileSync('/proc/locks', 'utf8').split('\n').length
}
