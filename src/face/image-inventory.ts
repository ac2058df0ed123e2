import type { HashName, KeyTypeName } from '../core/algorithms.js'
import { mapAtOnce } from '../core/at-once.js'
import { barbicanIdOr } from '../core/barbican-id.js'
import type { PassOptions } from '../core/byte-source.js'
import {
  type Certificate,
  type CertificateSummary,
  keyMisfit,
  readCertificate,
  summarize,
} from '../core/certificate.js'
import { asError, throwIfAborted, VolsealError } from '../core/errors.js'
import {
  type ImageSignature,
  parseSignature,
  pickProperties,
  SIGNATURE_PROPERTIES,
} from '../core/image-signature.js'
import { PROFILES } from '../core/profiles.js'
import type { GlanceImage } from '../openstack/index.js'
import { ImageRefused } from '../verify/index.js'
import { BytesRead } from './bytes-read.js'
import { certificateFile } from './certificates.js'
import type { OpenCloud } from './cloud.js'
import { findStoredImage, verdictFacts } from './glance-image.js'
import { type ImageListing, listGlance } from './image-lists.js'
import { essenceOf, type VerificationJournal } from './verification-journal.js'
import { verifyImage } from './verify.js'

/** What is to be said of an image's signature; the gravest that holds. */
export type ImageState =
  /** Signed with a certificate that can be fetched and is valid. */
  | 'signed'
  /** The same, but the certificate ends soon. */
  | 'expiring'
  | 'expired'
  | 'unsigned'
  /** Some properties are missing, or cannot be used; or the certificate is not one. */
  | 'invalid'
  /** Barbican has no such secret: deleted, or past its own expiration. */
  | 'secret-missing'
  /** Not for this user to read. */
  | 'secret-forbidden'
  /** Read, and not what was signed. */
  | 'mismatch'
  /** Could not be read. */
  | 'unchecked'

/** One line of the inventory; JSON-safe. */
export interface InventoryImage {
  readonly id: string
  readonly name: string | null
  readonly status: string
  readonly visibility: string
  readonly owner: string | null
  /** Bytes; null before it has content. */
  readonly size: number | null
  /** ISO 8601, UTC. */
  readonly created: string
  readonly state: ImageState
  /** What is wrong; null when nothing is. */
  readonly reason: string | null
  /** Whether its content was read and compared. */
  readonly verified: boolean
  /** When, ISO 8601, UTC: now, or in an earlier run; null when it was not. */
  readonly verifiedAt: string | null
  readonly keyType: KeyTypeName | null
  readonly hash: HashName | null
  readonly certificateId: string | null
  readonly certificate: CertificateSummary | null
  /** Whole days until the certificate ends; negative when it has. */
  readonly daysLeft: number | null
}

/** An image whose certificate ends, or has ended. */
export const ENDING: ReadonlySet<ImageState> = new Set(['expiring', 'expired'])

export interface InventoryOptions extends ImageListing {
  readonly cloud: OpenCloud
  /** Days before its end from which on a certificate counts as expiring; 30 when not given. */
  readonly expiringDays?: number | undefined
  /** Whether the content is read and compared as the services do it. */
  readonly verify?: boolean | undefined
  /** With `verify`: where verdicts are noted; what is in it is not read again. */
  readonly journal?: VerificationJournal | undefined
  /** How many images are read at once; 2 when not given. */
  readonly atOnce?: number | undefined
  /** Called after each image. */
  readonly onImage?: ((image: InventoryImage, done: number, all: number) => void) | undefined
  /** With `verify`: bytes of all images, of which those that need not be read count as read. */
  readonly onProgress?: PassOptions['onProgress']
}

const DAY_MS = 24 * 60 * 60 * 1000
const DAYS = 30
const AT_ONCE = 2

/**
 * What there is to say of the signatures of the images in Glance, oldest first. Each certificate is
 * fetched once; content is read only to `verify` it, streamed.
 *
 * @throws {VolsealError} `forbidden`, `unavailable`; what is wrong with one image is said of it
 */
export async function listImages(options: InventoryOptions): Promise<InventoryImage[]> {
  const { cloud, signal, onImage, atOnce = AT_ONCE } = options
  const images = await listGlance(cloud, options)
  const certificates = new CertificateCache(cloud)
  const read = new BytesRead(images, options.onProgress)
  let done = 0
  const found = await mapAtOnce(images, atOnce, async (image) => {
    throwIfAborted(signal)
    const onProgress = (bytes: number): void => read.at(image.id, bytes)
    const line = await lineOf(image, certificates, { ...options, onProgress })
    read.at(image.id, image.size ?? 0)
    done += 1
    onImage?.(line, done, images.length)
    return line
  })
  await options.journal?.finish()
  return found
}

async function lineOf(
  image: GlanceImage,
  certificates: CertificateCache,
  options: InventoryOptions,
): Promise<InventoryImage> {
  const line = await looksOf(image, certificates, options)
  const isReadable = ['signed', 'expiring', 'expired'].includes(line.state)
  if (options.verify !== true || !isReadable || image.status !== 'active') return line
  return await rememberedLine(image, line, options)
}

/** What can be said without reading the content. */
async function looksOf(
  image: GlanceImage,
  certificates: CertificateCache,
  { expiringDays = DAYS }: InventoryOptions,
): Promise<InventoryImage> {
  const properties = pickProperties(image.properties)
  const blank = blankLine(image)
  if (SIGNATURE_PROPERTIES.every((name) => properties[name] === undefined)) return blank
  const signature = attempt(() => parseSignature(properties, AS_THE_SERVICES))
  if (signature instanceof VolsealError) return troubled(blank, 'invalid', signature)
  const signed = { ...blank, ...signatureFacts(signature) }
  const certificate = await certificates.get(signature.certificateId ?? '')
  if (certificate instanceof VolsealError) {
    return troubled(signed, STATES[certificate.code] ?? 'invalid', certificate)
  }
  const daysLeft = Math.floor((certificate.notAfter.getTime() - Date.now()) / DAY_MS)
  const known = { ...signed, certificate: summarize(certificate), daysLeft }
  const misfit = unfit(certificate, signature)
  if (misfit !== undefined) return { ...known, state: 'invalid', reason: misfit }
  if (daysLeft < 0) return { ...known, state: 'expired', reason: 'its certificate has expired' }
  if (daysLeft >= expiringDays) return { ...known, state: 'signed', reason: null }
  return { ...known, state: 'expiring', reason: `its certificate ends in ${daysLeft} days` }
}

const AS_THE_SERVICES = { certificateKnown: false, profile: PROFILES.cursive } as const

/** Why the services refuse a certificate that they can fetch; undefined when they take it. */
function unfit(
  { publicKey, notBefore }: Certificate,
  { keyType }: ImageSignature,
): string | undefined {
  if (notBefore.getTime() > Date.now()) {
    return `its certificate is not valid before ${notBefore.toISOString()}`
  }
  return keyMisfit(publicKey, keyType, PROFILES.cursive)
}

const STATES: Readonly<Partial<Record<VolsealError['code'], ImageState>>> = {
  'not-found': 'secret-missing',
  forbidden: 'secret-forbidden',
  unavailable: 'unchecked',
}

function troubled(
  line: InventoryImage,
  state: ImageState,
  { message }: VolsealError,
): InventoryImage {
  return { ...line, state, reason: message }
}

function blankLine(image: GlanceImage): InventoryImage {
  const { id, name, status, visibility, owner, size, created } = image
  return {
    id,
    name,
    status,
    visibility,
    owner,
    size,
    created,
    state: 'unsigned',
    reason: null,
    verified: false,
    verifiedAt: null,
    keyType: null,
    hash: null,
    certificateId: null,
    certificate: null,
    daysLeft: null,
  }
}

function signatureFacts({
  keyType,
  hash,
  certificateId,
}: ImageSignature): Pick<InventoryImage, 'keyType' | 'hash' | 'certificateId'> {
  return { keyType: keyType.name, hash: hash.name, certificateId: certificateId ?? null }
}

/** An image that the run has accepted before it was ended is not read again, unless it has changed. */
async function rememberedLine(
  image: GlanceImage,
  line: InventoryImage,
  options: InventoryOptions,
): Promise<InventoryImage> {
  const { journal } = options
  const essence = essenceOf([verdictFacts(image), line.certificate?.fingerprint])
  const known = journal?.find(image.id, essence)
  if (known !== undefined) return { ...line, verified: true, verifiedAt: known.at }
  const found = await verifiedLine(line, options)
  const { verified, verifiedAt, state } = found
  if (verified && verifiedAt !== null && state !== 'mismatch') {
    await journal?.add({ imageId: image.id, essence, at: verifiedAt })
  }
  return found
}

/** As the services verify: who vouches for the certificate is another question. */
async function verifiedLine(
  line: InventoryImage,
  { cloud: { glance, keyManager }, signal, onProgress }: InventoryOptions,
): Promise<InventoryImage> {
  try {
    const stored = await findStoredImage(glance, line.id, { signal })
    await verifyImage({ ...stored, keyManager, profile: 'cursive', signal, onProgress })
    return { ...line, verified: true, verifiedAt: new Date().toISOString() }
  } catch (reason) {
    throwIfAborted(signal)
    const error = asError(reason)
    if (error.code === 'internal') throw error
    const isVerdict = error instanceof ImageRefused && error.code !== 'unchecked'
    if (!isVerdict) return troubled(line, 'unchecked', error)
    // Refused before its content was read.
    if (error.report.digest === null) return troubled(line, 'invalid', error)
    const verdict = { verified: true, verifiedAt: new Date().toISOString() }
    return { ...troubled(line, 'mismatch', error), ...verdict }
  }
}

function attempt<T>(work: () => T): T | VolsealError {
  try {
    return work()
  } catch (error) {
    if (error instanceof VolsealError) return error
    throw error
  }
}

/** Fetches each certificate once, however many images name it. */
class CertificateCache {
  readonly #cloud: OpenCloud
  readonly #fetched = new Map<string, Promise<Certificate | VolsealError>>()

  constructor(cloud: OpenCloud) {
    this.#cloud = cloud
  }

  async get(value: string): Promise<Certificate | VolsealError> {
    const id = barbicanIdOr(value)
    const fetching = this.#fetched.get(id) ?? this.#fetch(id)
    this.#fetched.set(id, fetching)
    return await fetching
  }

  async #fetch(id: string): Promise<Certificate | VolsealError> {
    try {
      const content = await certificateFile(this.#cloud.keyManager, id, PROFILES.cursive)
      return readCertificate(content, `the certificate ${id}`, PROFILES.cursive)
    } catch (error) {
      const known = asError(error)
      if (known.code === 'internal' || known.code === 'interrupted') throw known
      return known
    }
  }
}
