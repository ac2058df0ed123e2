import { basename } from 'node:path'
import { VolsealError } from '../core/errors.js'
import { formatMismatch, type ImageReport, inspectImage, isUnsafe } from '../inspect/index.js'
import type { HeldImage } from '../verify/index.js'
import { KEY_PROPERTIES } from './encrypted-image.js'

/** What is said of a new image in Glance. */
export interface PublishedFacts {
  /** The image's file name when not given. */
  readonly name?: string | undefined
  /** Glance's `disk_format`; what the bytes are when not given, and refused when they are not that. */
  readonly diskFormat?: string | undefined
  /** `bare` when not given. */
  readonly containerFormat?: string | undefined
  /** `private`, `shared`, `community` or `public`; the cloud's default when not given. */
  readonly visibility?: string | undefined
  /** Further properties, such as `hw_disk_bus`. */
  readonly imageProperties?: Readonly<Record<string, string>> | undefined
  readonly tags?: readonly string[] | undefined
  /** GiB and MiB that an instance must have. */
  readonly minDisk?: number | undefined
  readonly minRam?: number | undefined
}

/** What Glance calls the formats that it knows; a LUKS volume is uploaded as cinder does it, as raw. */
const DISK_FORMATS: Readonly<Record<string, string>> = {
  raw: 'raw',
  luks: 'raw',
  iso: 'iso',
  qcow2: 'qcow2',
  vmdk: 'vmdk',
  vhd: 'vhd',
  vhdx: 'vhdx',
  vdi: 'vdi',
}

/**
 * The disk_format of an image, by its bytes.
 *
 * @throws {VolsealError} `image-unsafe` for an image that no program may open, or of another format
 */
export async function diskFormatOf(held: HeldImage, claimed: string | undefined): Promise<string> {
  const report = await inspectImage(held)
  const mismatch = claimed === undefined ? undefined : formatMismatch(claimed, report)
  const finding = mismatch ?? unsafeFinding(report)
  const format = claimed ?? DISK_FORMATS[report.format]
  if (finding === undefined && format !== undefined) return format
  throw new VolsealError(
    'image-unsafe',
    finding?.message ?? `Glance has no disk_format for ${report.format}`,
    {
      hint:
        mismatch === undefined
          ? 'nothing was uploaded; volseal inspect shows all findings'
          : `nothing was uploaded; leave out --disk-format, and it becomes ${DISK_FORMATS[report.format] ?? report.format}`,
    },
  )
}

function unsafeFinding(report: ImageReport): { message: string } | undefined {
  return isUnsafe(report) ? report.findings.find(({ level }) => level === 'unsafe') : undefined
}

/** How the image is called when nobody says. @throws {VolsealError} `usage` for a stream */
export function imageName(path: string, { name }: PublishedFacts): string {
  if (name !== undefined) return name
  if (path !== '-') return basename(path)
  throw new VolsealError('usage', 'standard input: --name says how the image is to be called')
}

const NOT_OURS = /^img_signature(_|$)|^volseal_publish/

/** @throws {VolsealError} `usage` for a property that is made here */
export function requireOtherProperties({ imageProperties = {} }: PublishedFacts): void {
  const name = Object.keys(imageProperties).find((property) => NOT_OURS.test(property))
  if (name !== undefined) {
    throw new VolsealError('usage', `the property ${name} is made by signing, and cannot be given`)
  }
  const key = Object.keys(imageProperties).find((property) => KEY_PROPERTIES.has(property))
  if (key === undefined) return
  throw new VolsealError(
    'usage',
    `the property ${key} is not to be given: with the image, Glance would delete the key of the volume`,
    { hint: 'name the key with --volume-key-id, and the image gets a copy of its own' },
  )
}
