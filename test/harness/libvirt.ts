import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** libvirt's daemon of one user, beside whatever the computer itself runs. */
export interface Libvirt {
  readonly uri: string
  /** Its directory, for files that guests shall read. */
  readonly place: string
  readonly socket: string
  /** Where it keeps persistent secrets. */
  readonly secrets: string
  stop(): Promise<void>
}

/** nobody: as root, libvirtd would be the computer's own daemon. */
const USER = 65_534
const FOLDERS = ['config', 'run', 'cache', 'home']

/** Starts a daemon of our own, which ends with `stop`. */
export async function startLibvirt(): Promise<Libvirt> {
  const place = mkdtempSync(join(tmpdir(), 'volseal-libvirt-'))
  chmodSync(place, 0o755)
  const asRoot = process.getuid?.() === 0
  for (const folder of FOLDERS) {
    mkdirSync(join(place, folder), { mode: 0o700 })
    if (asRoot) chownSync(join(place, folder), USER, USER)
  }
  const user = asRoot ? [`--reuid=${USER}`, `--regid=${USER}`, '--clear-groups'] : []
  // It ends with us, even when we are killed.
  const setpriv = ['--pdeathsig=TERM', ...user, 'libvirtd', '-p', join(place, 'run/pid')]
  const daemon = spawn('setpriv', setpriv, {
    stdio: ['ignore', 'ignore', openSync(join(place, 'log'), 'w')],
    env: {
      PATH: `${process.env['PATH']}:/usr/sbin:/sbin`,
      HOME: join(place, 'home'),
      XDG_CONFIG_HOME: join(place, 'config'),
      XDG_RUNTIME_DIR: join(place, 'run'),
      XDG_CACHE_HOME: join(place, 'cache'),
    },
  })
  const ended = once(daemon, 'exit')
  const socket = join(place, 'run/libvirt/libvirt-sock')
  const uri = `secret+unix:///session?socket=${socket}`
  while (virsh(uri, 'uri').startsWith('error')) {
    if (daemon.exitCode !== null) throw new Error(readFileSync(join(place, 'log'), 'utf8'))
    await sleep(20)
  }
  return {
    uri,
    place,
    socket,
    secrets: join(place, 'config/libvirt/secrets'),
    stop: async () => {
      daemon.kill()
      await ended
      rmSync(place, { recursive: true, force: true })
    },
  }
}

/** What virsh says, whatever its exit code. */
export function virsh(uri: string, ...args: readonly string[]): string {
  const { stdout, stderr } = spawnSync('/usr/bin/virsh', ['-q', '-c', uri, ...args], {
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C' },
  })
  return `${stdout}${stderr}`.trim()
}
