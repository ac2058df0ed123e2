import { consume, Secret } from '../../core/secret.js'
import type { Device } from '../device.js'
import { judgeDevice } from '../header/judge-header.js'
import { opensVolume } from './keyslots.js'
import { type KeyReplacement, type Replacement, replaceKey } from './rekey-volume.js'

/**
 * Before Newton, nova and os-brick wrote each byte of a key in hex without its leading zero
 * (bug 1633518): `04` became `4`. os-brick mended such volumes on attach until 5.0.0 removed that, so
 * what was not attached in between opens nowhere any more.
 *
 * @returns the passphrase of those days, which the caller wipes; undefined when no byte is below 16,
 * and it is the right one
 */
export function mangledPassphrase(key: Secret): Secret | undefined {
  const hex = key.hex()
  const digits = hex.bytes()
  const kept = Buffer.alloc(digits.length)
  let length = 0
  for (const [index, digit] of digits.entries()) {
    const isPadding = index % 2 === 0 && digit === ZERO
    if (!isPadding) length = kept.writeUInt8(digit, length)
  }
  const isRight = length === digits.length
  hex.wipe()
  if (!isRight) return new Secret(kept.subarray(0, length))
  kept.fill(0)
  return undefined
}

const ZERO = 0x30

/** Whether a volume has the mangled passphrase of a key; nothing is changed. */
export async function opensMangled(
  device: Device,
  key: Secret,
  signal?: AbortSignal,
): Promise<boolean> {
  const mangled = mangledPassphrase(key)
  if (mangled === undefined) return false
  return await consume(mangled, async (passphrase) => {
    const header = await judgeDevice(device)
    return await opensVolume({ device, header, passphrase, signal })
  })
}

export interface MangledRepair
  extends Omit<KeyReplacement, 'oldKey' | 'oldKeyId' | 'commit' | 'newKey'> {
  /** The key's own bytes. */
  readonly key: Secret
  /** What the key opens a volume with today. */
  readonly passphrase: Secret
}

/**
 * Gives a volume with a mangled passphrase the right one: that is added and proven before the wrong
 * one is removed. Killed in the middle, the same call goes on.
 *
 * @throws {VolsealError} `wrong-key` when neither opens it
 */
export async function repairMangled(repair: MangledRepair): Promise<Replacement> {
  const mangled = mangledPassphrase(repair.key) ?? repair.passphrase.copy()
  return await consume(
    mangled,
    async () =>
      await replaceKey({
        ...repair,
        oldKey: mangled,
        oldKeyId: repair.newKeyId,
        newKey: repair.passphrase,
        commit: async () => {},
      }),
  )
}
