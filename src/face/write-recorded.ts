import { asError, VolsealError } from '../core/errors.js'
import type { Cinder, GlanceImage } from '../openstack/index.js'
import { KEY_PROPERTIES } from './encrypted-image.js'
import { MARKS } from './half-made.js'
import { type WriteOptions, type WriteResult, writeImage } from './write.js'

export interface WriteRecordedOptions extends WriteOptions {
  readonly cinder: Pick<
    Cinder,
    'volume' | 'imageMetadata' | 'setImageMetadata' | 'unsetImageMetadata'
  >
  /** The volume that the target is, by its id in cinder. */
  readonly volumeId: string
  /** What Glance says of the image, if it is one of Glance's. */
  readonly described?: GlanceImage | undefined
}

/** The body of `write --set-volume-metadata --json`. */
export interface WriteRecordedResult extends WriteResult {
  readonly volumeId: string
  /** What cinder has of the volume's image now. */
  readonly volumeMetadata: Readonly<Record<string, string>>
}

/** As cinder writes it (volume/flows/manager/create_volume.py). */
const FLAG = 'signature_verified'

/**
 * Writes an image as `writeImage` does, and has cinder record of the volume what it records itself
 * when it makes a volume from an image: whether the signature was verified, and which image it was.
 * From the first byte that is written until then, cinder says nothing of it.
 *
 * @throws {ImageRefused | VolsealError} all that `writeImage` throws; when only recording fails, the
 * error says that the volume is written
 */
export async function writeRecorded(options: WriteRecordedOptions): Promise<WriteRecordedResult> {
  const { cinder, volumeId, described, signal } = options
  await cinder.volume(volumeId, { signal })
  const result = await writeImage({
    ...options,
    onAccepted: async () => await forget(options),
  })
  const wanted = { ...metadataOf(described), [FLAG]: result.signatureVerified ? 'True' : 'False' }
  try {
    const volumeMetadata = await cinder.setImageMetadata(volumeId, wanted, { signal })
    return { ...result, volumeId, volumeMetadata }
  } catch (reason) {
    const error = asError(reason)
    throw new VolsealError(
      error.code,
      `${options.target} is written and verified, but not recorded: ${error.message}`,
      {
        hint: `openstack volume set --image-property ${FLAG}=${wanted[FLAG]} ${volumeId}`,
        cause: error,
      },
    )
  }
}

/** What cinder itself writes of the image that a volume was made of. */
const FACTS: ReadonlySet<string> = new Set([
  FLAG,
  'image_id',
  'image_name',
  'checksum',
  'container_format',
  'disk_format',
  'min_disk',
  'min_ram',
  'size',
])

/** What cinder has of an earlier image is not true of the volume any more. */
async function forget({ cinder, volumeId, signal }: WriteRecordedOptions): Promise<void> {
  const there = await cinder.imageMetadata(volumeId, { signal })
  const stale = Object.keys(there).filter(
    (key) => FACTS.has(key) || key.startsWith('img_signature'),
  )
  for (const key of stale) await cinder.unsetImageMetadata(volumeId, key, { signal })
}

/** cinder's API takes no longer ones, so `img_signature` stays in Glance. */
const LONGEST_VALUE = 255
const KEY = /^[\w\-:. /]{1,255}$/

/** The image's properties, then what cinder writes over them (volume_utils.get_volume_image_metadata). */
function metadataOf(image: GlanceImage | undefined): Record<string, string> {
  if (image === undefined) return {}
  const facts = {
    image_id: image.id,
    image_name: image.name,
    checksum: image.checksum,
    container_format: image.containerFormat,
    disk_format: image.diskFormat,
    min_disk: String(image.minDisk),
    min_ram: String(image.minRam),
    size: image.size === null ? null : String(image.size),
  }
  const entries = Object.entries<string | null>({ ...image.properties, ...facts })
  return Object.fromEntries(
    entries.flatMap(([key, value]) => (isForVolume(key, value) ? [[key, value ?? '']] : [])),
  )
}

/** The image's key and its marks are not the volume's: what is made of the volume would inherit them. */
function isForVolume(key: string, value: string | null): boolean {
  if (value === null || value.length > LONGEST_VALUE || !KEY.test(key)) return false
  return !MARKS.includes(key) && !KEY_PROPERTIES.has(key)
}
