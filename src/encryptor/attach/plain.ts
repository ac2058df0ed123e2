import { lookAtDevice, withReading } from '../device.js'
import { findSignature } from '../format/signatures.js'
import type { Mapping } from '../mapper.js'
import { type Activation, activationArgs } from './activation.js'
import type { VolumeRequest } from './volume-request.js'

/**
 * Plain dm-crypt has no header: what was used when the volume was made must be said each time it is
 * opened. os-brick leaves the hash out, and cryptsetup 2.7 changed its default, with which every
 * such volume opens as garbage; so all three are always given.
 */
export interface PlainSettings {
  readonly cipher: string
  /** Bits. */
  readonly keySize: number
  /** What turns the passphrase into the key. */
  readonly hash: string
}

/** cryptsetup's defaults before 2.7, when such volumes were made. */
const DEFAULTS: PlainSettings = {
  cipher: 'aes-cbc-essiv:sha256',
  keySize: 256,
  hash: 'ripemd160',
}

export function plainSettings({ plain, expected }: VolumeRequest): PlainSettings {
  return {
    cipher: plain?.cipher ?? expected?.cipher ?? DEFAULTS.cipher,
    keySize: plain?.keySize ?? expected?.keySize ?? DEFAULTS.keySize,
    hash: plain?.hash ?? DEFAULTS.hash,
  }
}

/** `cryptsetup open --type plain`, the passphrase on standard input, to which the hash applies. */
export function openPlainArgs(
  device: string,
  mapping: string,
  { cipher, keySize, hash }: PlainSettings,
  activation: Activation,
): string[] {
  const settings = ['--cipher', cipher, '--key-size', String(keySize), '--hash', hash]
  const options = ['--type', 'plain', '--key-file=-', ...settings, ...activationArgs(activation)]
  return ['open', ...options, device, mapping]
}

/** Plain dm-crypt takes any key: whether it was the right one shows only by what is inside. */
export async function plainWarnings({ name }: Mapping): Promise<string[]> {
  const path = `/dev/mapper/${name}`
  const device = await lookAtDevice(path)
  const found = await withReading(device, async (file) => await findSignature(file, device))
  if (found !== undefined) return []
  return [
    `nothing known is to be seen in ${path}: plain dm-crypt takes any key, cipher and hash, and shows garbage if one is wrong; a volume that was never used looks like this as well`,
  ]
}
