import { type ChildProcess, spawn } from 'node:child_process'
import { type Ended, runProgram } from './program.js'
import { CLI } from './run.js'
import type { Testbed } from './testbed.js'

/** The built command as one of a test bed's users. */
export async function volseal(
  testbed: Testbed,
  user: string,
  args: readonly string[],
): Promise<Ended> {
  return await runProgram(process.execPath, [CLI, ...args, '--os-cloud', user], {
    env: { OS_CLIENT_CONFIG_FILE: testbed.clouds },
  })
}

/** What it prints with --json; the caller says what shape it has. */
export async function volsealJson<T>(
  testbed: Testbed,
  user: string,
  args: readonly string[],
): Promise<T> {
  const { stdout, stderr } = await volseal(testbed, user, [...args, '--json'])
  if (stdout === '') throw new Error(stderr)
  const body: T = JSON.parse(stdout)
  return body
}

/** The same, left running, to be sent signals. */
export function startVolseal(
  testbed: Testbed,
  user: string,
  args: readonly string[],
): ChildProcess {
  return spawn(process.execPath, [CLI, ...args, '--os-cloud', user], {
    env: { ...process.env, LC_ALL: 'C.UTF-8', OS_CLIENT_CONFIG_FILE: testbed.clouds },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}
