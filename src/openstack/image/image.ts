import { record, text } from '../../core/check.js'
import { VolsealError } from '../../core/errors.js'
import { understood } from '../http/answer.js'

/** An image as Glance describes it (Image API v2, "Show image"). */
export interface GlanceImage {
  readonly id: string
  readonly name: string | null
  /** `queued` before it has content, `active` when it has; also `saving`, `importing`, `killed` … */
  readonly status: string
  /** Bytes; null before it has content. */
  readonly size: number | null
  readonly diskFormat: string | null
  readonly containerFormat: string | null
  readonly visibility: string
  /** Id of the project that owns it. */
  readonly owner: string | null
  readonly isProtected: boolean
  readonly tags: readonly string[]
  /** MD5, hex; null in clouds that do not make one. */
  readonly checksum: string | null
  /** Such as `sha512`, and the digest in hex; null before it has content. */
  readonly hashAlgorithm: string | null
  readonly hashValue: string | null
  /** ISO 8601, UTC. */
  readonly created: string
  readonly updated: string
  /** All that anybody may set, `img_signature` among it. */
  readonly properties: Readonly<Record<string, string>>
}

export interface NewImage {
  /** A UUID; Glance draws one when not given. */
  readonly id?: string | undefined
  readonly name?: string | undefined
  readonly diskFormat: string
  readonly containerFormat: string
  readonly visibility?: string | undefined
  readonly isProtected?: boolean | undefined
  readonly tags?: readonly string[] | undefined
  /** GiB and MiB that an instance must have. */
  readonly minDisk?: number | undefined
  readonly minRam?: number | undefined
  readonly properties?: Readonly<Record<string, string>> | undefined
}

/** What stands beside the properties in Glance's answer (`/v2/schemas/image`). */
const OWN_FIELDS: ReadonlySet<string> = new Set([
  'id',
  'name',
  'status',
  'size',
  'virtual_size',
  'disk_format',
  'container_format',
  'visibility',
  'owner',
  'protected',
  'os_hidden',
  'tags',
  'checksum',
  'os_hash_algo',
  'os_hash_value',
  'min_disk',
  'min_ram',
  'created_at',
  'updated_at',
  'self',
  'file',
  'schema',
  'locations',
  'direct_url',
  'stores',
])

/** @throws {VolsealError} `unavailable` for an answer that is no image */
export function readImage(answer: unknown): GlanceImage {
  return understood('glance', 'an image', () => {
    const image = record(answer, 'image')
    const tags: unknown[] = Array.isArray(image['tags']) ? image['tags'] : []
    return {
      id: text(image['id'], 'id'),
      name: optional(image['name']),
      status: text(image['status'], 'status'),
      size: typeof image['size'] === 'number' ? image['size'] : null,
      diskFormat: optional(image['disk_format']),
      containerFormat: optional(image['container_format']),
      visibility: text(image['visibility'], 'visibility'),
      owner: optional(image['owner']),
      isProtected: image['protected'] === true,
      tags: tags.filter((tag) => typeof tag === 'string'),
      checksum: optional(image['checksum']),
      hashAlgorithm: optional(image['os_hash_algo']),
      hashValue: optional(image['os_hash_value']),
      created: text(image['created_at'], 'created_at'),
      updated: text(image['updated_at'], 'updated_at'),
      properties: propertiesOf(image),
    }
  })
}

function optional(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}

function propertiesOf(image: Record<string, unknown>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(image).flatMap(([name, value]) =>
      typeof value === 'string' && !OWN_FIELDS.has(name) ? [[name, value]] : [],
    ),
  )
}

/** What Glance is told. @throws {VolsealError} `usage` for a property that is a field of its own */
export function imageBody(image: NewImage): Record<string, unknown> {
  const { properties = {} } = image
  const taken = Object.keys(properties).find((name) => OWN_FIELDS.has(name))
  if (taken !== undefined) {
    throw new VolsealError(
      'usage',
      `the property ${taken}: expected a name that is not Glance's own`,
    )
  }
  const fields = {
    id: image.id,
    name: image.name,
    disk_format: image.diskFormat,
    container_format: image.containerFormat,
    visibility: image.visibility,
    protected: image.isProtected,
    tags: image.tags,
    min_disk: image.minDisk,
    min_ram: image.minRam,
  }
  // What is undefined is left out of JSON.
  return { ...properties, ...fields }
}
