import type { GlanceImage } from '../openstack/index.js'
import type { OpenCloud } from './cloud.js'
import { imageKeyOf } from './encrypted-image.js'
import { listGlance } from './image-lists.js'

/** Something that a key opens. */
export interface KeyUser {
  readonly kind: 'volume' | 'backup' | 'image'
  readonly id: string
  readonly name: string | null
  readonly keyId: string
}

/** What keys open, as far as the services tell. */
export interface KeyUse {
  /** All images that the user may see; community images of others may name secrets of this project. */
  readonly images: readonly GlanceImage[]
  readonly users: readonly KeyUser[]
  /** Backups of which cinder (before Wallaby) does not tell whether they have a key, and which. */
  readonly untold: number
}

/**
 * All volumes, backups and images that name a key; administrators find volumes and backups of all projects.
 * Snapshots have the key of their volume, which cannot be deleted before them.
 */
export async function findKeyUse(cloud: OpenCloud, signal?: AbortSignal): Promise<KeyUse> {
  const images = await listGlance(cloud, { all: true, signal })
  const { roles } = (await cloud.session.token(signal)).identity
  const scope = { allProjects: roles.includes('admin'), signal }
  const users: KeyUser[] = []
  for await (const { id, name, keyId } of cloud.cinder.volumes(scope)) {
    if (keyId !== null) users.push({ kind: 'volume', id, name, keyId })
  }
  let untold = 0
  for await (const { id, name, keyId } of cloud.cinder.backups(scope)) {
    if (keyId === undefined) untold += 1
    else if (keyId !== null) users.push({ kind: 'backup', id, name, keyId })
  }
  return { images, users: [...users, ...images.flatMap(userIn)], untold }
}

function userIn(image: GlanceImage): KeyUser[] {
  const key = imageKeyOf(image)
  return key === undefined ? [] : [{ kind: 'image', id: image.id, name: image.name, keyId: key.id }]
}
