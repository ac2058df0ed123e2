import { VolsealError } from '../core/errors.js'
import { consume } from '../core/secret.js'
import { inspectVolume, removeLibvirtSecret, setLibvirtSecret } from '../encryptor/index.js'
import { checkVolumeKey, keyCheckError } from './check-volume.js'
import { fetchVolumeKey, type VolumeKeyOptions } from './volume-key.js'

export interface LibvirtSecretOptions extends VolumeKeyOptions {
  readonly volumeId: string
  /** Where the volume is, to see that it is LUKS1 and that the key opens it; a file, too. */
  readonly device?: string | undefined
  /** As nova makes it: kept on disk in clear, readable by all who may talk to libvirt. */
  readonly persistent?: boolean | undefined
  /** `qemu:///system` when not given. */
  readonly uri?: string | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Gives libvirt the passphrase of a volume that QEMU itself decrypts, which is nova's way for the
 * provider `luks`: a secret with the usage volume/ID, always set anew. For a guest of nova a key of
 * type passphrase needs `passphraseEncoding: 'hex'`, nova's rule.
 *
 * @throws {VolsealError} `unavailable`, `forbidden`, `usage`, and all that the key manager throws
 *
 * @example
 * const { uuid } = await setVolumeSecret({ volumeId, keyId, keyManager })
 */
export async function setVolumeSecret(options: LibvirtSecretOptions): Promise<{ uuid: string }> {
  const { volumeId, persistent, uri, signal } = options
  await requireOpenable(options)
  const key = await fetchVolumeKey(options)
  return await consume(
    key.passphrase,
    async (passphrase) => await setLibvirtSecret({ volumeId, passphrase, persistent, uri }, signal),
  )
}

/** QEMU would find it out when the guest starts. */
async function requireOpenable({ device, ...options }: LibvirtSecretOptions): Promise<void> {
  if (device === undefined) return
  const { provider } = await inspectVolume(device)
  if (provider !== 'luks') {
    throw new VolsealError('no-device', `${device}: QEMU opens LUKS1 only, and this is LUKS2`, {
      hint: 'attach it without --libvirt-secret',
    })
  }
  const error = keyCheckError(await checkVolumeKey({ ...options, device }))
  if (error !== undefined) throw error
}

export { removeLibvirtSecret as removeVolumeSecret }
