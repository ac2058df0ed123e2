import { randomBytes } from 'node:crypto'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  type ErrorCode,
  ImageRefused,
  type LocalKeyManager,
  openLocalKeyManager,
  Secret,
  type VerifyOptions,
  type VerifyReport,
  VolsealError,
  verifyImage,
} from '../../src/index.js'

/** What tests of verifying begin with: an image, a key manager with certificates, a verdict. */

/** An image of random bytes. */
export function makeImage(directory: string, name = 'image', bytes = 100_000): string {
  const path = join(directory, name)
  writeFileSync(path, randomBytes(bytes))
  return path
}

/** One with a store of its own. */
export async function makeKeyManager(directory: string): Promise<LocalKeyManager> {
  return await openLocalKeyManager({
    store: join(mkdtempSync(join(directory, 'store-')), 'keys'),
    key: { kind: 'key', key: new Secret(randomBytes(32)) },
  })
}

/** Keeps a certificate, or what is taken for one; returns its id. */
export async function keepCertificate(
  keyManager: LocalKeyManager,
  content: Buffer,
  contentType?: string,
): Promise<string> {
  const payload = new Secret(Buffer.from(content))
  return await keyManager.store({ type: 'certificate', payload, contentType })
}

export interface Verdict {
  readonly code: 'accepted' | 'not-required' | ErrorCode
  /** Of the error: its line, what to do, and the code of its cause. */
  readonly message: string | undefined
  readonly hint: string | undefined
  readonly cause: ErrorCode | undefined
  /** Undefined when nothing was judged. */
  readonly report: VerifyReport | undefined
}

/** How verifyImage ends, be it by returning or by throwing. */
export async function verdictOf(options: VerifyOptions): Promise<Verdict> {
  const none = { message: undefined, hint: undefined, cause: undefined }
  try {
    const report = await verifyImage(options)
    return { ...none, code: report.verdict, report }
  } catch (error) {
    if (!(error instanceof VolsealError)) throw error
    const { code, message, hint } = error
    const cause = error.cause instanceof VolsealError ? error.cause.code : undefined
    return {
      code,
      message,
      hint,
      cause,
      report: error instanceof ImageRefused ? error.report : undefined,
    }
  }
}
