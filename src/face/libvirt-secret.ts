import { consume } from '../core/secret.js'
import { removeLibvirtSecret, setLibvirtSecret } from '../encryptor/index.js'
import { fetchVolumeKey, type VolumeKeyOptions } from './volume-key.js'

export interface LibvirtSecretOptions extends VolumeKeyOptions {
  readonly volumeId: string
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
  const key = await fetchVolumeKey(options)
  return await consume(
    key.passphrase,
    async (passphrase) => await setLibvirtSecret({ volumeId, passphrase, persistent, uri }, signal),
  )
}

export { removeLibvirtSecret as removeVolumeSecret }
