import { open } from 'node:fs/promises'
import { fromSystem, VolsealError } from '../core/errors.js'
import { readAt, requirePlaceFor, writeNewFile } from '../core/files.js'
import { consume, type Secret } from '../core/secret.js'
import {
  type BackupHead,
  copyHeader,
  type Device,
  type HeaderBytes,
  isBackup,
  lookAtDevice,
  openBackup,
  parseBackup,
  sealBackup,
} from '../encryptor/index.js'
import type { KeyManager, SecretInfo, SecretSource } from '../keyfile/index.js'

/** A header's backup: where it lies, and what is known of it. */
export interface HeaderBackup extends BackupHead {
  readonly file: string
}

export interface BackupHeaderOptions {
  readonly device: string
  /** A new file for it. */
  readonly out: string
  /** Makes and keeps the backup's own key. */
  readonly keyManager: KeyManager
}

/**
 * Keeps a volume's header in a file, encrypted under a key of its own. The volume may be open.
 *
 * @throws {VolsealError} `usage` when the file exists; `not-found`, `header-damaged`, `io`
 *
 * @example
 * await backupHeader({ device: '/dev/vdb', out: 'vdb.header', keyManager })
 */
export async function backupHeader(options: BackupHeaderOptions): Promise<HeaderBackup> {
  const device = await lookAtDevice(options.device)
  return await keepHeaderBytes(await copyHeader(device), device, options)
}

/** The same for a header that was read already. */
export async function keepHeaderBytes(
  header: HeaderBytes,
  device: Device,
  { out, keyManager }: Pick<BackupHeaderOptions, 'out' | 'keyManager'>,
): Promise<HeaderBackup> {
  await requirePlaceFor(out)
  const { uuid, version, length } = header.facts
  const name = backupKeyName(uuid)
  const metadata = { ...PURPOSE, 'volume-uuid': uuid }
  const keyId = await keyManager.createKey({ algorithm: 'aes', bitLength: 256, name, metadata })
  const head: BackupHead = {
    uuid,
    version,
    device: device.path,
    deviceSize: device.size,
    headerBytes: length,
    created: new Date().toISOString(),
    keyId,
    cipher: 'aes-256-gcm',
  }
  try {
    await withBackupKey(keyManager, keyId, async (key) => {
      await writeNewFile(out, sealBackup(head, header.bytes, key), { mode: 0o600 })
      await requireReadable(out, header, key)
    })
  } catch (error) {
    await keyManager.delete(keyId).catch(() => undefined)
    throw error
  }
  return { file: out, ...head }
}

const PURPOSE = { 'volseal-purpose': 'header-backup' } as const

function backupKeyName(uuid: string): string {
  return `header backup of volume ${uuid}`
}

/** Whether a key is one that `backupHeader` made for that volume: a file alone may name any key. */
export function isBackupKey({ metadata, origin }: SecretInfo, uuid: string): boolean {
  const isOurs = metadata['volseal-purpose'] === PURPOSE['volseal-purpose']
  return isOurs && origin === 'generated' && metadata['volume-uuid'] === uuid
}

async function withBackupKey<T>(
  keyManager: SecretSource,
  keyId: string,
  use: (key: Secret) => Promise<T> | T,
): Promise<T> {
  const { payload } = await keyManager.fetch(keyId)
  return await consume(payload, use)
}

/** What cannot be read back is no backup. */
async function requireReadable(file: string, { bytes }: HeaderBytes, key: Secret): Promise<void> {
  const { bytes: found } = openBackup(parseBackup(await readBackup(file), file), key, file)
  if (!found.equals(bytes)) throw new VolsealError('io', `${file} is not as it was written`)
}

/** The largest LUKS2 header, and the head. */
const MOST_BYTES = 137 * 1024 * 1024

async function readBackup(path: string): Promise<Buffer> {
  try {
    const file = await open(path, 'r')
    try {
      const { size } = await file.stat()
      if (size > MOST_BYTES) throw tooLarge(path, size)
      return await readAt(file.fd, 0, size)
    } finally {
      await file.close()
    }
  } catch (error) {
    throw fromSystem(error, `cannot read ${path}`)
  }
}

function tooLarge(path: string, size: number): VolsealError {
  return new VolsealError(
    'usage',
    `${path} is no header backup: expected at most ${MOST_BYTES} bytes, got ${size}`,
  )
}

/** The head of a backup, which nothing vouches for. */
export async function headOf(file: string): Promise<BackupHead> {
  return parseBackup(await readBackup(file), file).head
}

/** A backup that was opened, with the header that is in it. */
export interface OpenedBackup {
  readonly backup: HeaderBackup
  readonly header: HeaderBytes
}

/**
 * Opens a backup and checks all of it.
 *
 * @throws {VolsealError} `header-damaged` when it is not as it was written, `not-found` when it, or
 * its key, is not there
 */
export async function openHeaderBackup(
  file: string,
  keyManager: SecretSource,
): Promise<OpenedBackup> {
  const sealed = parseBackup(await readBackup(file), file)
  const header = await withBackupKey(keyManager, sealed.head.keyId, (key) =>
    openBackup(sealed, key, file),
  )
  return { backup: { file, ...sealed.head }, header }
}

/** Whether a file, by its first bytes, is a header's backup; false for what cannot be read. */
export async function isHeaderBackup(path: string): Promise<boolean> {
  const file = await open(path, 'r').catch(() => undefined)
  if (file === undefined) return false
  try {
    return isBackup(await readAt(file.fd, 0, 64))
  } catch {
    return false
  } finally {
    await file.close()
  }
}
