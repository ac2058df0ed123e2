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
  cli: Cli,
  { backup, backupDir, keep }: BackupChoice,
): Promise<BackupPlace | 'none'> {
  if (!backup) {
    if ((backupDir ?? keep) === undefined) return 'none'
    throw bothGiven()
  }
  const { DEFAULT_KEEP } = await import('../face/automatic-backup.js')
  return { directory: await backupDirectory(cli, { backupDir }), keep: keep ?? DEFAULT_KEEP }
}

/** @throws {VolsealError} `usage` when nothing says where */
export async function backupDirectory(
  { env }: Cli,
  { backupDir }: Pick<BackupChoice, 'backupDir'>,
): Promise<string> {
  const { defaultBackupDirectory } = await import('../face/automatic-backup.js')
  return backupDir ?? defaultBackupDirectory(env)
}

/** Of a command that replaces a header only by force. @throws {VolsealError} `usage` */
export function refuseIdleKeeping({
  backup,
  backupDir,
  force,
}: Omit<BackupChoice, 'keep'> & { readonly force?: string | undefined }): void {
  if (!backup && backupDir !== undefined) throw bothGiven()
  if (force !== undefined || (backup && backupDir === undefined)) return
  throw new VolsealError('usage', '--backup-dir and --no-backup belong to --force')
}

function bothGiven(): VolsealError {
  return new VolsealError('usage', '--no-backup excludes --backup-dir and --keep')
}

/** Says where the backup is, and that its key is elsewhere. */
export function tellBackup(cli: Cli, made: HeaderBackup | null): void {
  if (made !== null) note(cli, `the header as it was is in ${made.file}`)
}
