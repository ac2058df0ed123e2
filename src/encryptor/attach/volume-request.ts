import type { VolsealError } from '../../core/errors.js'
import type { Secret } from '../../core/secret.js'
import type { FormatPlan } from '../cryptsetup.js'
import type { Device } from '../device.js'
import { type HeaderExpectation, type JudgedHeader, judgeDevice } from '../header/judge-header.js'
import type { EncryptionFormat } from './encryption.js'
import type { VolumeNames } from './mapping-name.js'
import type { PlainSettings } from './plain.js'

/** The key of a volume; who fetches it wipes the passphrase. */
export interface VolumeAccess {
  readonly passphrase: Secret
  readonly keyId: string
  /** How the key's bytes became the passphrase. */
  readonly encoding: 'hex' | 'text'
  /** How to format for that key, should that be asked for. @throws {VolsealError} `usage` */
  readonly plan: () => Promise<FormatPlan>
  /** Why the key may not open the volume, found out by trying; changes nothing. */
  readonly explainWrongKey?: (device: Device) => Promise<VolsealError | undefined>
}

/** A volume that is connected to this host. */
export interface VolumeRequest extends VolumeNames {
  /** What the volume must be; when not given, what its header says. */
  readonly format?: EncryptionFormat | undefined
  /** What its header must say. */
  readonly expected?: Pick<HeaderExpectation, 'cipher' | 'keySize'> | undefined
  readonly plain?:
    | { readonly [Name in keyof PlainSettings]?: PlainSettings[Name] | undefined }
    | undefined
  /** Called only when the key is needed; without a header when the volume is yet to be formatted. */
  readonly key: (header: JudgedHeader | undefined) => Promise<VolumeAccess>
  readonly signal?: AbortSignal | undefined
}

/** Runs `use` with the volume's key and wipes it. */
export async function withKey<T>(
  { key }: Pick<VolumeRequest, 'key'>,
  header: JudgedHeader | undefined,
  use: (access: VolumeAccess) => Promise<T>,
): Promise<T> {
  const access = await key(header)
  try {
    return await use(access)
  } finally {
    access.passphrase.wipe()
  }
}

/**
 * Reads the volume's header and judges it.
 *
 * @throws {VolsealError} `header-damaged`; `not-found` for what is no LUKS volume; `io`
 */
export async function judgeVolume(
  { format, expected }: VolumeRequest,
  device: Device,
): Promise<JudgedHeader> {
  const provider = format === 'plain' ? undefined : format
  return await judgeDevice(device, { ...expected, ...(provider && { provider }) })
}
