import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { Ended, Running, RunOptions } from '../../scripts/virtual-machine/agent-client.js'
import { Machine, type MachineOptions } from '../../scripts/virtual-machine/machine.js'
import { preparedScene } from '../cli/prepared.js'
import { expectSuccess, type Scene, shell } from '../cli/scene.js'

export type { Machine, MachineOptions }

/**
 * Boots a virtual machine; `await using` ends it. With one processor: two test files run at a time, and
 * processors that have to take turns wait for each other's locks.
 */
export async function bootMachine(options: MachineOptions = {}): Promise<Machine> {
  return await Machine.boot({ processors: 1, ...options })
}

/** A user's place inside a machine: signed image.raw, cert.pem, and a key store with KEY_ID. */
export interface GuestScene {
  /** Puts the same files into the machine again, which forgets them when it is switched off. */
  unpack(): Promise<void>
  /** Runs bash lines there; `volseal` is in PATH, `$KEY_ID`, its `$KEY_HEX`, and `$OTHER_KEY_ID` are set. */
  shell(script: string, options?: RunOptions): Promise<Ended>
  /** The same for one command that is sent signals while it runs. */
  start(command: string): Promise<Running>
  /** The passphrase of the volumes: the key in hex. */
  readonly keyHex: string
  /** The content of image.raw. */
  readonly image: Buffer
}

/** The passphrase of a volume is its key in lower-case hex. */
const KEYS = `volseal secret create; volseal secret get "$KEY_ID" | od -An -v -tx1 | tr -d ' \\n'`

/** Makes the scene of the command line's tests here, where it takes less time, and copies it. */
export async function sceneIn(machine: Machine): Promise<GuestScene> {
  const scene = await preparedScene()
  const keys = await expectSuccess(shell(scene, KEYS))
  const [OTHER_KEY_ID = '', KEY_HEX = ''] = keys.split('\n')
  const archive = packed(scene)
  const { PATH: _, ...variables } = scene.env
  const env = { ...variables, OTHER_KEY_ID, KEY_HEX }
  const guest: GuestScene = {
    unpack: async () => {
      const { stderr } = await machine.run('tar', ['-xz', '-C', '/'], { input: archive })
      if (stderr !== '') throw new Error(stderr)
    },
    shell: async (script, options = {}) =>
      await machine.shell(script, {
        ...options,
        cwd: scene.work,
        env: { ...env, ...options.env },
      }),
    start: async (command) =>
      await machine.start('bash', ['-c', `exec ${command}`], { cwd: scene.work, env }),
    keyHex: KEY_HEX,
    image: readFileSync(`${scene.work}/image.raw`),
  }
  await guest.unpack()
  return guest
}

/** The whole scene under the same absolute path, so that its variables hold there too. */
function packed({ work }: Scene): Buffer {
  const root = work.replace(/\/here$/, '')
  const { stdout } = spawnSync('tar', ['-cz', '--sparse', '-C', '/', root.slice(1)], {
    maxBuffer: 64 * 1024 * 1024,
  })
  return stdout
}

/** The JSON object of a `--json` command, with its exit code. */
export function answered({ exitCode, stdout, stderr }: Ended): Record<string, unknown> {
  try {
    const object: Record<string, unknown> = JSON.parse(stdout)
    return { exit: exitCode, ...object }
  } catch {
    throw new Error(`expected JSON, got exit code ${exitCode}: ${stdout}${stderr}`)
  }
}
