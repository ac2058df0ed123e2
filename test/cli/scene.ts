import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { afterAll } from 'vitest'
import { CLI } from '../harness/run.js'

/**
 * A user's place to work: an empty directory, a home of its own, `volseal` in PATH, and nothing of
 * the environment that the tests themselves run in.
 */
export interface Scene {
  /** Where commands run. */
  readonly work: string
  /** TMPDIR: what is left in it was left behind. */
  readonly temporary: string
  readonly env: Readonly<Record<string, string>>
}

export interface Ended {
  /** Null when a signal ended it. */
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** The built command, for shell scripts. */
export const COMMAND: string = `'${process.execPath}' '${CLI}'`

const roots: string[] = []

// For the test file that imports this; within a test it would be too late to say so.
afterAll(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true, force: true })
})

/** Makes a scene; the command may be replaced by a script that does more. */
export function makeScene(command = `exec ${COMMAND} "$@"`): Scene {
  const root = mkdtempSync(join(tmpdir(), 'volseal-scene-'))
  roots.push(root)
  // Readable by the other users that some tests turn into.
  chmodSync(root, 0o755)
  for (const name of ['here', 'home', 'tmp', 'bin']) mkdirSync(join(root, name))
  writeFileSync(join(root, 'bin', 'volseal'), `#!/bin/sh\n${command}\n`, { mode: 0o755 })
  return sceneIn(root)
}

/** A scene with the same files and variables; sparse files stay sparse. */
export async function copyScene(model: Scene): Promise<Scene> {
  const copy = makeScene()
  const [from, to] = [rootOf(model), rootOf(copy)]
  await expectSuccess(run(copy, 'cp', ['-a', '--sparse=always', `${from}/.`, to]))
  return { ...copy, env: { ...model.env, ...copy.env } }
}

function rootOf({ work }: Scene): string {
  return join(work, '..')
}

function sceneIn(root: string): Scene {
  const path = `${join(root, 'bin')}:${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`
  const home = join(root, 'home')
  const env = {
    PATH: path,
    HOME: home,
    XDG_DATA_HOME: join(home, 'data'),
    XDG_CONFIG_HOME: join(home, 'config'),
    TMPDIR: join(root, 'tmp'),
    LC_ALL: 'C',
  }
  return { work: join(root, 'here'), temporary: join(root, 'tmp'), env }
}

/** What commands have left in TMPDIR. */
export function leftovers({ temporary }: Scene): string[] {
  return readdirSync(temporary)
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>
  /** Standard input; empty when not given. */
  readonly input?: string | Buffer
  /** Without one, `stdin` of the child stays open until the test ends it. */
  readonly keepInput?: boolean
  /** A process group of its own, as a shell gives to each of its jobs. */
  readonly ownGroup?: boolean
}

/** A program that runs, and what it said when it has ended. */
export interface Running {
  readonly process: ChildProcessByStdio<Writable, Readable, Readable>
  readonly pid: number
  readonly ended: Promise<Ended>
}

export function start(
  { work, env }: Scene,
  file: string,
  args: readonly string[],
  options: RunOptions = {},
): Running {
  const child = spawn(file, args, {
    cwd: work,
    env: { ...env, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: options.ownGroup === true,
  })
  // A program that does not read its input is none of the test's business.
  child.stdin.on('error', () => undefined)
  if (options.keepInput !== true) child.stdin.end(options.input ?? '')
  return { process: child, pid: child.pid ?? 0, ended: untilEnd(child) }
}

async function untilEnd(child: ChildProcessByStdio<Writable, Readable, Readable>): Promise<Ended> {
  const output: { stdout: Buffer[]; stderr: Buffer[] } = { stdout: [], stderr: [] }
  child.stdout.on('data', (piece: Buffer) => output.stdout.push(piece))
  child.stderr.on('data', (piece: Buffer) => output.stderr.push(piece))
  return await new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => {
      const [stdout, stderr] = [output.stdout, output.stderr].map((pieces) =>
        Buffer.concat(pieces).toString(),
      )
      resolve({ code, stdout: stdout ?? '', stderr: stderr ?? '' })
    })
  })
}

/** Runs a program to its end. */
export async function run(
  scene: Scene,
  file: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Ended> {
  return await start(scene, file, args, options).ended
}

/** Runs a command line in bash, as if it had been typed. */
export async function shell(scene: Scene, line: string, options: RunOptions = {}): Promise<Ended> {
  return await run(scene, 'bash', ['-c', line], options)
}

/** What a program printed; throws when it failed. */
export async function expectSuccess(running: Promise<Ended>): Promise<string> {
  const { code, stdout, stderr } = await running
  if (code !== 0) throw new Error(`exit code ${code}\n${stdout}${stderr}`)
  return stdout
}

/** The one JSON object of a `--json` command. */
export function onlyJson({ stdout }: Pick<Ended, 'stdout'>): Record<string, unknown> {
  const [line = '', ...rest] = stdout.split('\n')
  if (rest.length !== 1 || rest[0] !== '') throw new Error(`expected one line, got ${stdout}`)
  const object: Record<string, unknown> = JSON.parse(line)
  return object
}
