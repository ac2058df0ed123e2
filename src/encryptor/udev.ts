import { existsSync } from 'node:fs'
import { runCommand } from '../core/command.js'
import { VolsealError } from '../core/errors.js'
import type { Device } from './device.js'

const UDEV_SOCKET = '/run/udev/control'
const UDEV_SECONDS = 10

/**
 * Whether udevd is there and answers. A cryptsetup that finds its socket waits for udevd to have seen
 * a mapping, without any limit and deaf to SIGTERM.
 */
export async function udevState(): Promise<'absent' | 'answers' | 'silent'> {
  if (!existsSync(UDEV_SOCKET)) return 'absent'
  const ping = ['control', '--ping', `--timeout=${UDEV_SECONDS}`]
  const result = await runCommand('udevadm', ping).catch(() => undefined)
  if (result === undefined) return 'absent'
  return result.exitCode === 0 ? 'answers' : 'silent'
}

/**
 * Makes libdevmapper add and remove mappings and their names itself (dm_udev_set_sync_support,
 * libdevmapper.h), for when udevd is what an open waited for.
 */
export const WITHOUT_UDEV = { DM_DISABLE_UDEV: '1' } as const

/**
 * A mapping must not be made while udevd is silent: cryptsetup would wait for it.
 *
 * @throws {VolsealError} `unavailable`
 */
export async function requireUdev(device: Device): Promise<void> {
  if ((await udevState()) !== 'silent') return
  throw new VolsealError(
    'unavailable',
    `cannot open ${device.path}: udevd does not answer, and cryptsetup would wait for it for ever`,
    { hint: 'nothing was written; see systemctl status systemd-udevd' },
  )
}
