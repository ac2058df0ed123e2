import { type FileHandle, link, open, readlink, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fromSystem, retold, systemCode, VolsealError } from '../core/errors.js'
import { requirePlaceFor, syncDirectory } from '../core/files.js'
import { temporaryBeside } from '../core/temporary-name.js'
import {
  chooseWay,
  type Device,
  damagedHeader,
  examineContent,
  lookAtDevice,
  openExclusively,
  requireCommandFor,
} from '../encryptor/index.js'
import { type ImageReport, isKnownFormat } from '../inspect/index.js'
import type { CopyFile, HeldImage } from '../verify/index.js'
import type { HeaderKeeping } from './automatic-backup.js'
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
  /** Where a LUKS header that is formatted over is kept; nowhere when not given. */
  readonly keepHeader?: HeaderKeeping | undefined
}

/** What reached the target. */
export interface Written {
  /** Raw content, in bytes. */
  readonly bytesWritten: number
  readonly encrypted: Encrypted | null
}

type Options = WriteTargetOptions & WriteWatch

/** How a target will be written: settled before the image is read, done after it was accepted. */
export interface Writing {
  /** Whether the image must be held in a copy, because a program reads it. */
  readonly needsCopy: boolean
  /** Where a copy of the image is best made: as the target itself, under a name of its own until it is accepted. */
  readonly makeCopy?: (() => Promise<CopyFile>) | undefined
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
  const { target } = options
  let downloaded: NewFile | undefined
  const makeCopy = async (): Promise<CopyFile> => {
    downloaded = await beginFile(target)
    return downloaded
  }
  return {
    needsCopy: isConvertible(claim),
    // What qemu-img converts is no content yet.
    makeCopy: isConvertible(claim) ? undefined : makeCopy,
    identity: undefined,
    requireRoom: () => undefined,
    async write(held, found) {
      const size = contentSize(held, found)
      if (downloaded === undefined) await writeNewFile(target, size, held, found, options)
      else await downloaded.keep()
      return { bytesWritten: size, encrypted: null }
    },
  }
}

async function writeNewFile(
  target: string,
  size: number,
  held: HeldImage,
  found: ImageReport,
  options: Options,
): Promise<void> {
  const begun = await beginFile(target)
  try {
    await begun.file.truncate(size)
    await writeContent(held, found, { file: begun.file, path: begun.path, kind: 'file' }, options)
    await begun.keep()
  } finally {
    await begun.close()
  }
}

/** A file that is there whole or not at all: it gets its name last. */
interface NewFile extends CopyFile {
  readonly path: string
  /** Flushes it and gives it its name. @throws {VolsealError} `busy` when there is one of that name */
  keep(): Promise<void>
}

async function beginFile(target: string): Promise<NewFile> {
  const path = await temporaryBeside(target)
  const what = `cannot write ${target}`
  const failed = (error: unknown): VolsealError => fromSystem(error, what)
  const file = await open(path, 'wx+', 0o600).catch((error: unknown) => {
    throw failed(error)
  })
  return {
    file,
    path,
    what,
    hintWhenFull: 'choose a target where there is room for the image',
    async keep() {
      try {
        await file.sync()
        await link(path, target)
        await syncDirectory(dirname(target))
      } catch (error) {
        if (systemCode(error) === 'EEXIST') {
          throw new VolsealError('busy', `${target} was made by somebody else meanwhile`)
        }
        throw failed(error)
      }
    },
    async close() {
      await file.close()
      await unlink(path).catch(() => undefined)
    },
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
      const size = contentSize(held, found)
      const file = await openExclusively(device)
      try {
        await refuseVolume(file, device, options.force)
        const { realPath: path, kind } = device
        await explainPartial(device.path, async () => {
          await writeContent(held, found, { file, path, kind }, options)
        })
      } finally {
        await file.close()
      }
      return { bytesWritten: size, encrypted: null }
    },
  }
}

/** A name that is repeated wrongly shows that another target was meant. */
function requireName(force: string | undefined, { name }: Device): void {
  if (force === undefined || force === name) return
  throw new VolsealError('usage', `--force ${force}: expected the target's name, ${name}`)
}

/** Raw content over a LUKS header loses the volume for good; most likely --encrypt was forgotten. */
async function refuseVolume(
  file: FileHandle,
  device: Device,
  force: string | undefined,
): Promise<void> {
  if (force !== undefined) return
  const content = await examineContent(file, device)
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
      const encrypted = await writeEncrypted({ ...options, device, way, encrypt, held, found })
      return { bytesWritten: contentSize(held, found), encrypted }
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
