import { Option } from '@commander-js/extra-typings'
import type { VolumeOptions } from '../face/volume-key.js'
import { type OptionGroup, wholeNumber } from './cli.js'

/** The options that say how a volume is formatted, alike in `write` and `luks format`. */
export interface VolumeChoice {
  readonly pbkdf?: VolumeOptions['pbkdf']
  readonly cipher?: string | undefined
  readonly keySize?: number | undefined
  readonly sectorSize?: number | undefined
  readonly keyIsRandom?: true | undefined
  readonly passphraseEncoding?: 'hex' | undefined
}

export const VOLUME_OPTIONS: OptionGroup<VolumeChoice> = {
  options: [
    new Option(
      '--pbkdf <kind>',
      'key derivation: fast for keys known to be random, else the default of cryptsetup',
    ).choices(['fast', 'default', 'pbkdf2', 'argon2i', 'argon2id']),
    new Option('--cipher <spec>', 'such as aes-xts-plain64, which is what it is if not given'),
    new Option('--key-size <bits>', 'bits of the volume key (default 512: AES-256-XTS)').argParser(
      wholeNumber('--key-size'),
    ),
    new Option(
      '--sector-size <bytes>',
      'of LUKS2 (default 512); 4096 is less work, but images with partitions need 512',
    ).argParser(wholeNumber('--sector-size')),
    new Option('--key-is-random', 'your word that the stored key was drawn at random'),
    new Option(
      '--passphrase-encoding <kind>',
      'hex: passphrase-type secrets as hex too, as nova does',
    ).choices(['hex']),
  ],
}

/** Name of one of the options that was given, or undefined. */
export function givenVolumeOption(choice: VolumeChoice): string | undefined {
  return VOLUME_OPTIONS.options.find((option) =>
    Object.entries(choice).some(([name]) => name === option.attributeName()),
  )?.long
}

/** These options alone. */
export function volumeChoice(choice: VolumeChoice): VolumeChoice {
  const { pbkdf, cipher, keySize, sectorSize, keyIsRandom, passphraseEncoding } = choice
  return { pbkdf, cipher, keySize, sectorSize, keyIsRandom, passphraseEncoding }
}

/** The choice as the library takes it. */
export function volumeOptions(
  choice: VolumeChoice,
  volume: Pick<VolumeOptions, 'provider' | 'keyId' | 'keyManager'>,
): VolumeOptions {
  return { ...volume, ...volumeChoice(choice) }
}
