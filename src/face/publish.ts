import { randomUUID } from 'node:crypto'
import { basename } from 'node:path'
import { hashMethod } from '../core/algorithms.js'
import { openSource, type PassOptions } from '../core/byte-source.js'
import type { GlanceImage, PropertyChange } from '../openstack/index.js'
import { type SignedImage, signBytes } from '../sign/index.js'
import type { HeldImage, VerifyReport } from '../verify/index.js'
import { forgetUser, noteUser } from './certificate-users.js'
import type { OpenCloud } from './cloud.js'
import { cloneVolumeKey, imageKeyProperties, KEY_ID, requireEncrypted } from './encrypted-image.js'
import { findHalfMade, MARKS, marksOf, removeHalfMade } from './half-made.js'
import { hold } from './hold.js'
import { type KeptCertificate, keepCertificate } from './publish-certificate.js'
import { plannedFiles, writePublished } from './publish-files.js'
import {
  diskFormatOf,
  imageName,
  type PublishedFacts,
  requireOtherProperties,
} from './publish-plan.js'
import { readBack, type TransferOptions, uploadSigned } from './publish-upload.js'
import { type SignerOptions, type SignResult, signerOf } from './sign.js'
import { NEVER, Undo, unlessGone } from './undo.js'

export interface PublishOptions extends SignerOptions, PublishedFacts, TransferOptions {
  /** A path, or `-` for standard input. */
  readonly image: string
  /** Where the three signature files go; beside the image when not given. */
  readonly out?: string | undefined
  /**
   * The image is a LUKS volume, and this its key in Barbican: the image gets a copy of it, which Glance
   * deletes with the image, as cinder has it of volumes that it uploads.
   */
  readonly volumeKeyId?: string | undefined
  /** False writes no files. */
  readonly write?: boolean | undefined
  /** Progress of signing. */
  readonly onProgress?: PassOptions['onProgress']
}

/** What was published; the body of `sign --publish --json`. */
export interface PublishResult extends SignResult {
  readonly imageId: string
  readonly name: string | null
  readonly diskFormat: string | null
  readonly visibility: string
  readonly certificateId: string
  /** Whether the certificate was in Barbican before. */
  readonly certificateReused: boolean
  /** The copy of the volume's key that goes with the image; null for an image without one. */
  readonly encryptionKeyId: string | null
  /** Ids of images that an earlier run had left half-made, and that are removed. */
  readonly removed: readonly string[]
  /** What of that is left. */
  readonly warnings: readonly string[]
  /** What verifying it as the services do, read back from Glance, came to. */
  readonly verification: VerifyReport
}

/**
 * Signs an image and publishes it: its certificate is kept in Barbican, it is uploaded to Glance with
 * its signature, and read back and verified by the services' rules before it counts as published.
 * Nobody else sees it until then. When anything fails, or on a signal, all is taken back.
 *
 * @throws {ImageRefused | VolsealError} all that `signImage` throws; `image-unsafe`, `forbidden`,
 * `busy` when the image changed after it was signed, `io` when Glance is full
 *
 * @example
 * const { imageId } = await publishImage({ cloud, image: 'disk.qcow2', key, certificate })
 */
export async function publishImage(options: PublishOptions): Promise<PublishResult> {
  const { image, cloud } = options
  const name = imageName(image, options)
  requireOtherProperties(options)
  const files = await plannedFiles(options)
  const held = await holdImage(options)
  const undo = new Undo()
  try {
    const certificate = await keepCertificate(cloud, options, undo)
    const signed = await sign(held, certificate, options)
    const diskFormat = await diskFormatOf(held, options.diskFormat)
    const left = await removeLeft(cloud, signed)
    const encryptionKeyId = await keepVolumeKey(held, options, undo)
    const planned = { name, diskFormat, signed, certificateId: certificate.id, encryptionKeyId }
    const { id, visibility } = await create(options, planned, undo)
    await uploadSigned(held, id, options)
    const verification = await readBack(signed, id, options)
    if (files !== null) await writePublished(files, signed, options, undo)
    const shown = await release(cloud, id, visibility)
    undo.keepAll()
    const made = { certificate, files, encryptionKeyId, left }
    return resultOf({ options, signed, ...made, shown, verification })
  } catch (error) {
    throw await undo.all(error)
  } finally {
    await held.close()
  }
}

/** By its digests: what is uploaded later is what was signed, or nothing. */
async function holdImage(options: PublishOptions): Promise<HeldImage & { name: string }> {
  const source = await openSource(options.image, 'image')
  try {
    return Object.assign(await hold(source, false, options), { name: source.name })
  } catch (error) {
    await source.close()
    throw error
  }
}

async function sign(
  held: HeldImage & { name: string },
  { id, certificate }: KeptCertificate,
  options: PublishOptions,
): Promise<SignedImage> {
  const signer = await signerOf({ ...options, certificateId: id }, certificate)
  const hash = hashMethod(options.hash ?? 'SHA-256')
  // What is changed later is found when it is uploaded.
  const bytes = { name: held.name, size: undefined, pass: held.pass, unchanged: heldAnyway }
  return await signBytes(bytes, signer, hash, options)
}

async function heldAnyway(): Promise<boolean> {
  return await Promise.resolve(true)
}

async function removeLeft(
  cloud: OpenCloud,
  signed: SignedImage,
): Promise<Pick<PublishResult, 'removed' | 'warnings'>> {
  const removed: string[] = []
  const warnings: string[] = []
  for (const image of await findHalfMade(cloud, signed)) {
    const { id } = image
    const { isRemoved, leftKey } = await removeHalfMade(cloud, image)
    if (isRemoved) removed.push(id)
    if (leftKey !== undefined) {
      warnings.push(
        `the key ${leftKey} of the removed image ${id} was left: it could not be deleted, or something else may need it`,
      )
    }
  }
  return { removed, warnings }
}

/** The ciphertext goes to Glance as it is, and is worth nothing without its key. */
async function keepVolumeKey(
  held: HeldImage & { name: string },
  { cloud, image, volumeKeyId: keyId, signal }: PublishOptions,
  undo: Undo,
): Promise<string | null> {
  if (keyId === undefined) return null
  const volume = { name: held.name, held, keyId, keyManager: cloud.keyManager, signal }
  await requireEncrypted(volume)
  const of = `the image ${basename(image)}`
  const neededBy = async (id: string): Promise<string | undefined> => await imageWithKey(cloud, id)
  return await cloneVolumeKey(volume, { of, neededBy }, undo)
}

/** An image that could not be taken back, and is nothing without it. */
async function imageWithKey({ glance }: OpenCloud, keyId: string): Promise<string | undefined> {
  const filter = { [KEY_ID]: keyId }
  for await (const { id } of glance.listAll(filter, { signal: NEVER })) {
    return `the image ${id} needs it`
  }
  return undefined
}

interface Planned {
  readonly name: string
  readonly diskFormat: string
  readonly signed: SignedImage
  readonly certificateId: string
  readonly encryptionKeyId: string | null
}

/** Whoever may not make it public learns of it before the upload; until it is whole, nobody sees it. */
async function create(
  { cloud, ...options }: PublishOptions,
  { name, diskFormat, signed, certificateId, encryptionKeyId }: Planned,
  undo: Undo,
): Promise<GlanceImage> {
  const { visibility, tags, minDisk, minRam, containerFormat = 'bare' } = options
  const image = { name, diskFormat, containerFormat, visibility, tags, minDisk, minRam }
  // Chosen here, so that it can be taken back also when Glance's answer is lost.
  const id = randomUUID()
  const marks = await marksOf(signed, id)
  const key = encryptionKeyId === null ? {} : imageKeyProperties(encryptionKeyId)
  const made = { ...definedIn(signed.properties), ...key, ...marks }
  const properties = { ...options.imageProperties, ...made }
  undo.add({
    what: `the image ${id}`,
    byHand: `openstack image delete ${id}`,
    takeBack: async () => {
      await unlessGone(async () => await cloud.glance.delete(id))
      await forgetUser(cloud, { certificateId, imageId: id }).catch(() => undefined)
      return undefined
    },
  })
  const created = await cloud.glance.create({ ...image, id, properties })
  await noteUser(cloud, { certificateId, imageId: id })
  if (SEEN_BY_OTHERS.includes(created.visibility)) {
    await cloud.glance.change(id, [{ op: 'replace', property: 'visibility', value: 'private' }])
  }
  return created
}

const SEEN_BY_OTHERS: readonly string[] = ['public', 'community']

function definedIn(properties: SignedImage['properties']): Record<string, string> {
  return Object.fromEntries(
    Object.entries(properties).flatMap(([name, value]) =>
      typeof value === 'string' ? [[name, value]] : [],
    ),
  )
}

/** From now on it is seen by whom it is for. */
async function release(
  { glance }: OpenCloud,
  id: string,
  visibility: string,
): Promise<GlanceImage> {
  const changes = MARKS.map((property): PropertyChange => ({ op: 'remove', property }))
  if (SEEN_BY_OTHERS.includes(visibility)) {
    changes.push({ op: 'replace', property: 'visibility', value: visibility })
  }
  return await glance.change(id, changes)
}

interface Finished {
  readonly options: PublishOptions
  readonly signed: SignedImage
  readonly certificate: KeptCertificate
  readonly files: SignResult['files']
  readonly shown: GlanceImage
  readonly encryptionKeyId: string | null
  readonly left: Pick<PublishResult, 'removed' | 'warnings'>
  readonly verification: VerifyReport
}

function resultOf(finished: Finished): PublishResult {
  const { options, signed, certificate, files, shown, encryptionKeyId } = finished
  const { digest, size, saltLength, properties } = signed
  return {
    image: options.image === '-' ? 'standard input' : options.image,
    digest,
    size,
    saltLength,
    properties,
    files,
    imageId: shown.id,
    name: shown.name,
    diskFormat: shown.diskFormat,
    visibility: shown.visibility,
    certificateId: certificate.id,
    certificateReused: certificate.reused,
    encryptionKeyId,
    ...finished.left,
    verification: finished.verification,
  }
}
