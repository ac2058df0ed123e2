import { VolsealError } from '../../core/errors.js'
import type { Connection } from './connection.js'

/** How a volume is encrypted on this host: os-brick's formats. `luks` is LUKS1 on disk. */
export type EncryptionFormat = 'luks' | 'luks2' | 'plain'

/** Cinder's encryption metadata (`GET /volumes/ID/encryption`), under its own names. */
export interface EncryptionMetadata {
  readonly provider?: string | undefined
  readonly encryption_key_id?: string | undefined
  readonly control_location?: string | undefined
  readonly cipher?: string | undefined
  /** Bits of the volume key. */
  readonly key_size?: number | undefined
}

/**
 * Every provider that a volume type may name (os_brick/encryptors/__init__.py): the formats, and the
 * class paths of old types, which are in use to this day. There is no old name for luks2.
 */
const PROVIDERS: Readonly<Record<string, EncryptionFormat | 'none'>> = {
  luks: 'luks',
  luks2: 'luks2',
  plain: 'plain',
  'nova.volume.encryptors.luks.LuksEncryptor': 'luks',
  'os_brick.encryptors.luks.LuksEncryptor': 'luks',
  LuksEncryptor: 'luks',
  'os_brick.encryptors.luks.Luks2Encryptor': 'luks2',
  'nova.volume.encryptors.cryptsetup.CryptsetupEncryptor': 'plain',
  'os_brick.encryptors.cryptsetup.CryptsetupEncryptor': 'plain',
  CryptsetupEncryptor: 'plain',
  'nova.volume.encryptors.nop.NoopEncryptor': 'none',
  'os_brick.encryptors.nop.NoopEncryptor': 'none',
  'os_brick.encryptors.nop.NoOpEncryptor': 'none',
  NoOpEncryptor: 'none',
}

/** The names that are best to use today. */
export const FORMATS: readonly EncryptionFormat[] = ['luks', 'luks2', 'plain']

/** Every provider that is known, with its format. */
export const KNOWN_PROVIDERS: readonly (readonly [
  provider: string,
  format: EncryptionFormat | 'none',
])[] = Object.entries(PROVIDERS)

/** A provider's format; undefined for one that is not known. */
export function findFormat(provider: string): EncryptionFormat | 'none' | undefined {
  return Object.hasOwn(PROVIDERS, provider) ? PROVIDERS[provider] : undefined
}

/**
 * A provider's format; `none` for those that encrypt nothing.
 *
 * @throws {VolsealError} `no-device` for one that is not known: os-brick would load it as a class
 */
export function formatOf(provider: string): EncryptionFormat | 'none' {
  const format = findFormat(provider)
  if (format !== undefined) return format
  throw new VolsealError(
    'no-device',
    `there is no encryption provider ${JSON.stringify(provider)}: expected ${FORMATS.join(', ')}`,
    { hint: 'nothing was attached; the provider stands in the encryption of the volume type' },
  )
}

/** Whatever cinder says of a volume's encryption, it says only of volumes that have one. */
const NAMED = ['provider', 'encryption_key_id', 'control_location', 'cipher', 'key_size'] as const

/**
 * How a connected volume is to be encrypted; undefined for one that is not. Fails closed: os-brick
 * hands the bare device on when `control_location` is not `front-end`, and the volume is then
 * written in clear while cinder calls it encrypted.
 *
 * @param hasKey whether the caller has named a key, which no other volume needs
 * @throws {VolsealError} `no-device`
 */
export function encryptionOf(
  connection: Connection,
  metadata: EncryptionMetadata,
  hasKey = false,
): EncryptionFormat | undefined {
  const { provider, control_location: location } = metadata
  const format = provider === undefined ? undefined : formatOf(provider)
  const encryptsNothing = format === 'none'
  const said = [
    ...(connection.encrypted ? ['connection_info says so'] : []),
    ...NAMED.flatMap((name) => {
      const value = metadata[name]
      const counts = value !== undefined && !(name === 'provider' && encryptsNothing)
      return counts ? [`its ${name} is ${value}`] : []
    }),
    ...(hasKey ? ['a key was given for it'] : []),
  ]
  if (said.length === 0) return undefined
  if (location !== undefined && location.toLowerCase() !== 'front-end') {
    throw cannotEncrypt(connection, said, `control_location is ${JSON.stringify(location)}`, {
      hint: 'no OpenStack service encrypts at the back end; set the volume type to front-end',
    })
  }
  if (format === undefined || format === 'none') {
    const named =
      provider === undefined ? 'no provider is named' : `the provider ${provider} encrypts nothing`
    throw cannotEncrypt(connection, said, named, {
      hint: 'attaching it bare would put clear text on the storage; correct the volume type',
    })
  }
  return format
}

function cannotEncrypt(
  { volumeId }: Connection,
  said: readonly string[],
  but: string,
  options: { hint: string },
): VolsealError {
  const volume = volumeId === undefined ? 'the volume' : `the volume ${volumeId}`
  const message = `${volume} is to be encrypted (${said.join(', ')}), but ${but}`
  return new VolsealError('no-device', message, options)
}
