import { VolsealError } from '../core/errors.js'
import {
  type Device,
  type Evidence,
  formatVolume as format,
  formatForFirstUse,
  headerRefusal,
  inspectVolume,
  lookAtDevice,
  requireCryptsetup,
  type Scan,
  type VolumeReport,
} from '../encryptor/index.js'
import type { KeyManager } from '../keyfile/index.js'
import { type BackupPlace, keepingHeader } from './automatic-backup.js'
import type { HeaderBackup } from './header-backup.js'
import { fetchVolumeKey, formatPlan, type VolumeKey, type VolumeOptions } from './volume-key.js'

export interface FormatOptions extends VolumeOptions {
  /** A block device, or a file that stands for one. */
  readonly device: string
  readonly keyManager: KeyManager
  /** The device's base name again, to format over what it holds. */
  readonly force?: string | undefined
  /** Where a LUKS header that is formatted over is kept; `none` when not given. */
  readonly keep?: Pick<BackupPlace, 'directory'> | 'none' | undefined
  /**
   * Which volume it is: 1 to 128 printable ASCII characters without spaces, usually a UUID. LUKS2
   * keeps it as its label (up to 47 bytes) and in a token, and a killed formatting is gone on with.
   */
  readonly volumeId?: string | undefined
  /**
   * `blank` (when not given): the device is zero. `vouched`, with a `volumeId`: it may hold unknown
   * bytes, at the caller's word, but nothing that is known.
   */
  readonly evidence?: Evidence | undefined
  /** How much is read to find it blank: a `sample` (when not given) or all of it, `full`. */
  readonly scan?: Scan | undefined
  readonly signal?: AbortSignal | undefined
  /** Told how far a full scan has come, in bytes. */
  readonly onScanProgress?: ((bytes: number, total: number) => void) | undefined
}

/** The body of `luks format --json`. */
export interface FormatResult extends VolumeReport {
  readonly keyId: string
  /** The header that was there before; null when there was none, or none was to be kept. */
  readonly replaced: HeaderBackup | null
}

/**
 * Makes a blank device a LUKS volume whose passphrase is the key of that id, as lower-case hex:
 * what os-brick and nova open it with.
 *
 * @throws {VolsealError} `not-blank`, `header-damaged`, `busy`, `too-small`, `no-device`, `io`, and
 * all that the key manager throws
 *
 * @example
 * await formatVolume({ device: '/dev/vdb', provider: 'luks2', keyId, keyManager })
 */
export async function formatVolume(options: FormatOptions): Promise<FormatResult> {
  requireOneWord(options)
  await requireCryptsetup()
  const device = await lookAtDevice(options.device)
  const key = await fetchVolumeKey(options)
  try {
    return { keyId: options.keyId, ...(await formatWith(device, options, key)) }
  } finally {
    key.passphrase.wipe()
  }
}

/** Forcing takes anything for granted, vouching next to nothing: not both are meant. */
function requireOneWord({ evidence, force, volumeId }: FormatOptions): void {
  if (evidence !== 'vouched') return
  if (force !== undefined) {
    throw new VolsealError('usage', '--evidence vouched and --force: expected one of them')
  }
  if (volumeId === undefined) {
    throw new VolsealError('usage', '--evidence vouched: expected --volume-id too', {
      hint: 'name the volume that you vouch for',
    })
  }
}

async function formatWith(
  device: Device,
  options: FormatOptions,
  key: VolumeKey,
): Promise<Omit<FormatResult, 'keyId'>> {
  const { keyId, volumeId, evidence = 'blank', scan, force, signal, keep = 'none' } = options
  const { passphrase, encoding } = key
  const plan = await formatPlan(options, key)
  const request = { device, plan, passphrase, signal, onProgress: options.onScanProgress }
  if (volumeId !== undefined && force === undefined) {
    const firstUse = { volumeId, evidence, scan }
    const report = await formatForFirstUse({ ...request, firstUse, keyId, encoding })
    return { ...report, replaced: null }
  }
  const identity = volumeId === undefined ? undefined : { volumeId, keyId, encoding }
  const { done, replaced } = await keepingHeader(
    device,
    keep === 'none' ? undefined : () => ({ ...keep, keyManager: options.keyManager }),
    async (beforeChange) => await format({ ...request, force, scan, identity, beforeChange }),
  )
  return { ...done, replaced }
}

/** Why volseal would not open a volume; undefined when it would. */
export function refusalOf({ device, findings }: VolumeReport): VolsealError | undefined {
  const [finding] = findings
  return finding === undefined ? undefined : headerRefusal(device, finding)
}

export { inspectVolume, type VolumeReport }
