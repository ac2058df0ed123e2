import { VolsealError } from './errors.js'

/**
 * By which rules an image is judged: `strict` by ours, `cursive` by those of the library that nova,
 * cinder and glance verify with. All that the two differ in is here, and in `docs/profiles.md`.
 */
export type ProfileName = 'strict' | 'cursive'

export interface Profile {
  readonly name: ProfileName
  /** img_signature: the one canonical spelling, or all that Python's `b64decode` makes bytes of. */
  readonly base64: 'canonical' | 'python'
  /** img_signature_certificate_uuid: as Barbican writes ids, or all that Python makes such a one of. */
  readonly certificateId: 'canonical' | 'python'
  /** A certificate: PEM or DER, or only the PEM that castellan can load. */
  readonly certificate: 'any-form' | 'castellan'
  /** Its key: of the key type's curve and with least sizes, or any of the key type's class. */
  readonly key: 'key-type' | 'class'
  /** Whether the certificate must be valid at the time of the check. */
  readonly dates: boolean
  /** Whether somebody must vouch for the certificate. */
  readonly trust: boolean
}

export const PROFILES: Readonly<Record<ProfileName, Profile>> = {
  strict: {
    name: 'strict',
    base64: 'canonical',
    certificateId: 'canonical',
    certificate: 'any-form',
    key: 'key-type',
    dates: true,
    trust: true,
  },
  cursive: {
    name: 'cursive',
    base64: 'python',
    certificateId: 'python',
    certificate: 'castellan',
    key: 'class',
    dates: false,
    trust: false,
  },
}

export const PROFILE_NAMES: readonly ProfileName[] = ['strict', 'cursive']

/** The profile of that name; `strict` when none is given. @throws {VolsealError} `usage` */
export function profileOf(name: ProfileName = 'strict'): Profile {
  if (PROFILE_NAMES.includes(name)) return PROFILES[name]
  throw new VolsealError(
    'usage',
    `profile: expected ${PROFILE_NAMES.join(' or ')}, got ${JSON.stringify(name)}`,
  )
}
