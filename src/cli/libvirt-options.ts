import { Option } from '@commander-js/extra-typings'
import { VolsealError } from '../core/errors.js'
import type { SecretSource } from '../face/key-store.js'
import { removeVolumeSecret, setVolumeSecret } from '../face/libvirt-secret.js'
import type { AccessChoice } from './attach-options.js'
import type { Cli, OptionGroup } from './cli.js'
import type { Outcome } from './output.js'

/** Nova's way for the provider luks: QEMU decrypts, and libvirt has the passphrase for it. */
export interface LibvirtChoice {
  readonly libvirtSecret?: string | undefined
  readonly libvirtUri?: string | undefined
}

export const LIBVIRT_OPTIONS: OptionGroup<LibvirtChoice> = {
  options: [
    new Option(
      '--libvirt-secret <volume-id>',
      "libvirt's secret of the volume, for QEMU to open it",
    ),
    new Option('--libvirt-uri <uri>', 'which libvirt (default qemu:///system)'),
  ],
}

/** Gives libvirt the passphrase instead of opening the volume here. */
export async function attachThroughLibvirt(
  { signal }: Cli,
  device: string | undefined,
  options: AccessChoice & LibvirtChoice & { persistent?: true | undefined },
  { keyId, keyManager }: { keyId: string | undefined; keyManager: SecretSource },
): Promise<Outcome> {
  const { libvirtSecret: volumeId = '', libvirtUri: uri, persistent, passphraseEncoding } = options
  if (keyId === undefined) {
    throw new VolsealError('usage', '--libvirt-secret: no key is named', {
      hint: 'say --key-id ID',
    })
  }
  const volume = {
    volumeId,
    device,
    keyId,
    keyManager,
    passphraseEncoding,
    persistent,
    uri,
    signal,
  }
  const { uuid } = await setVolumeSecret(volume)
  const body = { volumeId, libvirtSecret: uuid, device: device ?? null }
  return { body, text: `libvirt has the passphrase of volume ${volumeId} as secret ${uuid}` }
}

export async function detachFromLibvirt(
  { signal }: Cli,
  { libvirtSecret: volumeId = '', libvirtUri }: LibvirtChoice,
): Promise<Outcome> {
  const removed = await removeVolumeSecret(volumeId, libvirtUri, signal)
  const done = removed ? 'libvirt has forgotten' : 'libvirt had not'
  return { body: { volumeId, removed }, text: `${done} the passphrase of volume ${volumeId}` }
}
