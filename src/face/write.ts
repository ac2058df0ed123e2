import { fstat } from 'node:fs'
import { basename } from 'node:path'
import { promisify } from 'node:util'
import { type ByteSource, nameOf, openSource, type PassOptions } from '../core/byte-source.js'
import { VolsealError } from '../core/errors.js'
import { identityOf } from '../encryptor/index.js'
import {
  formatMismatch,
  type ImageFormat,
  type ImageReport,
  inspectImage,
  isUnsafe,
} from '../inspect/index.js'
import type { KeyManager } from '../keyfile/index.js'
import { type HeldImage, readOrUnchecked, type VerifyReport } from '../verify/index.js'
import { hold } from './hold.js'
import { planVerification } from './plan.js'
import { fetchingOnce } from './signature-facts.js'
import { Undo } from './undo.js'
import { type VerifyOptions, verifyHeld, withReport } from './verify.js'
import { contentSize } from './write-content.js'
import { planWriting, type WriteTargetOptions, type Written } from './write-target.js'

export interface WriteOptions extends VerifyOptions, WriteTargetOptions {
  /** What the image claims to be; `raw` when not given. Another format found is refused. */
  readonly sourceFormat?: string | undefined
  /** Progress of writing; `onProgress` is that of verifying. */
  readonly onWriteProgress?: PassOptions['onProgress']
  /**
   * The image is a LUKS volume with this key: that is proven before the first byte is written, and the
   * target gets a copy of the key.
   */
  readonly sealedWith?: SealedWith | undefined
  /** Called once the image is accepted, before the first byte is written; what it throws ends it. */
  readonly onAccepted?: (() => Promise<void>) | undefined
}

/** What was written; the body of `write --json`. */
export interface WriteResult extends Written {
  readonly image: string
  readonly target: string
  /** The format found, which is the one claimed. */
  readonly format: ImageFormat
  /**
   * The copy of the image's key that the target has now, to be kept with the volume; null for an image
   * that is not encrypted.
   */
  readonly encryptionKeyId: string | null
  /** Lower-case hex digest of the image as signed. */
  readonly digest: string | null
  /** False when a policy asks for no signature, and none was verified. */
  readonly signatureVerified: boolean
  readonly verification: VerifyReport
}

/**
 * Verifies an image and writes its raw content into a file, a block device or an encrypted volume.
 * Nothing reaches the target before the whole image has been accepted, and what is written is what
 * was verified: either every block is compared with the digest that it had then, or it is read from
 * a copy that nobody else can reach.
 *
 * @throws {ImageRefused | VolsealError} all that `verifyImage` throws, `image-unsafe`, `too-small`,
 * `not-blank`, `header-damaged`, `wrong-key`, `busy`, `no-device`, `io`
 */
export async function writeImage(given: WriteOptions): Promise<WriteResult> {
  const options = fetchingOnce(given)
  const name = nameOf(options.image, 'image')
  const plan = await withReport(name, options, async () => await planVerification(options))
  const claim = options.sourceFormat ?? 'raw'
  const writing = await planWriting(options, claim)
  const source = await readOrUnchecked(async () => await openSource(options.image, 'image'))
  const requireRoom = claim === 'raw' ? writing.requireRoom : undefined
  const { needsCopy, makeCopy } = writing
  const copying = { ...options, requireRoom, makeCopy }
  const held = await hold(source, needsCopy, copying).catch(async (error: unknown) => {
    await source.close()
    throw error
  })
  try {
    await refuseSameFile(source, writing.identity, options.target)
    if (source.size !== undefined) requireRoom?.(source.size)
    const verification = await verifyHeld(source, held, plan, options)
    const found = await inspectHeld(held, claim, options)
    writing.requireRoom(contentSize(held, found))
    const { written, encryptionKeyId } = await withOwnKey(held, source.name, options, async () => {
      await options.onAccepted?.()
      return await writing.write(held, found)
    })
    return {
      image: source.name,
      target: options.target,
      ...written,
      format: found.format,
      encryptionKeyId,
      digest: verification.digest,
      signatureVerified: verification.verdict === 'accepted',
      verification,
    }
  } finally {
    await held.close()
  }
}

/** The key of an encrypted image, and where its copy goes. */
export interface SealedWith {
  readonly keyId: string
  readonly keyManager: KeyManager
}

/** A volume must not share its key with the image: who deletes one of them deletes the key. */
async function withOwnKey(
  held: HeldImage,
  name: string,
  { sealedWith, target, signal }: WriteOptions,
  write: () => Promise<Written>,
): Promise<{ written: Written; encryptionKeyId: string | null }> {
  if (sealedWith === undefined) return { written: await write(), encryptionKeyId: null }
  const { cloneVolumeKey, requireEncrypted, VOLUME_KEY } = await import('./encrypted-image.js')
  await requireEncrypted({ name, held, ...sealedWith, signal })
  const undo = new Undo()
  try {
    const copy = { of: `${basename(target)}, of ${name}`, purpose: VOLUME_KEY }
    const encryptionKeyId = await cloneVolumeKey(sealedWith, copy, undo)
    return { written: await write(), encryptionKeyId }
  } catch (error) {
    throw await undo.all(error)
  }
}

const statFd = promisify(fstat)

async function refuseSameFile(
  { fd, name }: ByteSource,
  identity: string | undefined,
  target: string,
): Promise<void> {
  if (fd === undefined || identity === undefined) return
  if (identityOf(await statFd(fd)) !== identity) return
  throw new VolsealError('usage', `${name} and ${target} are the same; writing would destroy it`)
}

/** @throws {VolsealError} `image-unsafe` */
async function inspectHeld(
  held: HeldImage,
  claim: string,
  { encrypt }: WriteOptions,
): Promise<ImageReport> {
  const report = await inspectImage(held)
  const mismatch = formatMismatch(claim, report)
  if (mismatch !== undefined) throw unsafe(mismatch.message, claim, report.format)
  const finding = report.findings.find(({ level }) => level === 'unsafe')
  if (isUnsafe(report) && finding !== undefined) throw unsafe(finding.message, claim, claim)
  if (encrypt !== undefined && report.format === 'luks') {
    throw unsafe(
      'the image is an encrypted volume itself, and would be encrypted twice',
      claim,
      claim,
    )
  }
  return report
}

function unsafe(message: string, claim: string, found: string): VolsealError {
  const hint =
    claim === found
      ? 'nothing was written; volseal inspect shows all findings'
      : `nothing was written; if it is meant to be ${found}, say so: --source-format ${found}`
  return new VolsealError('image-unsafe', message, { hint })
}
