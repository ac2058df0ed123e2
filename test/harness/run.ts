import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll } from 'vitest'

/** The built command. */
export const CLI: string = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

/** A directory for one test file, removed when its tests have run. */
export function scratchDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'volseal-test-'))
  afterAll(() => {
    rmSync(directory, { recursive: true, force: true })
  })
  return directory
}

/** Runs a program and returns its stdout; throws with its stderr when it fails. */
export function run(file: string, args: readonly string[], input?: string | Buffer): Buffer {
  return execFileSync(file, args, {
    ...(input === undefined ? {} : { input }),
    stdio: ['pipe', 'pipe', 'pipe'],
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, LC_ALL: 'C', PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` },
  })
}

/** Whether a program is installed, for tests that say what they lack when it is not. */
export function isInstalled(program: string): boolean {
  return spawnSync('sh', ['-c', `PATH=$PATH:/usr/sbin:/sbin command -v ${program}`]).status === 0
}

const CREATE_TRIES = 20

/**
 * `qemu-img create` of something encrypted. On a busy machine qemu's measure of what a key derivation
 * costs finds that no time has passed, and fails ("Unable to get accurate CPU usage").
 */
export function qemuCreate(args: readonly string[]): void {
  for (let tries = 1; ; tries += 1) {
    try {
      run('qemu-img', ['create', '-q', ...args])
      return
    } catch (error) {
      const isMeasure = error instanceof Error && error.message.includes('accurate CPU usage')
      if (!isMeasure || tries === CREATE_TRIES) throw error
    }
  }
}
