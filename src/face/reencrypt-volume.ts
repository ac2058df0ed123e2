import type { PassOptions } from '../core/byte-source.js'
import { reencryptVolume as reencrypt } from '../encryptor/index.js'
import { type KeyChangeOptions, keepHeader, keyOf, lookAtVolume } from './key-change.js'
import type { RekeyResult } from './rekey-volume.js'

export interface ReencryptOptions extends KeyChangeOptions, Pick<PassOptions, 'onProgress'> {}

/**
 * Gives a LUKS2 volume another volume key, which encrypts all of its content anew: only that shuts
 * out who kept an old header and its key. Interrupted or killed in the middle the volume stays
 * usable, and the same call goes on.
 *
 * @throws {VolsealError} `usage` for LUKS1 and for a volume with several keys; `wrong-key`, `busy`
 */
export async function reencryptVolume(options: ReencryptOptions): Promise<RekeyResult> {
  const { keyId, signal, onProgress } = options
  const volume = await lookAtVolume(options.device)
  const key = await keyOf(options, volume, keyId)
  try {
    const keeper = keepHeader(options, volume)
    const done = await reencrypt({
      device: volume.device,
      passphrase: key.passphrase,
      keyId,
      pbkdf: key.pbkdf,
      encoding: key.encoding,
      beforeChange: keeper.beforeChange,
      signal,
      onProgress,
    })
    return {
      device: options.device,
      uuid: volume.report.uuid,
      state: 'reencrypted',
      oldKeyId: keyId,
      newKeyId: keyId,
      keyslots: done.keyslots,
      removed: [],
      others: [],
      backup: keeper.made(),
    }
  } finally {
    key.passphrase.wipe()
  }
}
