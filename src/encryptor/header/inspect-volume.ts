import type { FileHandle } from 'node:fs/promises'
import { VolsealError } from '../../core/errors.js'
import { type Device, lookAtDevice, withReading } from '../device.js'
import { describeContent, examineContent } from '../format/content.js'
import { describeHeader, effectiveCipher, type HeaderFacts } from './describe-header.js'
import { findingText } from './judge-header.js'
import { type FoundHeader, readHeader } from './read-header.js'
import type { VolumeToken } from './volume-token.js'

/** A LUKS volume as its header shows it; no key and no other program is needed. */
export interface VolumeReport extends Omit<HeaderFacts, 'findings' | 'token'> {
  readonly device: string
  /** What the key size amounts to: XTS takes two keys, so 256 bits are AES-128. */
  readonly effectiveCipher: string
  /** What volseal's own token says: a hint from the storage, never to be believed. */
  readonly token: VolumeToken | null
  /** Why volseal would not open it; empty when it would. */
  readonly findings: readonly string[]
}

/**
 * Reads a volume's header.
 *
 * @throws {VolsealError} `no-device`; `not-found` for what is no LUKS volume, `header-damaged` for a broken one
 */
export async function inspectVolume(path: string): Promise<VolumeReport> {
  const device = await lookAtDevice(path)
  const found = await withReading(device, async (file) => await readOrName(file, device))
  return report(device, describeHeader(found, device.size))
}

/** What is there instead takes longer to find out. */
async function readOrName(file: FileHandle, device: Device): Promise<FoundHeader> {
  try {
    return await readHeader(file, device)
  } catch (error) {
    if (!(error instanceof VolsealError) || error.code !== 'not-found') throw error
    const content = await examineContent(file, device)
    const found = content.kind === 'blank' ? 'it is blank' : `it holds ${describeContent(content)}`
    throw new VolsealError('not-found', `${error.message}: ${found}`)
  }
}

function report(device: Device, facts: HeaderFacts): VolumeReport {
  return {
    device: device.path,
    ...facts,
    effectiveCipher: effectiveCipher(facts),
    token: facts.token ?? null,
    findings: facts.findings.map((finding) => findingText(finding)),
  }
}
