import type { FileHandle } from 'node:fs/promises'
import { fromSystem, throwIfAborted, VolsealError } from '../../core/errors.js'
import { writeAt } from '../../core/files.js'
import type { Device } from '../device.js'
import type { HeaderRequest } from '../header/header-file.js'
import type { VolumeReport } from '../header/inspect-volume.js'
import { type Content, damagedHeader, describeContent } from './content.js'
import { formatDevice } from './format-device.js'
import { MARKER_BYTES } from './marker.js'
import type { Ground } from './put-header.js'
import { HEAD_BYTES, type ScanOptions, TAIL_BYTES } from './scan.js'

export interface FormatRequest extends HeaderRequest, ScanOptions {
  /** The device's base name again, to format over what it holds. */
  readonly force?: string | undefined
  /** Called once before the first write over a LUKS header: its backup. */
  readonly beforeChange?: (() => Promise<void>) | undefined
}

/**
 * Makes a device a LUKS volume. It must be blank by positive evidence (`content.ts`), or its base
 * name must be repeated; a device that cannot be read, that is in use, or that is an open encrypted
 * volume itself is refused whatever is repeated.
 *
 * The header is made on a file, proven to open there, and then copied: cryptsetup killed in the
 * middle would leave something that is neither blank nor LUKS. When the copying fails or is
 * interrupted, a device that was blank is made blank again.
 *
 * @throws {VolsealError} `not-blank`, `header-damaged`, `busy`, `too-small`, `no-device`, `io`
 */
export async function formatVolume(request: FormatRequest): Promise<VolumeReport> {
  const { device } = request
  let found: Content = { kind: 'blank' }
  return await formatDevice({
    ...request,
    judge: (content) => {
      found = content
      return requireConsent(content, request)
    },
    prepare: async (file) => {
      if (found.kind === 'blank') return
      await keepLuks(found, request)
      await wipeSignatures(file, device)
    },
  })
}

async function keepLuks({ kind }: Content, request: FormatRequest): Promise<void> {
  if (kind !== 'luks') return
  await request.beforeChange?.()
  throwIfAborted(request.signal)
}

function requireConsent(content: Content, { device, force }: FormatRequest): Ground {
  if (content.kind === 'blank') return 'blank'
  if (force === device.name) return 'overwritten'
  if (force !== undefined) {
    throw new VolsealError('usage', `--force ${force}: expected the device's name, ${device.name}`)
  }
  if (content.kind === 'luks-damaged') throw damagedHeader(device, content.what)
  const finish = content.kind === 'begun' ? `to complete it: --volume-id ${content.volumeId}; ` : ''
  throw new VolsealError(
    'not-blank',
    `${device.path} is not blank: it holds ${describeContent(content)}`,
    {
      hint: `nothing was changed; ${finish}if it may be destroyed, repeat its name: --force ${device.name}`,
    },
  )
}

/**
 * What was there must not be found any more, nor be taken for a second header of the new volume. The
 * first sector keeps until the marker replaces it: until then the device is what it was.
 */
async function wipeSignatures(file: FileHandle, device: Device): Promise<void> {
  try {
    await zero(file, MARKER_BYTES, Math.min(HEAD_BYTES, device.size))
    await zero(file, Math.max(HEAD_BYTES, device.size - TAIL_BYTES), device.size)
    await file.sync()
  } catch (error) {
    throw fromSystem(error, `cannot write ${device.path}`)
  }
}

async function zero(file: FileHandle, from: number, to: number): Promise<void> {
  const zeros = Buffer.alloc(1024 * 1024)
  for (let offset = from; offset < to; offset += zeros.length) {
    await writeAt(file, zeros.subarray(0, Math.min(zeros.length, to - offset)), offset)
  }
}
