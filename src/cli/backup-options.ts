import { Option } from '@commander-js/extra-typings'
import { VolsealError } from '../core/errors.js'
import type { BackupPlace } from '../face/automatic-backup.js'
import type { HeaderBackup } from '../face/header-backup.js'
import { type Cli, note, type OptionGroup, wholeNumber } from './cli.js'

/** The options of the backup that is made before a header is changed. */
export interface BackupChoice {
  readonly backupDir?: string | undefined
  readonly keep?: number | undefined
  readonly backup: boolean
}

export const BACKUP_OPTIONS: OptionGroup<BackupChoice> = {
  options: [
    new Option('--backup-dir <dir>', "where the header's backup goes"),
    new Option('--keep <n>', 'newest backups of a volume that are kept (default 5)').argParser(
      wholeNumber('--keep'),
    ),
    new Option('--no-backup', 'change the header without a backup of it'),
  ],
}

/** Those of a header that is put back or formatted over: no older backup is dropped for it. */
export const KEEP_OPTIONS: OptionGroup<Omit<BackupChoice, 'keep'>> = {
  options: BACKUP_OPTIONS.options.filter(({ long }) => long !== '--keep'),
}

/** @throws {VolsealError} `usage` */
export async function backupPlace(
  { env }: Cli,
  { backup, backupDir, keep }: BackupChoice,
): Promise<BackupPlace | 'none'> {
  if (!backup) {
    if ((backupDir ?? keep) === undefined) return 'none'
    throw new VolsealError('usage', '--no-backup excludes --backup-dir and --keep')
  }
  const { DEFAULT_KEEP, defaultBackupDirectory } = await import('../face/automatic-backup.js')
  return { directory: backupDir ?? defaultBackupDirectory(env), keep: keep ?? DEFAULT_KEEP }
}

/** Of a command that replaces a header only with other options. @throws {VolsealError} `usage` */
export function refuseIdleKeeping(
  { backup, backupDir }: Omit<BackupChoice, 'keep'>,
  replaces: boolean,
  belongs: string,
): void {
  if (replaces || (backup && backupDir === undefined)) return
  throw new VolsealError('usage', `--backup-dir and --no-backup belong to ${belongs}`)
}

/** Says where the backup is, and that its key is elsewhere. */
export function tellBackup(cli: Cli, made: HeaderBackup | null): void {
  if (made !== null) note(cli, `the header as it was is in ${made.file}`)
}
