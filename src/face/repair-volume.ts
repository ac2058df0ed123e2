import { repairMangled } from '../encryptor/index.js'
import { type KeyChangeOptions, keepHeader, keyOf, lookAtVolume } from './key-change.js'
import type { RekeyResult } from './rekey-volume.js'

/**
 * Mends a volume from before Newton whose passphrase lacks zeros (nova's bug 1633518): the key's
 * right passphrase is added and proven before the wrong one is removed. Killed in the middle, the
 * same call goes on.
 *
 * @throws {VolsealError} `wrong-key` when the key opens it in neither form
 */
export async function repairMangledVolume(options: KeyChangeOptions): Promise<RekeyResult> {
  const { keyId, keyManager, signal } = options
  const volume = await lookAtVolume(options.device)
  const key = await keyOf(options, volume, keyId)
  const { payload } = await keyManager.fetch(keyId)
  try {
    const keeper = keepHeader(options, volume)
    const repaired = await repairMangled({
      device: volume.device,
      key: payload,
      passphrase: key.passphrase,
      newKeyId: keyId,
      pbkdf: key.pbkdf,
      encoding: key.encoding,
      beforeChange: keeper.beforeChange,
      signal,
    })
    const { uuid } = volume.report
    const ids = { oldKeyId: keyId, newKeyId: keyId }
    const state = repaired.state === 'already' ? 'already' : 'repaired'
    return { device: options.device, uuid, ...ids, ...repaired, state, backup: keeper.made() }
  } finally {
    payload.wipe()
    key.passphrase.wipe()
  }
}
