import { asError, VolsealError } from '../core/errors.js'
import { pickProperties } from '../core/image-signature.js'
import type { GlanceImage } from '../openstack/index.js'
import { forgetUser } from './certificate-users.js'
import type { OpenCloud } from './cloud.js'
import { type ImageKey, imageKeyOf, policyChange } from './encrypted-image.js'
import { findClaims } from './key-claims.js'
import { NEVER, Undo, unlessGone } from './undo.js'

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
 * Deletes an image, and with it the key that is its own. Glance deletes whatever secret the image names as
 * its key, whoever else needs it, and tells nobody when it could not: here the first is found out before,
 * and the second after.
 *
 * @throws {VolsealError} `busy` when something else needs what is named as its key, `forbidden`,
 * `not-found`; nothing is deleted then
 */
export async function deleteImage(options: DeleteImageOptions): Promise<DeletedImage> {
  const { cloud, imageId, keepKey = false, signal } = options
  const image = await cloud.glance.show(imageId, { signal })
  requireUnprotected(image)
  const key = imageKeyOf(image)
  const before = key === undefined ? undefined : await fateOf(key, image, options)
  if (keepKey && key?.goesWithImage === true) await deleteKeeping(key, options)
  else await cloud.glance.delete(imageId)
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

/** Where Glance refuses, or its answer is lost, its word about the key is put back as well. */
async function deleteKeeping(
  key: ImageKey,
  { cloud: { glance }, imageId: id, signal }: DeleteImageOptions,
): Promise<void> {
  const undo = new Undo()
  // Before it is asked for: also when the answer is lost, it may have been done.
  undo.add({
    what: `the changed ${key.policyProperty} of the image ${id}`,
    byHand: `openstack image set --property ${key.policyProperty}=on_image_deletion ${id}`,
    takeBack: async () => {
      await unlessGone(async () => {
        const now = imageKeyOf(await glance.show(id, { signal: NEVER }))
        if (now === undefined || now.goesWithImage) return
        await glance.change(id, [policyChange(key, 'delete')], { signal: NEVER })
      })
      return undefined
    },
  })
  try {
    await glance.change(id, [policyChange(key, 'keep')], { signal })
    await glance.delete(id)
  } catch (error) {
    throw await undo.all(error)
  }
}

/**
 * What is known of the key's fate before the image is deleted; undefined when it goes with it.
 *
 * @throws {VolsealError} `busy`
 */
async function fateOf(
  key: ImageKey,
  image: GlanceImage,
  { cloud, keepKey = false, signal }: DeleteImageOptions,
): Promise<KeyFate | undefined> {
  if (key.isFixed || !key.goesWithImage || keepKey) return 'kept'
  const { isThere, reasons } = await findClaims(key, image, cloud, signal)
  if (!isThere) return 'missing'
  if (reasons.length === 0) return undefined
  throw new VolsealError(
    'busy',
    `the image ${image.id} was not deleted: with it Glance deletes ${key.id}, ${reasons.join(', and ')}`,
    { hint: 'to delete the image and leave that in Barbican: --keep-key' },
  )
}

/** Deletes the key of a deleted image: Glance's own failure to do so is only in its log. */
export async function lookAfter(
  { id }: ImageKey,
  { keyManager }: Pick<OpenCloud, 'keyManager'>,
): Promise<KeyFate> {
  try {
    await keyManager.delete(id)
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
  for await (const { id } of glance.listAll(filter, { signal: NEVER })) images.push(id)
  return images
}
