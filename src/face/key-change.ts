import {
  type Device,
  inspectVolume,
  type JudgedHeader,
  judgeDevice,
  lookAtDevice,
  type Pbkdf,
  requireCryptsetup,
  type VolumeReport,
} from '../encryptor/index.js'
import type { KeyManager } from '../keyfile/index.js'
import { type BackupPlace, backupBeforeChange } from './automatic-backup.js'
import type { HeaderBackup } from './header-backup.js'
import { fetchVolumeKey, formatPlan, type VolumeKey, type VolumeOptions } from './volume-key.js'

/** What every change of a volume's keys needs. */
export interface KeyChangeOptions
  extends Pick<VolumeOptions, 'keyIsRandom' | 'passphraseEncoding'> {
  readonly device: string
  /** The key that opens the volume now. */
  readonly keyId: string
  readonly keyManager: KeyManager
  /** Where the header is kept before it is changed; `none` keeps nothing. */
  readonly backup: BackupPlace | 'none'
  readonly signal?: AbortSignal | undefined
}

/** A volume whose keys are to be changed. */
export interface LookedAt {
  readonly device: Device
  readonly report: VolumeReport
  /** As it was then: no change is made to a header that is not acceptable. */
  readonly header: JudgedHeader
}

/** @throws {VolsealError} `no-device`, `not-found`; `header-damaged`, also when it may be forged */
export async function lookAtVolume(path: string): Promise<LookedAt> {
  await requireCryptsetup()
  const device = await lookAtDevice(path)
  const report = await inspectVolume(path)
  return { device, report, header: await judgeDevice(device) }
}

/** A key of the volume, as it is used there. */
export interface ChosenKey extends VolumeKey {
  readonly id: string
  /** How a new slot for it is derived. */
  readonly pbkdf: Pbkdf
}

/** Fetches a key; the caller wipes its passphrase. */
export async function keyOf(
  options: KeyChangeOptions & Pick<VolumeOptions, 'pbkdf'>,
  { report: { provider } }: LookedAt,
  id: string,
): Promise<ChosenKey> {
  const choice = { ...options, provider, keyId: id }
  const key = await fetchVolumeKey(choice)
  try {
    return { ...key, id, pbkdf: (await formatPlan(choice, key)).pbkdf }
  } catch (error) {
    key.passphrase.wipe()
    throw error
  }
}

/** Makes the backup when the first change is about to be made, and remembers it. */
export interface HeaderKeeper {
  readonly beforeChange: () => Promise<void>
  readonly made: () => HeaderBackup | null
}

export function keepHeader(
  { backup, keyManager }: KeyChangeOptions,
  { device }: LookedAt,
): HeaderKeeper {
  let made: HeaderBackup | null = null
  return {
    beforeChange: async () => {
      if (backup !== 'none') made = await backupBeforeChange(device, backup, keyManager)
    },
    made: () => made,
  }
}
