import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { runCommand } from '../core/command.js'
import { VolsealError } from '../core/errors.js'
import type { Device } from './device.js'

const UDEV_SOCKET = '/run/udev/control'
const UDEV_SECONDS = 10
/** How often udevd is asked whether it is still there while something waits for it. */
const LOOK_EVERY_MS = 5000

/**
 * Whether udevd is there and answers. A cryptsetup that finds its socket waits for udevd to have seen
 * a mapping, without any limit and deaf to SIGTERM.
 */
export async function udevState(signal?: AbortSignal): Promise<'absent' | 'answers' | 'silent'> {
  if (!existsSync(UDEV_SOCKET)) return 'absent'
  const ping = ['control', '--ping', `--timeout=${UDEV_SECONDS}`]
  const result = await runCommand('udevadm', ping, { signal }).catch(() => undefined)
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

/**
 * Runs what waits for udevd, such as `cryptsetup open`, and ends it when udevd has stopped meanwhile, by
 * the signal that `run` is given.
 *
 * @throws {VolsealError} `unavailable`, and what `run` throws
 */
export async function whileUdevAnswers<T>(
  device: Device,
  signal: AbortSignal | undefined,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const stopped = new AbortController()
  const ended = new AbortController()
  const watching = watchUdev(device, stopped, ended.signal)
  try {
    return await run(AbortSignal.any([stopped.signal, ...(signal === undefined ? [] : [signal])]))
  } finally {
    ended.abort()
    await watching
  }
}

async function watchUdev(
  device: Device,
  stopped: AbortController,
  ended: AbortSignal,
): Promise<void> {
  const pause = async (): Promise<boolean> =>
    await sleep(LOOK_EVERY_MS, true, { signal: ended }).catch(() => false)
  // One look may fail on a busy computer.
  for (let silent = 0; await pause(); ) {
    silent = (await udevState(ended)) === 'silent' ? silent + 1 : 0
    if (silent < 2) continue
    const error = new VolsealError(
      'unavailable',
      `cannot open ${device.path}: udevd has stopped answering, and cryptsetup waited for it`,
      { hint: 'it was closed again; see systemctl status systemd-udevd' },
    )
    stopped.abort(error)
    return
  }
}
