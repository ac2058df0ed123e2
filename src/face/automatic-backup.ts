import { readdir, unlink } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import { fromSystem, hinting, systemCode, VolsealError } from '../core/errors.js'
import { makePrivateDirectories } from '../core/files.js'
import { copyHeader, type Device } from '../encryptor/index.js'
import type { KeyManager } from '../keyfile/index.js'
import { type HeaderBackup, headOf, isBackupKey, keepHeaderBytes } from './header-backup.js'

/** Where the backups lie that are made before each change of a header. */
export interface BackupPlace {
  readonly directory: string
  /** Newest ones of a volume that are kept; with each that is dropped its key is deleted. */
  readonly keep: number
}

export const DEFAULT_KEEP = 5

/** Where a header that is replaced is kept, and who makes and keeps the key of that. */
export interface HeaderKeeping extends Pick<BackupPlace, 'directory'> {
  readonly keyManager: KeyManager
}

/** Asked only when there is a header to keep. */
export type KeepHeader = () => Promise<HeaderKeeping> | HeaderKeeping

/** The part of the environment that says where state lies. */
export interface StateEnvironment {
  readonly XDG_STATE_HOME?: string | undefined
  readonly HOME?: string | undefined
}

/**
 * `$XDG_STATE_HOME/volseal/header-backups` (XDG Base Directory Specification 0.8).
 *
 * @throws {VolsealError} `usage` when no variable helps
 */
export function defaultBackupDirectory({
  XDG_STATE_HOME: state,
  HOME: home,
}: StateEnvironment): string {
  if (state !== undefined && isAbsolute(state)) return join(state, PLACE)
  if (home !== undefined && isAbsolute(home)) return join(home, '.local/state', PLACE)
  throw new VolsealError('usage', 'place of header backups: expected HOME to be set, got none', {
    hint: 'name it with --backup-dir',
  })
}

const PLACE = join('volseal', 'header-backups')

/**
 * Backs a header up before it is changed, and drops the oldest backups of the volume.
 *
 * @throws {VolsealError} and then nothing may be changed
 */
export async function backupBeforeChange(
  device: Device,
  place: BackupPlace,
  keyManager: KeyManager,
): Promise<HeaderBackup> {
  const { directory, keep } = place
  if (!Number.isSafeInteger(keep) || keep < 1) {
    throw new VolsealError('usage', `backups to keep: expected 1 or more, got ${keep}`)
  }
  await makeDirectory(directory)
  const header = await copyHeader(device)
  const { uuid } = header.facts
  const out = join(directory, `${uuid}_${stamp()}${SUFFIX}`)
  const backup = await keepHeaderBytes(header, device, { out, keyManager })
  await dropOldest(directory, backup, keep, keyManager)
  return backup
}

/**
 * Runs a change that replaces a header as a whole, and backs that up when the change calls
 * `beforeChange`; what goes wrong afterwards says where the backup is. No older backup is dropped: it may
 * be all that is left of a volume.
 *
 * @returns null for a header that is too damaged to be one, which must not stand in the way
 * @throws {VolsealError} what the change throws, and what the backup does: nothing may be changed then
 */
export async function keepingHeader<T>(
  device: Device,
  keepHeader: KeepHeader | undefined,
  change: (beforeChange: () => Promise<void>) => Promise<T>,
): Promise<{ readonly done: T; readonly replaced: HeaderBackup | null }> {
  const kept: { backup: HeaderBackup | null } = { backup: null }
  const beforeChange = async (): Promise<void> => {
    if (keepHeader === undefined || !(await isWhole(device))) return
    const { directory, keyManager } = await keepHeader()
    const all = { directory, keep: Number.MAX_SAFE_INTEGER }
    kept.backup = await backupBeforeChange(device, all, keyManager)
  }
  try {
    return { done: await change(beforeChange), replaced: kept.backup }
  } catch (error) {
    if (kept.backup === null || !(error instanceof VolsealError)) throw error
    const { file } = kept.backup
    throw hinting(
      error,
      `the header as it was is in ${file}: volseal luks restore puts it back, with --force ${device.name} over another one`,
    )
  }
}

/** Asked of the header alone: the backup's place, and its key, can be `not-found` too. */
async function isWhole(device: Device): Promise<boolean> {
  try {
    await copyHeader(device)
    return true
  } catch (error) {
    const isNone =
      error instanceof VolsealError && ['not-found', 'header-damaged'].includes(error.code)
    if (isNone) return false
    throw error
  }
}

const SUFFIX = '.luks-header'

/** Sorts by time as text. */
function stamp(): string {
  return new Date().toISOString().replaceAll(':', '')
}

async function makeDirectory(directory: string): Promise<void> {
  await makePrivateDirectories(directory).catch((error: unknown) => {
    throw fromSystem(error, `cannot make ${directory}`, 'name another place with --backup-dir')
  })
}

async function dropOldest(
  directory: string,
  { uuid, file }: HeaderBackup,
  keep: number,
  keyManager: KeyManager,
): Promise<void> {
  const names = (await readdir(directory)).filter(
    (name) => name.startsWith(`${uuid}_`) && name.endsWith(SUFFIX),
  )
  const older = names.map((name) => join(directory, name)).filter((path) => path !== file)
  for (const path of older
    .toSorted()
    .toReversed()
    .slice(keep - 1))
    await drop(path, uuid, keyManager)
}

/** The key first: without it the file says nothing, but a key without its file is never found again. */
async function drop(path: string, uuid: string, keyManager: KeyManager): Promise<void> {
  const keyId = await headOf(path).then(
    (head) => head.keyId,
    () => undefined,
  )
  if (keyId !== undefined) await deleteBackupKey(keyId, uuid, keyManager)
  await unlink(path).catch((error: unknown) => {
    if (systemCode(error) !== 'ENOENT') throw fromSystem(error, `cannot remove ${path}`)
  })
}

async function deleteBackupKey(keyId: string, uuid: string, keyManager: KeyManager): Promise<void> {
  try {
    if (isBackupKey(await keyManager.describe(keyId), uuid)) await keyManager.delete(keyId)
  } catch (error) {
    if (error instanceof VolsealError && error.code === 'not-found') return
    throw error
  }
}
