import { VolsealError } from '../core/errors.js'
import { type Tuned, tuneVolume as tune } from '../encryptor/index.js'
import type { HeaderBackup } from './header-backup.js'
import { type KeyChangeOptions, keepHeader, keyOf, lookAtVolume } from './key-change.js'

/** The body of `luks tune --json`. */
export interface TuneResult extends Tuned {
  readonly device: string
  readonly uuid: string
  readonly keyId: string
  /** Null when nothing was changed, or none was wanted. */
  readonly backup: HeaderBackup | null
}

/**
 * Makes a volume cheap to open: the slow key derivation of its key is replaced by the fast one,
 * which is enough for a key that was drawn at random.
 *
 * @throws {VolsealError} `usage` for a key that is not known to be random; `wrong-key`, `too-small`
 * when LUKS1 has no free keyslot
 *
 * @example
 * await tuneVolume({ device: '/dev/vdb', keyId, keyManager, backup })
 */
export async function tuneVolume(options: KeyChangeOptions): Promise<TuneResult> {
  const volume = await lookAtVolume(options.device)
  const key = await keyOf(options, volume, options.keyId)
  try {
    if (!(await key.isRandom())) throw notRandom(options.keyId)
    const keeper = keepHeader(options, volume)
    const tuned = await tune({
      device: volume.device,
      passphrase: key.passphrase,
      beforeChange: keeper.beforeChange,
      signal: options.signal,
    })
    const { device, keyId } = options
    return { device, uuid: volume.report.uuid, keyId, ...tuned, backup: keeper.made() }
  } finally {
    key.passphrase.wipe()
  }
}

function notRandom(keyId: string): VolsealError {
  return new VolsealError('usage', `the key ${keyId} is not known to be random`, {
    hint: 'nothing was changed; a passphrase needs a slow key derivation, and for a key of at least 128 random bits say --key-is-random',
  })
}
