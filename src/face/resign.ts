import { hashMethod } from '../core/algorithms.js'
import { readBarbicanId } from '../core/barbican-id.js'
import type { PassOptions } from '../core/byte-source.js'
import { VolsealError } from '../core/errors.js'
import { SIGNATURE_PROPERTIES, type SignatureProperties } from '../core/image-signature.js'
import { formatMismatch, inspectImage, isUnsafe } from '../inspect/index.js'
import { type GlanceImage, hasStatus, type PropertyChange } from '../openstack/index.js'
import { type SignedImage, signSource } from '../sign/index.js'
import type { VerifyReport } from '../verify/index.js'
import { otherBytes } from './arrival.js'
import { forgetUser, noteOrWarn } from './certificate-users.js'
import type { OpenCloud } from './cloud.js'
import { findStoredImage, type StoredImage } from './glance-image.js'
import { type KeptCertificate, keepCertificate } from './publish-certificate.js'
import { readBack } from './publish-upload.js'
import { type SignerOptions, signerOf } from './sign.js'
import { NEVER, Undo } from './undo.js'
import { verifyImage } from './verify.js'

export interface ResignOptions extends SignerOptions, PassOptions {
  readonly cloud: OpenCloud
  /** The image's id in Glance. */
  readonly imageId: string
  /** Only what its signature vouches for now, by the services' rules, is signed anew. */
  readonly onlySigned?: boolean | undefined
  /** Progress of reading it back; `onProgress` is that of signing. */
  readonly onVerifyProgress?: PassOptions['onProgress']
}

/** What was signed anew; the body of `images resign --json`. */
export interface ResignResult {
  readonly imageId: string
  readonly name: string | null
  /** Lower-case hex. */
  readonly digest: string
  /** Bytes. */
  readonly size: number
  /** Bytes of salt of an RSA-PSS signature; null for DSA and ECDSA. */
  readonly saltLength: number | null
  readonly properties: SignatureProperties
  /** Those that it had before; empty when it was not signed. */
  readonly replaced: SignatureProperties
  readonly certificateId: string
  readonly certificateReused: boolean
  readonly verification: VerifyReport
  /** What of it did not come about, though the image is signed. */
  readonly warnings: readonly string[]
}

/**
 * Signs an image that is in Glance: it is streamed, not kept, and its four properties are replaced in
 * one go while the rest stays as it is. Then it is read back and verified by the services' rules; when
 * that fails, it gets its old properties back, unless somebody else has signed it since.
 *
 * @throws {ImageRefused | VolsealError} all that `signImage` throws; `busy` when the image was changed
 * or signed by somebody else meanwhile, `image-unsafe` when it is not what its disk_format says, `signature-mismatch` when Glance
 * gives other bytes than it took in
 *
 * @example
 * const { properties } = await resignImage({ cloud, imageId: snapshot, key, certificate })
 */
export async function resignImage(options: ResignOptions): Promise<ResignResult> {
  const { cloud, imageId, signal } = options
  const stored = await findStoredImage(cloud.glance, imageId, { signal })
  await requireOwn(cloud, stored.described)
  await requireFormat(cloud, stored)
  if (options.onlySigned === true) await requireSigned(cloud, stored, options)
  const undo = new Undo()
  try {
    const certificate = await keepCertificate(cloud, options, undo)
    const signed = await sign(stored, certificate, options)
    await replace(cloud, stored, signed, undo)
    const verification = await readBack(signed, imageId, options)
    undo.keepAll()
    const warnings = await noteOrWarn(cloud, { certificateId: certificate.id, imageId })
    await forgetOther(cloud, stored, certificate)
    return { ...resultOf(stored, signed, certificate, verification), warnings }
  } catch (error) {
    throw await undo.all(error)
  }
}

/** The image is whole by now, whatever comes of it. */
async function forgetOther(
  cloud: OpenCloud,
  { imageId, properties }: StoredImage,
  { id }: KeptCertificate,
): Promise<void> {
  const before = properties.img_signature_certificate_uuid
  const named = readBarbicanId(before ?? '')
  if (named.kind !== 'id' || named.id === id) return
  const certificateId = named.id
  await forgetUser(cloud, { certificateId, imageId }).catch(() => undefined)
}

/** Better found out before a large image is read. */
async function requireOwn({ session }: OpenCloud, { id, owner }: GlanceImage): Promise<void> {
  const { project, roles } = (await session.token()).identity
  if (owner === null || owner === project?.id || roles.includes('admin')) return
  throw new VolsealError(
    'forbidden',
    `the image ${id}: expected one of the project ${project?.name ?? 'of the token'}, it is owned by ${owner}`,
    { hint: 'only its owner and administrators can change its properties' },
  )
}

/**
 * Properties are anybody's to write who may change the image: what only says that it was signed must not
 * come by a signature that way. An expired certificate is no hindrance to the services.
 *
 * @throws {ImageRefused | VolsealError} what `verifyImage` throws
 */
async function requireSigned(
  { keyManager }: OpenCloud,
  stored: StoredImage,
  { signal }: ResignOptions,
): Promise<void> {
  await verifyImage({ ...stored, keyManager, profile: 'cursive', signal })
}

/** As far as a second LUKS2 header may be away, and some more. */
const HEAD_BYTES = 4 * 1024 * 1024 + 64 * 1024

/** What lies about its format is not to be vouched for. Only headers are read here. */
async function requireFormat(
  { glance }: OpenCloud,
  { imageId, described, sourceFormat }: StoredImage,
): Promise<void> {
  const size = described.size ?? 0
  const fetch = async (start: number, end: number): Promise<Buffer> => {
    const chunks: Buffer[] = []
    if (end <= start) return Buffer.alloc(0)
    for await (const chunk of glance.download(imageId, { start, length: end - start })) {
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  }
  // Most of what is looked at lies there, and many small requests take longer than a large one.
  const head = await fetch(0, Math.min(size, HEAD_BYTES))
  const readAt = async (start: number, length: number): Promise<Buffer> => {
    const end = Math.min(start + length, size)
    return end <= head.length ? head.subarray(start, end) : await fetch(start, end)
  }
  const report = await inspectImage({ size, readAt })
  const unsafe = isUnsafe(report)
    ? report.findings.find(({ level }) => level === 'unsafe')
    : undefined
  const finding = formatMismatch(sourceFormat, report) ?? unsafe
  if (finding === undefined) return
  throw new VolsealError('image-unsafe', `the image ${imageId}: ${finding.message}`, {
    hint: 'it was not signed; nobody should use it as it is',
  })
}

async function sign(
  stored: StoredImage,
  { id, certificate }: KeptCertificate,
  options: ResignOptions,
): Promise<SignedImage> {
  const signer = await signerOf({ ...options, certificateId: id }, certificate)
  const source = await stored.image.openSource()
  try {
    const signed = await signSource(source, signer, hashMethod(options.hash ?? 'SHA-256'), options)
    const arrival = await source.arrival?.()
    if (arrival === undefined || arrival.expected === arrival.found) return signed
    throw otherBytes(source, arrival)
  } finally {
    await source.close()
  }
}

/** A property that has come or gone since the image was looked at fails all of it. */
async function replace(
  { glance }: OpenCloud,
  { imageId, properties: before }: StoredImage,
  { properties: after }: SignedImage,
  undo: Undo,
): Promise<void> {
  // Before it is asked for: also when the answer is lost, it may have been done.
  undo.add({
    what: `the new signature of the image ${imageId}`,
    byHand: 'volseal images resign, or openstack image unset --property img_signature …',
    takeBack: async () => {
      const now = await glance.show(imageId, { signal: NEVER })
      const changes = changesBack(now, before, after)
      if (changes.length === 0) return undefined
      await glance.change(imageId, changes, { exactly: true, signal: NEVER })
      return undefined
    },
  })
  try {
    await glance.change(imageId, changesFrom(before, after), { exactly: true, signal: NEVER })
  } catch (error) {
    if (!hasStatus(error, 409)) throw error
    throw new VolsealError('busy', `the image ${imageId} was changed while it was being signed`, {
      hint: 'somebody signs it as well, or takes its signature away; sign it again after them',
      cause: error,
    })
  }
}

/** What somebody else has written since is theirs; with another signature, all four are. */
function changesBack(
  { properties: now }: GlanceImage,
  before: SignatureProperties,
  after: SignatureProperties,
): PropertyChange[] {
  if (now['img_signature'] !== after.img_signature) return []
  const theirs: readonly string[] = SIGNATURE_PROPERTIES.filter(
    (property) => now[property] !== after[property],
  )
  return changesFrom(after, before).filter(({ property }) => !theirs.includes(property))
}

function changesFrom(before: SignatureProperties, after: SignatureProperties): PropertyChange[] {
  return SIGNATURE_PROPERTIES.flatMap((property): PropertyChange[] => {
    const value = after[property]
    const wasThere = before[property] !== undefined
    if (value === undefined) return wasThere ? [{ op: 'remove', property }] : []
    return [{ op: wasThere ? 'replace' : 'add', property, value }]
  })
}

function resultOf(
  { imageId, described, properties: replaced }: StoredImage,
  { digest, size, saltLength, properties }: SignedImage,
  { id, reused }: KeptCertificate,
  verification: VerifyReport,
): Omit<ResignResult, 'warnings'> {
  return {
    imageId,
    name: described.name,
    digest,
    size,
    saltLength,
    properties,
    replaced,
    certificateId: id,
    certificateReused: reused,
    verification,
  }
}
