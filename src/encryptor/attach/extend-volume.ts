import { VolsealError } from '../../core/errors.js'
import { cryptsetup } from '../cryptsetup.js'
import type { Device } from '../device.js'
import { withHeaderCopy } from '../header/header-copy.js'
import type { JudgedHeader } from '../header/judge-header.js'
import { findMapping, requireMapper } from '../mapper.js'
import { WITHOUT_UDEV } from '../udev.js'
import { requireOwnMapping } from './adopt-mapping.js'
import { locateVolume } from './locate-volume.js'
import { mappingName } from './mapping-name.js'
import { withVolumeLock } from './volume-lock.js'
import { type VolumeRequest, withKey } from './volume-request.js'

/** The body of `extend --json`. */
export interface Extended {
  readonly mapping: string
  readonly path: string
  /** The encrypted side. */
  readonly device: string
  /** Decrypted bytes: what a guest may be told. */
  readonly size: number
  readonly sizeBefore: number
}

/**
 * Makes an open volume as large as its device has become.
 *
 * @throws {VolsealError} `no-device` when it is not open, and what `attachVolume` throws
 */
export async function extendVolume(request: VolumeRequest): Promise<Extended> {
  await requireMapper()
  const { path, signal } = request
  return await withVolumeLock(mappingName(path), signal, async () => await extendAlone(request))
}

async function extendAlone(request: VolumeRequest): Promise<Extended> {
  const { mapping, device } = await locateVolume(request)
  if (mapping === undefined) {
    throw new VolsealError('no-device', `the volume on ${device.path} is not open`, {
      hint: 'attach it: it is then as large as its device',
    })
  }
  const header = await requireOwnMapping(request, device, mapping)
  if (header?.reencrypting === true) throw inTheMiddle(device)
  await resize(request, mapping.name, header)
  const { size } = findMapping(mapping.name) ?? mapping
  const path = `/dev/mapper/${mapping.name}`
  return { mapping: mapping.name, path, device: device.realPath, size, sizeBefore: mapping.size }
}

/** Of two keys, each for a part: cryptsetup mostly refuses to resize that, but not always. */
function inTheMiddle({ path }: Device): VolsealError {
  return new VolsealError('busy', `the volume on ${path} is being given another volume key`, {
    hint: `nothing was changed; if nobody is at it any more: volseal luks rekey ${path} --volume-key`,
  })
}

/**
 * Not killed in the middle, which would leave the mapping suspended; and so it must not wait for
 * udevd, which may stop. The mapping has its names already, and the kernel tells udevd of the change.
 */
const RESIZING = { mustEnd: true, env: WITHOUT_UDEV } as const

async function resize(
  request: VolumeRequest,
  name: string,
  header: JudgedHeader | undefined,
): Promise<void> {
  const what = `cannot extend ${request.path}`
  if (header === undefined) {
    await cryptsetup(['resize', name], what, RESIZING)
    return
  }
  await withHeaderCopy(header, async (path) => {
    const args = ['resize', '--header', path, name]
    // The volume key of LUKS2 lies in the kernel's keyring, and the new table must be given it again.
    if (header.version === 1) await cryptsetup(args, what, RESIZING)
    else
      await withKey(request, header, async ({ passphrase }) => {
        await cryptsetup([...args, '--key-file=-'], what, { ...RESIZING, passphrase })
      })
  })
}
