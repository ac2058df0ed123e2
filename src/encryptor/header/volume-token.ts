import { VolsealError } from '../../core/errors.js'

/**
 * What a LUKS2 header says about itself, as a token (LUKS2 On-Disk Format §3.5; types that a tool
 * does not know it leaves alone). The header lies on storage that others can write to, so this is a
 * hint: never believed, only compared with what the caller says.
 */
export interface VolumeToken {
  /** Keyslots that the key opens. */
  readonly keyslots: readonly number[]
  /** Id of the key in the key manager. */
  readonly keyId: string
  /** Which volume the header was made for; a clone carries that of its source. Null when not said. */
  readonly volumeId: string | null
  /** How key bytes become the passphrase: as lower-case hex, or as they are. */
  readonly encoding: 'hex' | 'text'
  /** `adding` from the moment a new key's slot is there until the caller has taken the new key over. */
  readonly phase: 'ready' | 'adding'
}

export const TOKEN_TYPE = 'volseal'

/** The token's JSON, as `cryptsetup token import` takes it. */
export function tokenJson(token: VolumeToken): string {
  return JSON.stringify({
    type: TOKEN_TYPE,
    keyslots: token.keyslots.map(String),
    key_id: token.keyId,
    volume_id: token.volumeId,
    encoding: token.encoding,
    phase: token.phase,
  })
}

/**
 * Reads a token out of a header's JSON; undefined for one of another type.
 *
 * @throws {VolsealError} `header-damaged` for one of ours that is not as it should be
 */
export function parseToken(value: Record<string, unknown>): VolumeToken | undefined {
  if (value['type'] !== TOKEN_TYPE) return undefined
  const { keyslots, key_id: keyId, volume_id: volumeId, encoding, phase } = value
  if (
    Array.isArray(keyslots) &&
    keyslots.every((slot) => typeof slot === 'string' && /^\d{1,2}$/.test(slot)) &&
    typeof keyId === 'string' &&
    (volumeId === null || typeof volumeId === 'string') &&
    (encoding === 'hex' || encoding === 'text') &&
    (phase === 'ready' || phase === 'adding')
  ) {
    return { keyslots: keyslots.map(Number), keyId, volumeId, encoding, phase }
  }
  throw new VolsealError('header-damaged', 'the token of type volseal is not as volseal writes it')
}
