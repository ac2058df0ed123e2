import type { SourceMaker } from '../core/byte-source.js'
import { VolsealError } from '../core/errors.js'
import { type ImageFacts, pickFacts } from '../core/image-facts.js'
import { pickProperties, type SignatureProperties } from '../core/image-signature.js'
import { type KeptBytes, keptSource, knowsDigest } from '../core/kept-bytes.js'
import type { GlanceImage } from '../openstack/index.js'
import type { PolicySubject } from './policy.js'

/** What is needed of Glance to read an image (`openstack/image/glance.ts`). */
export interface ImageReading {
  show(id: string, options?: Stoppable): Promise<GlanceImage>
  download(id: string, options?: Stoppable): AsyncIterable<Uint8Array>
}

interface Stoppable {
  readonly signal?: AbortSignal | undefined
}

/**
 * An image in Glance as `verifyImage` and `writeImage` take it: its bytes, which are streamed, the
 * properties that it had when it was looked at, and what a policy's rules ask for.
 */
export interface StoredImage {
  readonly image: SourceMaker
  readonly properties: SignatureProperties
  readonly subject: PolicySubject
  readonly facts: ImageFacts
  readonly imageId: string
  /** Glance's `disk_format`, which the bytes must turn out to have. */
  readonly sourceFormat: string
  /** All that Glance says of it. */
  readonly described: GlanceImage
}

const PREFIX = 'glance:'
/** Of any version: whoever creates an image may choose its id. */
const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** The id in `glance:ID`; undefined for what names no image in Glance. @throws {VolsealError} `usage` */
export function glanceId(image: string): string | undefined {
  if (!image.startsWith(PREFIX)) return undefined
  const id = image.slice(PREFIX.length).toLowerCase()
  if (ID.test(id)) return id
  throw new VolsealError(
    'usage',
    `${image}: expected glance: and the id of an image, got ${JSON.stringify(image.slice(PREFIX.length, 80))}`,
    { hint: 'names are not unique; openstack image list shows the ids' },
  )
}

/** The id of an image that can only be one of Glance's: `glance:ID`, or the id alone. @throws {VolsealError} `usage` */
export function storedImageId(image: string): string {
  return glanceId(image.startsWith(PREFIX) ? image : `${PREFIX}${image}`) ?? image
}

/**
 * Looks an image up. Nothing of its content is read yet; a lost connection is resumed.
 *
 * @throws {VolsealError} `not-found`, `forbidden`, `unavailable`; `busy` for an image that is not active
 *
 * @example
 * const image = await findStoredImage(cloud.glance, id)
 * const report = await verifyImage({ ...image, keyManager: cloud.keyManager, trusted: [ca] })
 */
export async function findStoredImage(
  glance: ImageReading,
  id: string,
  { signal }: Stoppable = {},
): Promise<StoredImage> {
  const described = requireActive(await glance.show(id, { signal }))
  const { size, diskFormat } = described
  const facts = factsOf(described)
  const kept: KeptBytes = {
    name: `${PREFIX}${id}`,
    size: size ?? 0,
    digest: digestOf(described),
    open: () => glance.download(id, { signal }),
    unchanged: async () => isSame(described, requireActive(await glance.show(id, { signal }))),
  }
  return {
    image: { name: kept.name, openSource: async () => await Promise.resolve(keptSource(kept)) },
    properties: pickProperties(described.properties),
    facts,
    subject: { project: facts.owner, imageName: facts.name, createdAt: facts.createdAt },
    imageId: id,
    sourceFormat: diskFormat ?? 'raw',
    described,
  }
}

/** Facts for a policy, as they stand in the JSON of `openstack image show`. */
function factsOf({ id, name, owner, created }: GlanceImage): ImageFacts {
  return pickFacts({ id, name, owner, created_at: created })
}

/** What an image in another status is about, and what to do. */
const STATUS_HINTS: Readonly<Record<string, string>> = {
  queued: 'nobody has uploaded its content yet',
  saving: 'its content is being uploaded; try again when it is active',
  uploading: 'its content is being uploaded; try again when it is active',
  importing: 'its content is being imported; try again when it is active',
  deactivated: 'an administrator has withdrawn it: openstack image set --activate',
}

export function requireActive(image: GlanceImage): GlanceImage {
  const { id, status } = image
  if (status === 'active') return image
  const isGone = ['killed', 'deleted', 'pending_delete'].includes(status)
  throw new VolsealError(
    isGone ? 'not-found' : 'busy',
    `the image ${id}: expected it to be active, it is ${status}`,
    { hint: STATUS_HINTS[status] },
  )
}

/** The digest that says most of those that can be computed here. */
function digestOf({ hashAlgorithm, hashValue, checksum }: GlanceImage): KeptBytes['digest'] {
  if (hashAlgorithm !== null && hashValue !== null && knowsDigest(hashAlgorithm)) {
    return { algorithm: hashAlgorithm, value: hashValue.toLowerCase() }
  }
  if (checksum === null || !knowsDigest('md5')) return undefined
  return { algorithm: 'md5', value: checksum.toLowerCase() }
}

/** Whether all that a verdict depends on is still the same; an image's content never changes. */
export function isSame(before: GlanceImage, now: GlanceImage): boolean {
  return JSON.stringify(verdictFacts(before)) === JSON.stringify(verdictFacts(now))
}

/** All that Glance says of an image on which a verdict depends. */
export function verdictFacts(image: GlanceImage): readonly unknown[] {
  const { status, size, checksum, hashValue, diskFormat, properties } = image
  return [[status, size, checksum, hashValue, diskFormat], pickProperties(properties)]
}
