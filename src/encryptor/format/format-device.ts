import type { FileHandle } from 'node:fs/promises'
import { throwIfAborted, VolsealError } from '../../core/errors.js'
import { cryptsetup, testArgs } from '../cryptsetup.js'
import { type Device, mapperUuid, openExclusively } from '../device.js'
import { type HeaderRequest, makeHeader } from '../header/header-file.js'
import { inspectVolume, type VolumeReport } from '../header/inspect-volume.js'
import { judgeHeader } from '../header/judge-header.js'
import { type Content, examineContent } from './content.js'
import { requireVolumeId } from './marker.js'
import { type Ground, putHeader } from './put-header.js'
import type { ScanOptions } from './scan.js'

export interface Formatting extends HeaderRequest, ScanOptions {
  /**
   * Whether what was found may be formatted over, which it may do by throwing; asked twice. `file`
   * is the device, to look further.
   */
  readonly judge: (content: Content, file: FileHandle) => Promise<Ground> | Ground
  /** Done to what is formatted over before the first write of the header. */
  readonly prepare?: ((file: FileHandle) => Promise<void>) | undefined
}

/**
 * Makes a device a LUKS volume, if what it holds is judged to allow it: hold, look, make the header
 * elsewhere, look again, write, prove. From before the first look until after the last write the
 * device is held: nobody can mount or map it meanwhile.
 *
 * The second look is a sample, also after a full scan: it finds what came from this computer in the
 * seconds that the header took. What another computer writes to a shared disk, no look can exclude.
 */
export async function formatDevice(formatting: Formatting): Promise<VolumeReport> {
  const { device, judge, signal, identity } = formatting
  if (identity !== undefined) requireVolumeId(identity.volumeId)
  await refuseOpenVolume(device)
  const file = await openExclusively(device)
  try {
    await judge(await examineContent(file, device, formatting), file)
    const header = await makeHeader(formatting)
    const content = await examineContent(file, device)
    const ground = await judge(content, file)
    throwIfAborted(signal)
    await formatting.prepare?.(file)
    await putHeader({
      file,
      device,
      ground,
      signal,
      header: coverBegun(header, content, device),
      volumeId: identity?.volumeId,
      prove: async () => {
        await prove(formatting, file)
      },
    })
  } finally {
    await file.close()
  }
  return await inspectVolume(device.path)
}

/** H4 of the attach hazards: formatting the decrypted device destroys what is in the volume. */
async function refuseOpenVolume(device: Device): Promise<void> {
  const uuid = await mapperUuid(device)
  if (uuid?.startsWith('CRYPT-') !== true) return
  throw new VolsealError(
    'not-blank',
    `${device.path} is the decrypted side of an open volume (${uuid}); formatting it would destroy what is in the volume`,
    { hint: 'name the device that holds the volume' },
  )
}

/** A header that was begun may have been a longer one (LUKS2's, for LUKS1): nothing of it is left. */
function coverBegun(header: Buffer, content: Content, { size }: Device): Buffer {
  const begun = content.kind === 'begun' ? Math.min(content.headerBytes, size) : 0
  if (begun <= header.length) return header
  return Buffer.concat([header, Buffer.alloc(begun - header.length)])
}

/**
 * cryptsetup reads past the kernel's cache (O_DIRECT): it opens what the device has, not we. Whether
 * that is acceptable, should somebody else have written there meanwhile, is judged like any other.
 */
async function prove(formatting: Formatting, file: FileHandle): Promise<void> {
  const { device, passphrase, signal } = formatting
  const what = `the new volume ${device.path} is not right`
  await cryptsetup(testArgs(device.realPath), what, { passphrase, signal })
  await judgeHeader(file, device, { provider: formatting.plan.provider })
}
