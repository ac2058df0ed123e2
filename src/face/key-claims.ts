import { barbicanIdOr } from '../core/barbican-id.js'
import { isUuid } from '../core/check.js'
import { asError } from '../core/errors.js'
import { pickProperties } from '../core/image-signature.js'
import type { SecretInfo } from '../keyfile/index.js'
import type { GlanceImage } from '../openstack/index.js'
import type { OpenCloud } from './cloud.js'
import { type ImageKey, isVolumeKey } from './encrypted-image.js'
import { findKeyUse, type KeyUse } from './key-users.js'

/**
 * What speaks against deleting the key of an image with it. The properties are whatever somebody wrote
 * there: what they name may be no key at all, or one that something else needs.
 */
export interface KeyClaims {
  readonly isThere: boolean
  /** Each as a clause, such as `which opens the volume 1f40… as well`. */
  readonly reasons: readonly string[]
}

/** @throws {VolsealError} `forbidden`, `unavailable`: without one of the services nothing can be said */
export async function findClaims(
  key: ImageKey,
  image: GlanceImage,
  cloud: OpenCloud,
  signal?: AbortSignal,
): Promise<KeyClaims> {
  if (!isUuid(key.id)) return { isThere: true, reasons: ['which is no id of a key'] }
  const secret = await describeSeen(key, cloud)
  if (secret === 'missing') return { isThere: false, reasons: [] }
  const use = await findKeyUse(cloud, signal)
  const ofSecret = secret === 'unseen' ? [] : await ownClaims(secret, image, cloud, signal)
  return { isThere: true, reasons: [...ofSecret, ...usersOf(key, image, use)] }
}

/** One that this user may not see is there; nor can this user's token have it deleted. */
async function describeSeen(
  { id }: ImageKey,
  { keyManager }: OpenCloud,
): Promise<SecretInfo | 'missing' | 'unseen'> {
  try {
    return await keyManager.describe(id)
  } catch (error) {
    const { code } = asError(error)
    if (code === 'not-found') return 'missing'
    if (code === 'forbidden') return 'unseen'
    throw error
  }
}

async function ownClaims(
  secret: SecretInfo,
  image: GlanceImage,
  { keyManager, barbican }: OpenCloud,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const { id, type, metadata } = secret
  const consumers = (await keyManager.users(id)).filter((user) => user !== `image ${image.id}`)
  const contained = await barbican.containedSecrets(signal)
  const purpose = metadata['volseal-purpose']
  return [
    ...(isVolumeKey(secret) ? [] : [`which is no key of a volume (its type is ${type})`]),
    ...consumers.map((user) => `which is registered in Barbican as needed by ${user}`),
    ...(contained.includes(id) ? ['which is in a container of Barbican'] : []),
    ...(purpose === undefined ? [] : [`which was made for something else (${purpose})`]),
  ]
}

function usersOf({ id }: ImageKey, image: GlanceImage, use: KeyUse): string[] {
  const opened = use.users.filter((user) => user.keyId === id && user.id !== image.id)
  const signed = use.images.filter(({ properties }) => namesCertificate(properties, id))
  return [
    ...opened.map((user) => `which opens ${user.kind} ${user.id} as well`),
    ...signed.map((each) => `which is the certificate of the image ${each.id}`),
    ...(use.untold === 0 ? [] : [untoldReason(use.untold)]),
  ]
}

function namesCertificate(properties: GlanceImage['properties'], id: string): boolean {
  const named = pickProperties(properties).img_signature_certificate_uuid
  return named !== undefined && barbicanIdOr(named) === id
}

function untoldReason(count: number): string {
  const backups = count === 1 ? 'a backup' : `one of ${count} backups`
  return `which may be that of ${backups}: this cinder (before Wallaby) does not tell their keys`
}
