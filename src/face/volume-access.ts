import { VolsealError } from '../core/errors.js'
import type { Device, JudgedHeader, VolumeAccess } from '../encryptor/index.js'
import type { SecretSource } from '../keyfile/index.js'
import { checkVolumeKey, keyCheckError } from './check-volume.js'
import { fetchVolumeKey, formatPlan, type VolumeOptions } from './volume-key.js'

/** Which key opens a volume: the one of an id, or the one that the header's token names. */
export interface AccessOptions extends Omit<VolumeOptions, 'keyId' | 'provider'> {
  readonly keyId?: string | undefined
  /**
   * Id of the volume that is meant: the key id in the header's token is used when the token was made
   * for that volume. A hint from storage that others can write to, taken only when asked for.
   */
  readonly fromToken?: string | undefined
  readonly keyManager: SecretSource
}

/** Fetches the key of a volume whose header is known, or which is yet to be formatted. */
export async function accessVolume(
  options: AccessOptions,
  provider: VolumeOptions['provider'],
  header: JudgedHeader | undefined,
): Promise<VolumeAccess> {
  const keyId = options.keyId ?? keyIdOfToken(options, header)
  const volume: VolumeOptions = { ...options, keyId, provider }
  const key = await fetchVolumeKey(volume)
  const { passphrase, encoding } = key
  return {
    passphrase,
    keyId,
    encoding,
    plan: async () => await formatPlan(volume, key),
    explainWrongKey: async (device) => await inAnotherForm(volume, device),
  }
}

/** The key may be the right one, in the form of another time or of another service. */
async function inAnotherForm(
  volume: VolumeOptions,
  { realPath }: Pick<Device, 'realPath'>,
): Promise<VolsealError | undefined> {
  const check = await checkVolumeKey({ ...volume, device: realPath })
  return check.form === null ? undefined : keyCheckError(check)
}

function keyIdOfToken({ fromToken }: AccessOptions, header: JudgedHeader | undefined): string {
  if (fromToken === undefined) {
    throw new VolsealError('usage', 'no key is named', { hint: 'say --key-id ID' })
  }
  const token = header?.token
  if (token === undefined) {
    throw new VolsealError('not-found', 'the header has no token of volseal that names its key', {
      hint: 'say --key-id ID; cinder shows it as encryption_key_id',
    })
  }
  if (token.volumeId === fromToken) return token.keyId
  throw new VolsealError(
    'not-found',
    `the header's token is that of another volume: expected ${fromToken}, got ${JSON.stringify(token.volumeId)}`,
    { hint: 'a clone carries the token of its source, and has a key of its own: say --key-id ID' },
  )
}
