import { lstat, readlink, rename, symlink, unlink } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { fromSystem, systemCode, VolsealError } from '../../core/errors.js'
import { temporaryBeside } from '../../core/temporary-name.js'

/**
 * The link under which a volume is handed on. nova puts its path into the guest's definition before
 * the volume is opened, so the path stays and its target changes.
 */

/** Where a link leads; undefined when there is none, or when the path is no link. */
export async function linkTarget(path: string): Promise<string | undefined> {
  return await readlink(path).catch(() => undefined)
}

/**
 * Makes a link lead to `target`, in one step: nobody ever sees it missing. What a kill in the middle
 * leaves beside it is removed by the next swap there, or by gc.
 *
 * @throws {VolsealError} `no-device` when something other than a link has the name
 */
export async function swapLink(path: string, target: string): Promise<void> {
  await requireLinkOrNothing(path)
  const temporary = await temporaryBeside(path)
  try {
    await symlink(target, temporary)
    await rename(temporary, path)
  } catch (error) {
    await unlink(temporary).catch(() => undefined)
    throw fromSystem(error, `cannot make ${path} a link to ${target}`)
  }
}

/**
 * os-brick replaces whatever has the name, a device node as well; later attachments then fail.
 *
 * @throws {VolsealError} `no-device`
 */
export async function requireLinkOrNothing(path: string): Promise<void> {
  if (dirname(resolve(path)) === '/dev/mapper') {
    throw new VolsealError(
      'no-device',
      `${path} is the device-mapper's own name, which leads to what it has open`,
      { hint: 'name a link elsewhere' },
    )
  }
  const stats = await lstat(path).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return undefined
    throw fromSystem(error, `cannot look at ${path}`)
  })
  if (stats === undefined || stats.isSymbolicLink()) return
  throw new VolsealError(
    'no-device',
    `${path} is no link: whoever was given this path would go on using the encrypted side`,
    {
      hint: 'connect the volume under a link (os-brick makes one in /dev/disk/by-id), or name one',
    },
  )
}

/** Removes a link when it leads where it is said to; one that was changed meanwhile is left. */
export async function removeLink(path: string, target: string): Promise<boolean> {
  if ((await linkTarget(path)) !== target) return false
  await unlink(path).catch((error: unknown) => {
    throw fromSystem(error, `cannot remove ${path}`)
  })
  return true
}

/** Whether udev may take a link back: whatever lies below /dev and is none of os-brick's own. */
export function isUdevs(path: string): boolean {
  return resolve(path).startsWith('/dev/') && !basename(path).startsWith(`${OWNED}+`)
}

const OWNED = 'os-brick'

/** Links that os-brick's connectors make, so that udev does not take them back. */
export const OWNED_LINKS = '/dev/disk/by-id'

/**
 * The device that an owned link was made for: its name is that device's path with `+` for `/`
 * (os_brick/utils.py). Undefined for any other link.
 */
export function ownedLinkDevice(path: string): string | undefined {
  const name = basename(path)
  if (dirname(resolve(path)) !== OWNED_LINKS || !name.startsWith(`${OWNED}+`)) return undefined
  return name.slice(OWNED.length).replaceAll('+', '/')
}
