import { VolsealError } from '../../core/errors.js'
import { cryptsetup } from '../cryptsetup.js'
import { withHeaderCopy } from '../header/header-copy.js'
import type { JudgedHeader } from '../header/judge-header.js'
import { findMapping } from '../mapper.js'
import { requireUdev } from '../udev.js'
import { requireOwnMapping } from './adopt-mapping.js'
import { locateVolume } from './locate-volume.js'
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
  const { mapping, device } = await locateVolume(request)
  if (mapping === undefined) {
    throw new VolsealError('no-device', `the volume on ${device.path} is not open`, {
      hint: 'attach it: it is then as large as its device',
    })
  }
  const header = await requireOwnMapping(request, device, mapping)
  await requireUdev(device)
  await resize(request, mapping.name, header)
  const { size } = (await findMapping(mapping.name)) ?? mapping
  const path = `/dev/mapper/${mapping.name}`
  return { mapping: mapping.name, path, device: device.realPath, size, sizeBefore: mapping.size }
}

async function resize(
  request: VolumeRequest,
  name: string,
  header: JudgedHeader | undefined,
): Promise<void> {
  const what = `cannot extend ${request.path}`
  if (header === undefined) {
    await cryptsetup(['resize', name], what, { mustEnd: true })
    return
  }
  await withHeaderCopy(header, async (path) => {
    const args = ['resize', '--header', path, name]
    // The volume key of LUKS2 lies in the kernel's keyring, and the new table must be given it again.
    if (header.version === 1) await cryptsetup(args, what, { mustEnd: true })
    else
      await withKey(request, header, async ({ passphrase }) => {
        await cryptsetup([...args, '--key-file=-'], what, { passphrase, mustEnd: true })
      })
  })
}
