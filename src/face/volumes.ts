import type { VolsealError } from '../core/errors.js'
import {
  formatVolume as format,
  headerRefusal,
  inspectVolume,
  lookAtDevice,
  requireCryptsetup,
  type VolumeReport,
} from '../encryptor/index.js'
import { fetchVolumeKey, formatPlan, type VolumeOptions } from './volume-key.js'

export interface FormatOptions extends VolumeOptions {
  /** A block device, or a file that stands for one. */
  readonly device: string
  /** The device's base name again, to format over what it holds. */
  readonly force?: string | undefined
  readonly signal?: AbortSignal | undefined
}

/** The body of `luks format --json`. */
export interface FormatResult extends VolumeReport {
  readonly keyId: string
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
  await requireCryptsetup()
  const device = await lookAtDevice(options.device)
  const key = await fetchVolumeKey(options)
  try {
    const report = await format({
      device,
      plan: formatPlan(options, key),
      passphrase: key.passphrase,
      force: options.force,
      signal: options.signal,
    })
    return { ...report, keyId: options.keyId }
  } finally {
    key.passphrase.wipe()
  }
}

/** Why volseal would not open a volume; undefined when it would. */
export function refusalOf({ device, findings }: VolumeReport): VolsealError | undefined {
  const [finding] = findings
  return finding === undefined ? undefined : headerRefusal(device, finding)
}

export { inspectVolume, type VolumeReport }
