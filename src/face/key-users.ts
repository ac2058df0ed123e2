import type { GlanceImage } from '../openstack/index.js'
import type { OpenCloud } from './cloud.js'
import { imageKeyOf } from './encrypted-image.js'

/** Something that a key opens. */
export interface KeyUser {
  readonly kind: 'volume' | 'backup' | 'image'
  readonly id: string
  readonly name: string | null
  readonly keyId: string
}

interface Search {
  readonly signal?: AbortSignal | undefined
}

/** All images that the user may see. */
export async function listAllImages(
  { glance }: Pick<OpenCloud, 'glance'>,
  { signal }: Search,
): Promise<GlanceImage[]> {
  const images: GlanceImage[] = []
  for await (const image of glance.list({}, { signal })) images.push(image)
  return images
}

/**
 * All volumes, backups and images that name a key; with `allProjects`, administrators find those of all
 * projects. Snapshots have the key of their volume, which cannot be deleted before them.
 */
export async function listKeyUsers(
  { cinder }: Pick<OpenCloud, 'cinder'>,
  {
    images,
    allProjects = false,
    signal,
  }: Search & { readonly images: readonly GlanceImage[]; readonly allProjects?: boolean },
): Promise<KeyUser[]> {
  const users: KeyUser[] = []
  for await (const { id, name, keyId } of cinder.volumes({ allProjects, signal })) {
    if (keyId !== null) users.push({ kind: 'volume', id, name, keyId })
  }
  for await (const { id, name, keyId } of cinder.backups({ allProjects, signal })) {
    if (keyId !== null) users.push({ kind: 'backup', id, name, keyId })
  }
  for (const image of images) {
    const key = imageKeyOf(image)
    if (key !== undefined) {
      users.push({ kind: 'image', id: image.id, name: image.name, keyId: key.id })
    }
  }
  return users
}
