import { constants, type Stats } from 'node:fs'
import { type FileHandle, open, readdir, readFile, realpath, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { fromSystem, systemCode, VolsealError } from '../core/errors.js'
import { deviceNumber, deviceUsers } from './device-users.js'

/** What is to be formatted or written: a block device, or a file that stands for one. */
export interface Device {
  /** As the caller named it. */
  readonly path: string
  /** Where that leads when links are followed. */
  readonly realPath: string
  /** Last part of `path`: what `--force` must repeat. */
  readonly name: string
  readonly kind: 'block' | 'file'
  /** Bytes. */
  readonly size: number
  /** `MAJOR:MINOR` of a block device. */
  readonly number: string | undefined
  /** Device and inode, or the block device's number: equal for two names of one thing. */
  readonly identity: string
}

/**
 * Looks at a device without opening it for writing.
 *
 * @throws {VolsealError} `no-device` when there is none, `usage` for a directory and the like
 */
export async function lookAtDevice(path: string): Promise<Device> {
  const [stats, realPath] = await statDevice(path)
  const number = stats.isBlockDevice() ? deviceNumber(stats.rdev) : undefined
  if (number === undefined && !stats.isFile()) {
    throw new VolsealError('usage', `${path}: expected a block device or a file, got neither`)
  }
  return {
    path,
    realPath,
    name: basename(path),
    kind: number === undefined ? 'file' : 'block',
    size: number === undefined ? stats.size : await blockDeviceSize(number, path),
    number,
    identity: identityOf(stats),
  }
}

async function statDevice(path: string): Promise<[Stats, string]> {
  try {
    return [await stat(path), await realpath(path)]
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw fromSystem(error, `cannot look at ${path}`)
    throw new VolsealError('no-device', `${path} does not exist`, { cause: error })
  }
}

/** The same for two names of one file or one block device. */
export function identityOf(stats: Stats): string {
  if (stats.isBlockDevice()) return `block ${deviceNumber(stats.rdev)}`
  return `file ${stats.dev}:${stats.ino}`
}

/** sysfs counts in units of 512 bytes whatever the sector size (block/genhd.c). */
async function blockDeviceSize(number: string, path: string): Promise<number> {
  try {
    return Number(await readFile(`/sys/dev/block/${number}/size`, 'utf8')) * 512
  } catch (error) {
    throw new VolsealError('no-device', `${path}: its size cannot be read`, { cause: error })
  }
}

/** Runs `use` with a device that is open for reading. */
export async function withReading<T>(
  { path, realPath }: Pick<Device, 'path' | 'realPath'>,
  use: (file: FileHandle) => Promise<T>,
): Promise<T> {
  const file = await open(realPath, 'r').catch((error: unknown) => {
    throw fromSystem(error, `cannot read ${path}`)
  })
  try {
    return await use(file)
  } finally {
    await file.close()
  }
}

/**
 * Opens a device for reading and writing, exclusively where it is a block device: the kernel then
 * refuses one that is mounted, mapped or otherwise held (open(2), O_EXCL).
 *
 * @throws {VolsealError} `busy` naming who uses it, `forbidden`, `no-device`
 */
export async function openExclusively(device: Device): Promise<FileHandle> {
  await refuseUsedFile(device)
  const exclusive = device.kind === 'block' ? constants.O_EXCL : 0
  try {
    const file = await open(device.realPath, constants.O_RDWR | exclusive)
    await requireSameDevice(file, device).catch(async (error: unknown) => {
      await file.close()
      throw error
    })
    return file
  } catch (error) {
    if (systemCode(error) === 'EBUSY') throw await busy(device, error)
    throw fromSystem(error, `cannot open ${device.path} for writing`)
  }
}

/** Between the look and the open, another device may have taken the name. @throws {VolsealError} `busy` */
export async function requireSameDevice(file: FileHandle, device: Device): Promise<void> {
  if (identityOf(await file.stat()) === device.identity) return
  throw new VolsealError('busy', `${device.path} was replaced by something else just now`)
}

async function busy(device: Device, cause: unknown): Promise<VolsealError> {
  const users = await deviceUsers(device.number)
  const by = users.length === 0 ? 'by the system' : `by ${users.join(', ')}`
  return new VolsealError('busy', `${device.path} is in use ${by}`, { cause })
}

/** A file behind a loop device is somebody's disk; O_EXCL knows nothing of it. */
async function refuseUsedFile(device: Device): Promise<void> {
  if (device.kind === 'file') {
    const loop = await loopOver(device)
    if (loop !== undefined) {
      throw new VolsealError('busy', `${device.path} is in use by /dev/${loop}`, {
        hint: `write to /dev/${loop}, or detach it: losetup -d /dev/${loop}`,
      })
    }
  }
  await refuseLocked(device)
}

/**
 * qemu locks what it has open, and opens nothing exclusively.
 *
 * @throws {VolsealError} `busy`
 */
export async function refuseLocked(device: Device): Promise<void> {
  const holder = await lockHolder(device)
  if (holder === undefined) return
  throw new VolsealError('busy', `${device.path} is locked by ${holder}`, {
    hint: 'a running virtual machine locks its disks: stop it first',
  })
}

async function loopOver(device: Device): Promise<string | undefined> {
  const names = (await readdir('/sys/block').catch(() => [])).filter((name) =>
    name.startsWith('loop'),
  )
  for (const name of names) {
    const text = await readFile(`/sys/block/${name}/loop/backing_file`, 'utf8').catch(() => '')
    const backing = await stat(text.replace(/\n$/, '')).catch(() => undefined)
    if (backing !== undefined && identityOf(backing) === device.identity) return name
  }
  return undefined
}

/**
 * qemu holds byte locks on the images it has open; proc_locks(5) lists them by device and inode. Locks
 * of flock(2) are others': udevd's while it looks at a device that was just closed, for one.
 */
async function lockHolder(device: Device): Promise<string | undefined> {
  const stats = await stat(device.realPath)
  const [major = 0, minor = 0] = deviceNumber(stats.dev).split(':').map(Number)
  const place = `${hex(major)}:${hex(minor)}:${stats.ino} `
  const locks = await readFile('/proc/locks', 'utf8').catch(() => '')
  const found = locks.split('\n').some((line) => BYTE_LOCK.test(line) && line.includes(` ${place}`))
  if (!found) return undefined
  return (await whoHasOpen(stats)) ?? 'a process that cannot be seen from here'
}

const BYTE_LOCK = /^\S+ (?:-> )?(?:OFDLCK|POSIX) /

/** Locks of open files name no process (-1 in proc_locks(5)), so that it is looked for. */
async function whoHasOpen(stats: Stats): Promise<string | undefined> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  for (const pid of pids) {
    const fds = await readdir(`/proc/${pid}/fd`).catch(() => [])
    for (const fd of fds) {
      const found = await stat(`/proc/${pid}/fd/${fd}`).catch(() => undefined)
      if (found?.ino !== stats.ino || found.dev !== stats.dev) continue
      const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')
      return `process ${pid} (${name.trim()})`
    }
  }
  return undefined
}

/** As the kernel prints it (fs/locks.c, `%02x`). */
function hex(number: number): string {
  return number.toString(16).padStart(2, '0')
}

/** The device-mapper uuid of a block device (`CRYPT-LUKS2-…`), or undefined. */
export async function mapperUuid(device: Device): Promise<string | undefined> {
  if (device.number === undefined) return undefined
  const path = `/sys/dev/block/${device.number}/dm/uuid`
  return await readFile(path, 'utf8').then(
    (text) => text.trim(),
    () => undefined,
  )
}
