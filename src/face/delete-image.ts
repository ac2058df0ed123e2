import { asError, VolsealError } from '../core/errors.js'
import { pickProperties } from '../core/image-signature.js'
import type { GlanceImage } from '../openstack/index.js'
import { forgetUser } from './certificate-users.js'
import type { OpenCloud } from './cloud.js'
import { DELETE_KEY, type ImageKey, imageKeyOf, KEEP_KEY } from './encrypted-image.js'
import { type KeyUser, listAllImages, listKeyUsers } from './key-users.js'
import { NEVER } from './undo.js'

export interface DeleteImageOptions {
  readonly cloud: OpenCloud
  /** The image's id in Glance. */
  readonly imageId: string
  /** Whether the key of an encrypted image is to stay in Barbican. */
  readonly keepKey?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * What became of an image's key: `deleted` with it, `missing` before already, `kept` because the image,
 * the caller or cinder's configuration has it so, `left` because nobody here may delete it.
 */
export type KeyFate = 'deleted' | 'missing' | 'kept' | 'left'

/** What was deleted; the body of `images delete --json`. */
export interface DeletedImage {
  readonly imageId: string
  readonly name: string | null
  /** Null for an image that is not encrypted. */
  readonly encryptionKey: { readonly id: string; readonly fate: KeyFate } | null
  /** The certificate stays; null for an image that was not signed. */
  readonly certificate: {
    readonly id: string
    /** Ids of images that name it still; null when that could not be found out. */
    readonly images: readonly string[] | null
  } | null
}

/**
 * Deletes an image, and with it the key that is its own. Glance deletes that key whoever else needs it,
 * and tells nobody when it could not: here the first is found out before, and the second after.
 *
 * @throws {VolsealError} `busy` when something else is encrypted with the same key, `forbidden`,
 * `not-found`; nothing is deleted then
 */
export async function deleteImage(options: DeleteImageOptions): Promise<DeletedImage> {
  const { cloud, imageId, signal } = options
  const image = await cloud.glance.show(imageId, { signal })
  requireUnprotected(image)
  const key = imageKeyOf(image)
  const before = key === undefined ? undefined : await prepareKey(key, image, options)
  await deleteOrPutBack(image, key, options)
  const { img_signature_certificate_uuid: certificateId } = pickProperties(image.properties)
  return {
    imageId,
    name: image.name,
    encryptionKey:
      key === undefined ? null : { id: key.id, fate: before ?? (await lookAfter(key, cloud)) },
    certificate:
      typeof certificateId === 'string' ? await certificateOf(certificateId, options) : null,
  }
}

/** Glance refuses it, too, but when the key has been looked after already. */
function requireUnprotected({ id, isProtected }: GlanceImage): void {
  if (!isProtected) return
  throw new VolsealError('forbidden', `the image ${id} is protected, and was not deleted`, {
    hint: 'openstack image set --unprotected allows it',
  })
}

/** Where Glance refuses, its word about the key is put back as well. */
async function deleteOrPutBack(
  { id }: GlanceImage,
  key: ImageKey | undefined,
  { cloud: { glance }, keepKey = false }: DeleteImageOptions,
): Promise<void> {
  try {
    await glance.delete(id)
  } catch (error) {
    if (keepKey && key?.goesWithImage === true) {
      await glance.change(id, [DELETE_KEY], { signal: NEVER }).catch(() => undefined)
    }
    throw error
  }
}

/** What is known of the key's fate before the image is deleted; undefined when it goes with it. */
async function prepareKey(
  key: ImageKey,
  image: GlanceImage,
  { cloud, keepKey = false, signal }: DeleteImageOptions,
): Promise<KeyFate | undefined> {
  if (key.isFixed || !key.goesWithImage) return 'kept'
  if (keepKey) {
    await cloud.glance.change(image.id, [KEEP_KEY], { signal })
    return 'kept'
  }
  if (!(await isThere(key, cloud))) return 'missing'
  const users = (await othersWith(key, cloud, signal)).filter(({ id }) => id !== image.id)
  if (users.length > 0) throw neededElsewhere(image, key, users)
  return undefined
}

/** An administrator may delete images of other projects, whose volumes count as well. */
async function othersWith(
  { id }: ImageKey,
  cloud: OpenCloud,
  signal: AbortSignal | undefined,
): Promise<KeyUser[]> {
  const images = await listAllImages(cloud, { signal })
  const { roles } = (await cloud.session.token(signal)).identity
  const allProjects = roles.includes('admin')
  const users = await listKeyUsers(cloud, { images, allProjects, signal })
  return users.filter(({ keyId }) => keyId === id)
}

function neededElsewhere(
  { id }: GlanceImage,
  key: ImageKey,
  users: readonly KeyUser[],
): VolsealError {
  const named = users.map((user) => `${user.kind} ${user.id}`).join(', ')
  return new VolsealError(
    'busy',
    `the image ${id} was not deleted: with it Glance deletes the key ${key.id}, which opens ${named} as well`,
    { hint: 'to delete the image and keep the key: --keep-key' },
  )
}

/** One that this user may not see is there. */
async function isThere({ id }: ImageKey, { keyManager }: OpenCloud): Promise<boolean> {
  try {
    await keyManager.describe(id)
    return true
  } catch (error) {
    const { code } = asError(error)
    if (code === 'not-found') return false
    if (code === 'forbidden') return true
    throw error
  }
}

/** Glance's own failure to delete it is only in its log. */
async function lookAfter(key: ImageKey, cloud: OpenCloud): Promise<KeyFate> {
  try {
    await cloud.keyManager.delete(key.id)
    return 'deleted'
  } catch (error) {
    return asError(error).code === 'not-found' ? 'deleted' : 'left'
  }
}

async function certificateOf(
  id: string,
  { cloud, imageId }: DeleteImageOptions,
): Promise<DeletedImage['certificate']> {
  await forgetUser(cloud, { certificateId: id, imageId }).catch(() => undefined)
  return { id, images: await imagesWith(cloud, id).catch(() => null) }
}

/** Nothing stops it: the image is deleted by now, and that is to be told. */
async function imagesWith({ glance }: OpenCloud, certificateId: string): Promise<string[]> {
  const images: string[] = []
  const filter = { img_signature_certificate_uuid: certificateId }
  for await (const { id } of glance.list(filter, { signal: NEVER })) images.push(id)
  return images
}
