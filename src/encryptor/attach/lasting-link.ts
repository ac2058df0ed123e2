import { dirname, resolve } from 'node:path'
import { runCommand } from '../../core/command.js'
import { VolsealError } from '../../core/errors.js'
import { udevState } from '../udev.js'
import { isUdevs, linkTarget, swapLink } from './device-link.js'

const SETTLE_SECONDS = 10
/** It has no limit of its own, should udevd stop meanwhile. */
const TRIGGER_MS = 30_000

/**
 * Swaps a link and sees that it stays so. Links of udev's own it makes anew at the next event, such
 * as the end of a write to the device: the guest would get the encrypted side and write over the
 * header.
 *
 * @throws {VolsealError} `no-device` when udev takes the link back
 */
export async function swapLinkForGood(path: string, target: string): Promise<void> {
  const before = await linkTarget(path)
  await swapLink(path, target)
  if (!isUdevs(path) || (await udevState()) !== 'answers') return
  try {
    await requireKept(path, target, before)
  } catch (error) {
    // What it leads to is closed again.
    if (before !== undefined && (await linkTarget(path)) === target) await swapLink(path, before)
    throw error
  }
}

async function requireKept(
  path: string,
  target: string,
  before: string | undefined,
): Promise<void> {
  await runCommand('udevadm', ['settle', `--timeout=${SETTLE_SECONDS}`])
  // A change event is what the guest's first write may bring. udev's links are relative.
  if (before !== undefined) {
    const device = resolve(dirname(path), before)
    await runCommand('udevadm', ['trigger', '--settle', device], { timeoutMs: TRIGGER_MS })
  }
  const now = await linkTarget(path)
  if (now === target) return
  throw new VolsealError(
    'no-device',
    `udev takes the link ${path} back: it leads to ${now ?? 'nothing'}`,
    {
      hint: "use a link that is not udev's, such as those of os-brick: /dev/disk/by-id/os-brick+dev+vdb",
    },
  )
}
