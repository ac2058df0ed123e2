import { constants, readdirSync, readFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { lastLine, runCommand } from '../core/command.js'
import { systemCode, VolsealError } from '../core/errors.js'

/** The device-mapper as sysfs shows it (no process needed), and dmsetup for what sysfs does not. */

export interface Mapping {
  readonly name: string
  /** `CRYPT-LUKS2-UUID-NAME` for what cryptsetup made; empty for a mapping without any. */
  readonly uuid: string
  /** Kernel name, such as `dm-0`. */
  readonly kernelName: string
  /** `MAJOR:MINOR`. */
  readonly number: string
  /** Bytes; 0 while there is no table. */
  readonly size: number
  readonly suspended: boolean
  /** Kernel names of the devices that it lies on. */
  readonly slaves: readonly string[]
  /** Kernel names of the devices that lie on it. */
  readonly holders: readonly string[]
}

/** A line of the kernel's crypt target (Documentation/admin-guide/device-mapper/dm-crypt.rst). */
export interface CryptTable {
  readonly cipher: string
  /** `MAJOR:MINOR` of the device below. */
  readonly device: string
  /** Bytes. */
  readonly offset: number
  readonly length: number
  readonly options: readonly string[]
}

const SECTOR = 512

/**
 * All mappings, in the order of their kernel names. Read at once: sysfs answers from memory, and the
 * dozens of looks at it would each wait for a thread.
 */
export function listMappings(): Mapping[] {
  return namesIn('/sys/block').flatMap((name) => readMapping(name) ?? [])
}

function namesIn(place: string): string[] {
  try {
    return readdirSync(place).filter((name) => /^dm-\d+$/.test(name))
  } catch {
    return []
  }
}

/** Undefined when it has gone meanwhile. */
function readMapping(kernelName: string): Mapping | undefined {
  const place = `/sys/block/${kernelName}`
  const read = (file: string): string => readFileSync(`${place}/${file}`, 'utf8').replace(/\n$/, '')
  try {
    return {
      name: read('dm/name'),
      uuid: read('dm/uuid'),
      kernelName,
      number: read('dev'),
      size: Number(read('size')) * SECTOR,
      suspended: read('dm/suspended') === '1',
      slaves: readdirSync(`${place}/slaves`),
      holders: readdirSync(`${place}/holders`),
    }
  } catch {
    return undefined
  }
}

export function findMapping(name: string): Mapping | undefined {
  return listMappings().find((mapping) => mapping.name === name)
}

/** The number of a block device by its kernel name; undefined when there is none. */
export function numberOf(kernelName: string): string | undefined {
  return readOrNothing(`/sys/class/block/${kernelName}/dev`)?.trim()
}

/** The kernel name (`vdb`, `dm-3`) of a device number; undefined when there is none. */
export function kernelNameOf(number: string): string | undefined {
  const event = readOrNothing(`/sys/dev/block/${number}/uevent`) ?? ''
  return /^DEVNAME=(.+)$/m.exec(event)?.[1]
}

function readOrNothing(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/**
 * The crypt targets of a mapping; undefined when it has others too, or none. dmsetup never shows the
 * key without being asked.
 *
 * @throws {VolsealError} `unavailable`
 */
export async function cryptTables(name: string): Promise<CryptTable[] | undefined> {
  const result = await runCommand('dmsetup', ['table', name])
  if (result.exitCode !== 0) {
    throw new VolsealError('unavailable', `dmsetup table ${name}: ${lastLine(result)}`)
  }
  const lines = result.stdout.split('\n').filter((line) => line.trim() !== '')
  const tables = lines.map(parseTable)
  return lines.length > 0 && tables.every((table) => table !== undefined) ? tables : undefined
}

/** The cipher of each crypt target that a mapping has. */
export async function cryptCiphers(name: string): Promise<string[]> {
  const result = await runCommand('dmsetup', ['table', name])
  return result.stdout.split('\n').flatMap((line) => parseTable(line)?.cipher ?? [])
}

/** `0 65536 crypt aes-xts-plain64 KEY 0 254:16 32768 1 allow_discards`; undefined for another target. */
export function parseTable(line: string): CryptTable | undefined {
  const [, length, target, cipher, , , device, offset, ...options] = line.trim().split(' ')
  if (target !== 'crypt' || cipher === undefined || device === undefined) return undefined
  const [bytes, start] = [Number(length) * SECTOR, Number(offset) * SECTOR]
  if (!Number.isSafeInteger(bytes) || !Number.isSafeInteger(start)) return undefined
  return { cipher, device, offset: start, length: bytes, options: options.slice(1) }
}

/** What the kernel says of a mapping over its ioctl; one without a table is not in sysfs at all. */
export interface MapperInfo {
  readonly name: string
  readonly uuid: string
  /** Mounts, holders and open files together. */
  readonly openCount: number
  /** 0 when it has no table: whoever made it was killed before it came to that. */
  readonly targets: number
}

/** @throws {VolsealError} `forbidden` to whoever is not root, `unavailable` */
export async function mapperInfos(): Promise<MapperInfo[]> {
  if (!(await hasMapper())) return []
  const columns = ['-c', '--noheadings', '--separator', ' ', '-o', 'open,segments,uuid,name']
  const result = await runCommand('dmsetup', ['info', ...columns])
  if (result.exitCode !== 0) {
    throw new VolsealError('unavailable', `dmsetup info: ${lastLine(result)}`)
  }
  return result.stdout.split('\n').flatMap((line) => {
    const [, count, targets, uuid = '', name = ''] = INFO_LINE.exec(line) ?? []
    return name === '' ? [] : [{ name, uuid, openCount: Number(count), targets: Number(targets) }]
  })
}

/** @throws {VolsealError} `no-device` without the kernel's device-mapper, `forbidden` */
export async function requireMapper(): Promise<void> {
  if (await hasMapper()) return
  throw new VolsealError('no-device', 'volumes cannot be opened here: there is no device-mapper', {
    hint: 'load the kernel module: modprobe dm-crypt',
  })
}

/** Without the kernel's device-mapper there may be its node all the same. */
export async function hasMapper(): Promise<boolean> {
  try {
    const control = await open('/dev/mapper/control', constants.O_RDWR)
    await control.close()
    return true
  } catch (error) {
    const code = systemCode(error)
    if (code !== 'EACCES' && code !== 'EPERM') return false
    throw new VolsealError('forbidden', 'only root may use the device-mapper')
  }
}

/** A mapping need not have a uuid. */
const INFO_LINE = /^\s*(\d+) +(\d+) (\S*) (\S+)$/
