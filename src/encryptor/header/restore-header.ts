import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { fromSystem, throwIfAborted, VolsealError } from '../../core/errors.js'
import { writeAt } from '../../core/files.js'
import { withTempDir } from '../../core/temp.js'
import { type Device, lookAtDevice, mapperUuid, openExclusively } from '../device.js'
import { untilAlone } from '../keys/others-at-work.js'
import { factsThere, type HeaderBytes, type RestoreFacts, readUuid } from './header-bytes.js'
import { inspectVolume, type VolumeReport } from './inspect-volume.js'

export interface RestoreRequest {
  readonly device: Device
  /** Out of a backup, authenticated. */
  readonly header: HeaderBytes
  /** The backup's UUID or the device's base name, to put it where it may not belong. */
  readonly force?: string | undefined
  /** Called once before the first write: the backup of what is there. */
  readonly beforeChange?: (() => Promise<void>) | undefined
  readonly signal?: AbortSignal | undefined
}

const FIRST_SECTOR = 4096

/**
 * Puts a header back. What is there must be the same volume: the same UUID and the same volume key,
 * or the content could never be read again. The first sector is written last, and until then it is
 * that of the header that was there: killed in the middle, the same call does it again.
 *
 * @throws {VolsealError} `not-blank` when it may not belong there, `busy`, `too-small`,
 * `header-damaged`, `io`
 */
export async function restoreHeader(request: RestoreRequest): Promise<VolumeReport> {
  const { device, header, signal } = request
  await refuseDecryptedSide(device)
  requireRoom(device, header.facts)
  await untilAlone(device, signal)
  const file = await openExclusively(device)
  try {
    await requireBelonging(file, request)
    await tryHeader(header, device)
    await request.beforeChange?.()
    throwIfAborted(signal)
    await putBack(file, header.bytes, device)
  } finally {
    await file.close()
  }
  return await inspectVolume(device.path)
}

async function refuseDecryptedSide(device: Device): Promise<void> {
  const uuid = await mapperUuid(device)
  if (uuid?.startsWith('CRYPT-') !== true) return
  const what = `the decrypted side of an open volume (${uuid})`
  throw new VolsealError(
    'busy',
    `${device.path} is ${what}; a header there would destroy content`,
    {
      hint: 'name the device that holds the volume',
    },
  )
}

function requireRoom(device: Device, { payloadOffset, length }: RestoreFacts): void {
  const needed = Math.max(payloadOffset, length)
  if (device.size > needed) return
  throw new VolsealError(
    'too-small',
    `${device.path} is too small for this header: expected more than ${needed} bytes, got ${device.size}`,
  )
}

async function requireBelonging(file: FileHandle, request: RestoreRequest): Promise<void> {
  const { device, header, force } = request
  const { uuid } = header.facts
  if (force === device.name || force === uuid) return
  if (force !== undefined) {
    const names = `the device's name, ${device.name}, or the backup's UUID, ${uuid}`
    throw new VolsealError('usage', `--force ${force}: expected ${names}`)
  }
  const reason = await reasonAgainst(file, device, header.facts)
  if (reason === undefined) return
  throw new VolsealError('not-blank', `the backup may not belong on ${device.path}: ${reason}`, {
    hint: `nothing was changed; if you know that it does, repeat the device's name: --force ${device.name}`,
  })
}

async function reasonAgainst(
  file: FileHandle,
  device: Device,
  backup: RestoreFacts,
): Promise<string | undefined> {
  const there = await factsThere(file, device)
  const uuid = there?.uuid ?? (await readUuid(file))
  if (uuid === undefined) return `no UUID can be read there, and the backup is of ${backup.uuid}`
  if (uuid !== backup.uuid)
    return `it holds the volume ${uuid}, and the backup is of ${backup.uuid}`
  if (backup.reencrypting || there?.reencrypting === true) {
    return 'the volume key was being changed, and each header of that time fits one moment only'
  }
  // A damaged header whose UUID can still be read: that is what backups are for.
  if (there === undefined) return undefined
  const isSameKey = there.volumeKeys.some((digest) => backup.volumeKeys.includes(digest))
  if (!isSameKey) return 'its volume key was changed since, and the backup would lose the content'
  const isSamePlace = there.payloadOffset === backup.payloadOffset
  return isSamePlace ? undefined : 'the content begins elsewhere than the backup says'
}

/** Memory-backed where there is such a place: no second copy of an old header stays on a disk. */
const MEMORY = '/dev/shm'

/** cryptsetup itself must be able to read it, on a device of that size. */
async function tryHeader(header: HeaderBytes, device: Device): Promise<void> {
  await withHeaderFile(header, device.size, async ({ path }) => {
    const report = await inspectVolume(path)
    if (report.uuid === header.facts.uuid && report.payloadSize > 0) return
    throw new VolsealError('header-damaged', `the header in the backup does not fit ${device.path}`)
  })
}

/** Runs `use` with a header in a file of that size that lies in memory. */
export async function withHeaderFile<T>(
  { bytes }: HeaderBytes,
  size: number,
  use: (file: Device) => Promise<T>,
): Promise<T> {
  return await withMemoryDir(async (directory) => {
    const path = join(directory, 'header')
    const file = await open(path, 'wx', 0o600)
    try {
      await writeAt(file, bytes, 0)
      await file.truncate(size)
    } finally {
      await file.close()
    }
    return await use(await lookAtDevice(path))
  })
}

async function withMemoryDir<T>(use: (directory: string) => Promise<T>): Promise<T> {
  const there = await open(MEMORY, 'r').then(
    async (directory) => {
      await directory.close()
      return MEMORY
    },
    () => undefined,
  )
  return await withTempDir(use, there)
}

async function putBack(file: FileHandle, header: Buffer, device: Device): Promise<void> {
  try {
    await writeAt(file, header.subarray(FIRST_SECTOR), FIRST_SECTOR)
    await file.sync()
    await writeAt(file, header.subarray(0, FIRST_SECTOR), 0)
    await file.sync()
  } catch (error) {
    throw fromSystem(
      error,
      `cannot write the header of ${device.path}`,
      'the header there is now neither the old nor the new one; run the same command again',
    )
  }
}
