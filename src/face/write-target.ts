import { readlink } from 'node:fs/promises'
import { fromSystem, retold, VolsealError } from '../core/errors.js'
import { requirePlaceFor } from '../core/files.js'
import {
  type Content,
  chooseWay,
  type Device,
  damagedHeader,
  examineContent,
  lookAtDevice,
  openExclusively,
  requireCommandFor,
} from '../encryptor/index.js'
import { type ImageReport, isKnownFormat } from '../inspect/index.js'
import type { CopyFile, CopyOptions, HeldImage } from '../verify/index.js'
import { type KeepHeader, keepingHeader } from './automatic-backup.js'
import type { HeaderBackup } from './header-backup.js'
import { beginNamed, beginNameless, type NewFile } from './new-file.js'
import { fetchVolumeKey, formatPlan, type VolumeOptions } from './volume-key.js'
import {
  contentSize,
  explainPartial,
  isConvertible,
  requireRoom,
  type WriteWatch,
  writeContent,
} from './write-content.js'
import { type Encrypted, writeEncrypted } from './write-encrypted.js'

export interface WriteTargetOptions {
  /** A file (made when it is not there), a block device, or with `encrypt` what holds the volume. */
  readonly target: string
  /** Write into a LUKS volume: a blank target is formatted, one that is LUKS is opened. */
  readonly encrypt?: VolumeOptions | undefined
  /** The target's base name again, to write over a LUKS volume or other data. */
  readonly force?: string | undefined
  /** Where a LUKS header that is written over is kept; nowhere when not given. */
  readonly keepHeader?: KeepHeader | undefined
}

/** What reached the target. */
export interface Written {
  /** Raw content, in bytes. */
  readonly bytesWritten: number
  readonly encrypted: Encrypted | null
  /** The LUKS header that was written over; null when there was none, or none was to be kept. */
  readonly replaced: HeaderBackup | null
}

type Options = WriteTargetOptions & WriteWatch

/** How a target will be written: settled before the image is read, done after it was accepted. */
export interface Writing {
  /** Whether the image must be held in a copy, because a program reads it. */
  readonly needsCopy: boolean
  /** Where a copy of the image is best made: as the target itself, without a name until it is accepted. */
  readonly makeCopy?: CopyOptions['makeCopy']
  /** Tells the target from the image; undefined for a file that is yet to be made. */
  readonly identity: string | undefined
  /** @throws {VolsealError} `too-small` when so many bytes of content do not fit */
  readonly requireRoom: (size: number) => void
  write(held: HeldImage, found: ImageReport): Promise<Written>
}

/**
 * Looks at the target and decides the way, without changing anything.
 *
 * @throws {VolsealError} `no-device`, `usage`, `unavailable`
 */
export async function planWriting(options: Options, claim: string): Promise<Writing> {
  const { encrypt, target } = options
  if (!isKnownFormat(claim)) {
    throw new VolsealError(
      'usage',
      `--source-format: there is no format ${JSON.stringify(claim)}`,
      {
        hint: 'raw, iso, luks, qcow2, vmdk, vhd, vhdx or vdi',
      },
    )
  }
  if (isConvertible(claim)) await requireCommandFor('qemu-img', `converting ${claim} images`)
  if (encrypt !== undefined) return await planEncrypted(options, encrypt, claim)
  const device = await lookAtDevice(target).catch((error: unknown) => {
    if (error instanceof VolsealError && error.code === 'no-device') return undefined
    throw error
  })
  if (device !== undefined) return planPlain(device, options, claim)
  await requirePlace(target)
  return planNewFile(options, claim)
}

/** A new file that cannot be made is better found out before a large image is read. */
async function requirePlace(target: string): Promise<void> {
  const leadsTo = await readlink(target).catch(() => undefined)
  if (leadsTo !== undefined) {
    throw new VolsealError('no-device', `${target} is a link to ${leadsTo}, which does not exist`)
  }
  await requirePlaceFor(target)
}

function planNewFile(options: Options, claim: string): Writing {
  const { target, signal } = options
  let downloaded: NewFile | undefined
  const makeCopy = async (): Promise<CopyFile | undefined> => {
    downloaded = await beginNameless(target)
    const what = `cannot write ${target}`
    const hintWhenFull = 'choose a target where there is room for the image'
    return downloaded === undefined ? undefined : { ...downloaded, what, hintWhenFull }
  }
  return {
    needsCopy: isConvertible(claim),
    // What qemu-img converts is no content yet.
    makeCopy: isConvertible(claim) ? undefined : makeCopy,
    identity: undefined,
    requireRoom: () => undefined,
    async write(held, found) {
      const size = contentSize(held, found)
      if (downloaded === undefined) await writeNewFile(WAYS, size, held, found, options)
      else if (await downloaded.keep(signal)) options.onWriteProgress?.(size, size)
      else await writeNewFile([beginNamed], size, held, found, options)
      return { bytesWritten: size, encrypted: null, replaced: null }
    },
  }
}

/** How a new file is begun; the second where the first cannot be done, or cannot be given its name. */
const WAYS = [beginNameless, beginNamed] as const

async function writeNewFile(
  ways: readonly (typeof WAYS)[number][],
  size: number,
  held: HeldImage,
  found: ImageReport,
  options: Options,
): Promise<void> {
  const { target, signal } = options
  for (const begin of ways) {
    const begun = await begin(target)
    if (begun === undefined) continue
    const { file } = begun
    try {
      await file.truncate(size)
      await writeContent(held, found, { file, path: target, kind: 'file' }, options)
      if (await begun.keep(signal)) return
    } catch (error) {
      throw fromSystem(error, `cannot write ${target}`)
    } finally {
      await begun.close()
    }
  }
}

function planPlain(device: Device, options: Options, claim: string): Writing {
  requireName(options.force, device)
  return {
    needsCopy: isConvertible(claim),
    identity: device.identity,
    requireRoom: (size) => {
      requireRoom(device.path, device.size, size)
    },
    async write(held, found) {
      const { replaced } = await keepingHeader(
        device,
        options.keepHeader,
        async (beforeChange) => await writeOver(device, held, found, { ...options, beforeChange }),
      )
      return { bytesWritten: contentSize(held, found), encrypted: null, replaced }
    },
  }
}

async function writeOver(
  device: Device,
  held: HeldImage,
  found: ImageReport,
  { force, beforeChange, ...watch }: Options & { readonly beforeChange: () => Promise<void> },
): Promise<void> {
  const { path, realPath, kind } = device
  const file = await openExclusively(device)
  try {
    const content = await examineContent(file, device)
    if (force === undefined) refuseVolume(content, device)
    else if (content.kind === 'luks') await beforeChange()
    await explainPartial(path, async () => {
      await writeContent(held, found, { file, path: realPath, kind }, watch)
    })
  } finally {
    await file.close()
  }
}

/** A name that is repeated wrongly shows that another target was meant. */
function requireName(force: string | undefined, { name }: Device): void {
  if (force === undefined || force === name) return
  throw new VolsealError('usage', `--force ${force}: expected the target's name, ${name}`)
}

/** Raw content over a LUKS header loses the volume for good; most likely --encrypt was forgotten. */
function refuseVolume(content: Content, device: Device): void {
  if (content.kind === 'luks-damaged') throw damagedHeader(device, content.what)
  if (content.kind !== 'luks') return
  throw new VolsealError(
    'not-blank',
    `${device.path} is a LUKS${content.version} volume; writing the image over it would lose it`,
    {
      hint: `to write into the volume: --encrypt ${content.version === 1 ? 'luks' : 'luks2'} --key-id ID; to destroy it: --force ${device.name}`,
    },
  )
}

async function planEncrypted(
  options: Options,
  encrypt: VolumeOptions,
  claim: string,
): Promise<Writing> {
  const way = await chooseWay(encrypt.provider)
  await requireKey(encrypt)
  const device = await lookAtDevice(options.target).catch((error: unknown) => {
    throw withHint(
      error,
      `make the file first, larger than the image: truncate -s 10G ${options.target}`,
    )
  })
  return {
    needsCopy: way === 'qemu' || isConvertible(claim),
    identity: device.identity,
    requireRoom: (size) => {
      requireRoom(device.path, device.size - HEADER_BYTES[encrypt.provider], size, 'the volume on ')
    },
    async write(held, found) {
      const { done: encrypted, replaced } = await keepingHeader(
        device,
        options.keepHeader,
        async (beforeChange) =>
          await writeEncrypted({ ...options, device, way, encrypt, held, found, beforeChange }),
      )
      return { bytesWritten: contentSize(held, found), encrypted, replaced }
    },
  }
}

/** A key that cannot be had is better found out before a large image is read. */
async function requireKey(encrypt: VolumeOptions): Promise<void> {
  const key = await fetchVolumeKey(encrypt)
  key.passphrase.wipe()
  await formatPlan(encrypt, key)
}

/** What cryptsetup's headers take by default, in bytes. */
const HEADER_BYTES = { luks: 2 * 1024 * 1024, luks2: 16 * 1024 * 1024 } as const

function withHint(error: unknown, hint: string): unknown {
  if (!(error instanceof VolsealError) || error.code !== 'no-device') return error
  return retold(error, { hint })
}
