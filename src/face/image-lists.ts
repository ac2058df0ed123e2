import type { GlanceImage, ImageFilter } from '../openstack/index.js'
import type { OpenCloud } from './cloud.js'

type Services = Pick<OpenCloud, 'glance'>

export interface ImageListing {
  /** Glance's filters, such as `owner`, `name`, `visibility`. */
  readonly filter?: ImageFilter | undefined
  /**
   * Also what Glance gives only to who asks for it: community images of other projects, and shared ones
   * that the project has not accepted. They may name secrets of this project all the same.
   */
  readonly all?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

export async function listGlance(
  { glance }: Services,
  { filter, all = false, signal }: ImageListing,
): Promise<GlanceImage[]> {
  const listed = all ? glance.listAll(filter, { signal }) : glance.list(filter, { signal })
  const images: GlanceImage[] = []
  for await (const image of listed) images.push(image)
  return images
}

/** A large cloud has thousands, and this is only a hint. */
export const MOST_COUNTED = 100

/** How many images only `all` lists beside those of a list; not counted on from `MOST_COUNTED`. */
export async function countUnlisted(
  { glance }: Services,
  listed: readonly { readonly id: string }[],
  signal?: AbortSignal,
): Promise<number> {
  const known = new Set(listed.map(({ id }) => id))
  const others = new Set<string>()
  for await (const { id } of glance.listUnasked({}, { signal })) {
    if (!known.has(id)) others.add(id)
    if (others.size === MOST_COUNTED) break
  }
  return others.size
}
