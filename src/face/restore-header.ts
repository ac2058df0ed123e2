import {
  lookAtDevice,
  restoreHeader as putBack,
  requireCryptsetup,
  type VolumeReport,
} from '../encryptor/index.js'
import type { KeyManager } from '../keyfile/index.js'
import { type BackupPlace, keepingHeader } from './automatic-backup.js'
import { type HeaderBackup, openHeaderBackup } from './header-backup.js'

export interface RestoreHeaderOptions {
  readonly file: string
  readonly device: string
  readonly keyManager: KeyManager
  /** Where the header that is there is kept, if it can be read; `none` when not given. */
  readonly keep?: Pick<BackupPlace, 'directory'> | 'none' | undefined
  /** The device's base name or the backup's UUID, to put it where it may not belong. */
  readonly force?: string | undefined
  readonly signal?: AbortSignal | undefined
}

/** The body of `luks restore --json`. */
export interface RestoredHeader extends VolumeReport {
  readonly backup: HeaderBackup
  /** The header that was there before; null when none could be read, or none was to be kept. */
  readonly replaced: HeaderBackup | null
}

/**
 * Puts a header back onto its volume, after all of it was checked. The volume must be closed.
 *
 * @throws {VolsealError} `not-blank` when it may not belong there, `busy`, `too-small`,
 * `header-damaged`, `io`
 */
export async function restoreHeader(options: RestoreHeaderOptions): Promise<RestoredHeader> {
  await requireCryptsetup()
  const { file, keyManager, keep = 'none', force, signal } = options
  const device = await lookAtDevice(options.device)
  const { backup, header } = await openHeaderBackup(file, keyManager)
  const { done, replaced } = await keepingHeader(
    device,
    keep === 'none' ? undefined : () => ({ ...keep, keyManager }),
    async (beforeChange) => await putBack({ device, header, force, signal, beforeChange }),
  )
  return { ...done, backup, replaced }
}
