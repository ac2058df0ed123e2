import { VolsealError } from '../core/errors.js'
import { ServiceMissing } from '../openstack/index.js'
import type { OpenCloud } from './cloud.js'

export interface CinderKeyOptions {
  /** The key that a volume has now. */
  readonly keyId: string
  readonly signal?: AbortSignal | undefined
}

/**
 * A volume that cinder attaches must keep the id of its key: cinder's API has no call to change it
 * (Block Storage API v3; its own migration writes `volumes.encryption_key_id` into the database). With
 * another key, cinder would offer the old one for ever, which opens nothing.
 *
 * @throws {VolsealError} `busy` when cinder has a volume with that key; `unavailable`, `forbidden` when it
 * cannot be asked
 */
export async function refuseCinderVolume(
  { cinder, session }: Pick<OpenCloud, 'cinder' | 'session'>,
  { keyId, signal }: CinderKeyOptions,
): Promise<void> {
  const { roles } = (await session.token(signal)).identity
  for await (const volume of volumesSeen(cinder, roles.includes('admin'), signal)) {
    if (volume.keyId !== keyId) continue
    const named = volume.name === null ? volume.id : `${volume.id} (${volume.name})`
    throw new VolsealError(
      'busy',
      `${keyId} is the key of cinder's volume ${named}, and cinder has no call that gives it another`,
      {
        hint: 'nothing was changed; --volume-key encrypts it anew under the same key (LUKS2), and --commit PROGRAM is for whoever records the new id in the database',
      },
    )
  }
}

/** A cloud without cinder has no such volumes; one that does not answer may have. */
async function* volumesSeen(
  cinder: OpenCloud['cinder'],
  allProjects: boolean,
  signal: AbortSignal | undefined,
): ReturnType<OpenCloud['cinder']['volumes']> {
  try {
    yield* cinder.volumes({ allProjects, signal })
  } catch (error) {
    if (!(error instanceof ServiceMissing)) throw error
  }
}
