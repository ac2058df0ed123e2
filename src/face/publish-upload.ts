import { CHUNK_BYTES, type PassOptions } from '../core/byte-source.js'
import { throwIfAborted, VolsealError } from '../core/errors.js'
import { SIGNATURE_PROPERTIES } from '../core/image-signature.js'
import type { SignedImage } from '../sign/index.js'
import type { HeldImage, VerifyReport } from '../verify/index.js'
import type { OpenCloud } from './cloud.js'
import { findStoredImage, type StoredImage } from './glance-image.js'
import { verifyImage } from './verify.js'

/** Between which cloud and what it is told of. */
export interface TransferOptions {
  readonly cloud: OpenCloud
  readonly signal?: AbortSignal | undefined
  readonly onUploadProgress?: PassOptions['onProgress']
  /** Progress of reading it back. */
  readonly onVerifyProgress?: PassOptions['onProgress']
}

/** Uploads what was signed, and nothing else. */
export async function uploadSigned(
  held: HeldImage,
  id: string,
  options: TransferOptions,
): Promise<void> {
  const { glance } = options.cloud
  const open = (): AsyncIterable<Uint8Array> => piecesOf(held, options)
  await glance.upload(id, { size: held.size, open, again: true }, options)
  await glance.waitFor(id, ['active'], options)
}

/** Every block is compared with the one that was signed; the next is read while one is sent. */
async function* piecesOf(
  held: HeldImage,
  { signal, onUploadProgress }: TransferOptions,
): AsyncGenerator<Uint8Array> {
  let next = signedBlock(held, 0)
  for (let offset = 0; offset < held.size; offset += CHUNK_BYTES) {
    throwIfAborted(signal)
    onUploadProgress?.(offset, held.size)
    const block = await next
    next = signedBlock(held, offset + CHUNK_BYTES)
    // Reported when its turn comes; until then it must not count as unhandled.
    next.catch(() => undefined)
    yield block
  }
}

async function signedBlock(held: HeldImage, offset: number): Promise<Buffer> {
  try {
    return await held.readAt(offset, CHUNK_BYTES)
  } catch (error) {
    if (!(error instanceof VolsealError) || error.code !== 'signature-mismatch') throw error
    throw new VolsealError('busy', `the image was changed after it was signed, at byte ${offset}`, {
      hint: 'publish it again once nobody writes to it',
      cause: error,
    })
  }
}

/**
 * Verifies it as the services will: the properties of Glance, the certificate of Barbican, their
 * rules. Those take whatever is signed, by whomever; it must also be our signature, of what was uploaded.
 *
 * @throws {ImageRefused | VolsealError} `busy` when somebody else has signed it meanwhile
 */
export async function readBack(
  signed: SignedImage,
  id: string,
  { cloud, signal, onVerifyProgress }: TransferOptions,
): Promise<VerifyReport> {
  const { digest } = signed
  const stored = await findStoredImage(cloud.glance, id, { signal })
  requireOurs(stored, signed)
  const report = await verifyImage({
    ...stored,
    keyManager: cloud.keyManager,
    profile: 'cursive',
    signal,
    onProgress: onVerifyProgress,
  })
  if (report.digest === digest) return report
  throw new VolsealError(
    'signature-mismatch',
    `the image ${id}: expected what was signed (${digest}), read back ${report.digest}`,
    { hint: 'somebody else works on the image' },
  )
}

/** A signature of somebody else may be as good, but is none that was made here. */
function requireOurs(
  { imageId, properties: found }: StoredImage,
  { properties: ours }: SignedImage,
): void {
  const others = SIGNATURE_PROPERTIES.filter((property) => found[property] !== ours[property])
  if (others.length === 0) return
  throw new VolsealError(
    'busy',
    `the image ${imageId} was signed by somebody else meanwhile: ${others.join(', ')}`,
    { hint: 'somebody else works on the image; sign it again if it is to have your signature' },
  )
}
