import { lstat, rm, rmdir } from 'node:fs/promises'
import { type SignatureFiles, type SignedImage, signatureFiles } from '../sign/index.js'
import { requirePlace, writeFiles } from './sign.js'
import type { Undo } from './undo.js'

/** Which image is published, and where its signature files go. */
interface FileOptions {
  readonly image: string
  readonly out?: string | undefined
  readonly write?: boolean | undefined
}

/** The files that are to be written, once it is known that they can be; null when none are. */
export async function plannedFiles(options: FileOptions): Promise<SignatureFiles | null> {
  const files = options.write === false ? null : filesOf(options)
  if (files !== null) await requirePlace(files, options.out)
  return files
}

function filesOf({ image, out }: FileOptions): SignatureFiles | null {
  if (image !== '-') return signatureFiles(image, out)
  return out === undefined ? null : signatureFiles('image', out)
}

/**
 * Before everybody sees the image: a full disk is no reason to take it away from them. Files of an
 * earlier signature are replaced and stay: they say nothing false, but of an image that is not there.
 */
export async function writePublished(
  files: SignatureFiles,
  signed: SignedImage,
  { out }: FileOptions,
  undo: Undo,
): Promise<void> {
  const paths = Object.values(files)
  const made = await missingOf(paths)
  const directories = out === undefined ? [] : await missingOf([out])
  undo.add({
    what: 'the signature files',
    byHand: `rm ${paths.join(' ')}`,
    takeBack: async () => {
      await Promise.all(made.map(async (path) => await rm(path, { force: true })))
      // Somebody else may have put something there.
      for (const directory of directories) await rmdir(directory).catch(() => undefined)
      return undefined
    },
  })
  await writeFiles(files, signed, out)
}

async function missingOf(paths: readonly string[]): Promise<string[]> {
  const there = await Promise.all(paths.map(async (path) => await isThere(path)))
  return paths.filter((_, index) => there[index] === false)
}

async function isThere(path: string): Promise<boolean> {
  return await lstat(path).then(
    () => true,
    () => false,
  )
}
