import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'

export interface Ended {
  /** Null when a signal ended it. */
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program without standing in the way of other tests, and says how it ended. */
export async function runProgram(
  file: string,
  args: readonly string[],
  { input = '', env = {} }: { input?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Ended> {
  const child = spawn(file, args, { env: { ...process.env, LC_ALL: 'C.UTF-8', ...env } })
  child.stdin.on('error', () => undefined).end(input)
  const ended = once(child, 'close')
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), ended])
  return { code: child.exitCode, stdout, stderr }
}

/** The standard output of a program that must succeed. */
export async function outputOf(
  file: string,
  args: readonly string[],
  options: { input?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  const { code, stdout, stderr } = await runProgram(file, args, options)
  if (code === 0) return stdout
  throw new Error(
    `${file} ${args[0] ?? ''}: exit code ${code ?? 'none (killed)'}\n${stderr}${stdout}`,
  )
}
