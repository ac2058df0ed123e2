import type { FileHandle } from 'node:fs/promises'
import { VolsealError } from '../../core/errors.js'
import type { Provider } from '../cryptsetup.js'
import { type Device, withReading } from '../device.js'
import { describeHeader, type HeaderFacts } from './describe-header.js'
import { type HeaderCopy, readHeaderCopy } from './header-copy.js'
import { type Finding, quoted } from './header-rules.js'
import { readHeader } from './read-header.js'

/** What the encryption metadata of the volume says, which comes from elsewhere than the storage. */
export interface HeaderExpectation {
  readonly provider?: Provider | undefined
  readonly cipher?: string | undefined
  /** Bits, at least: qemu makes volumes of 512 where the metadata says 256. */
  readonly keySize?: number | undefined
}

/** A header that was found acceptable, and its bytes as they were then. */
export interface JudgedHeader extends Omit<HeaderFacts, 'findings' | 'plain'> {
  /** For `withHeaderCopy`. */
  readonly copy: HeaderCopy
}

/**
 * Reads a volume's header once and judges it before anybody believes it. LUKS headers are not
 * authenticated: who can write to the storage can make one say that the content is not encrypted,
 * and the right key opens it without complaint (CVE-2025-58356, CVE-2025-59054). No program is run.
 *
 * @throws {VolsealError} `not-found` for what is no LUKS volume, `header-damaged` with the check that
 * failed, `io`
 */
export async function judgeHeader(
  file: FileHandle,
  device: Device,
  expected: HeaderExpectation,
): Promise<JudgedHeader> {
  const found = await readHeader(file, device)
  const { findings, plain: _, ...facts } = describeHeader(found, device.size)
  const [finding] = findings
  if (finding !== undefined) throw headerRefusal(device.path, findingText(finding))
  const [mismatch] = mismatches(facts, expected)
  if (mismatch !== undefined) {
    throw headerRefusal(device.path, findingText(mismatch), NOT_AS_EXPECTED[mismatch.check])
  }
  const copy = await readHeaderCopy(file, device, found)
  return { ...facts, warnings: [...facts.warnings, ...providerWarnings(facts, expected)], copy }
}

/**
 * The same of a device that is not open.
 *
 * @throws {VolsealError} what `judgeHeader` throws
 */
export async function judgeDevice(
  device: Device,
  expected: HeaderExpectation = {},
): Promise<JudgedHeader> {
  return await withReading(device, async (file) => await judgeHeader(file, device, expected))
}

/**
 * The same of a volume whose keys are to be changed: while its volume key is being changed,
 * cryptsetup refuses any other change of the header.
 *
 * @throws {VolsealError} `busy`, and what `judgeHeader` throws
 */
export async function judgeSettled(device: Device): Promise<JudgedHeader> {
  const header = await judgeDevice(device)
  if (!header.reencrypting) return header
  throw new VolsealError('busy', `the volume key of ${device.path} is being changed`, {
    hint: 'nothing was changed; end that first: volseal luks rekey DEVICE --key-id ID --volume-key',
  })
}

/** How a finding is said. */
export function findingText({ check, text }: Finding): string {
  return `${check}: ${text}`
}

/** What else than a forgery may be behind a header that is not what the caller expects. */
const NOT_AS_EXPECTED: Readonly<Partial<Record<Finding['check'], string>>> = {
  cipher:
    'nothing was opened; a volume that was made of an encrypted image has the cipher of that image: if this one should have it, say so with --cipher; else somebody may have forged the header',
  'key size':
    'nothing was opened; if the volume should have such a key, say so with --key-size; else somebody may have forged the header',
}

/** The refusal of a header that is well formed, but not to be believed. */
export function headerRefusal(
  device: string,
  finding: string,
  hint = 'nothing was opened or changed; if you did not make it so, somebody may have forged it: restore a header backup',
): VolsealError {
  const message = `the LUKS header on ${device} is not acceptable: ${finding}`
  return new VolsealError('header-damaged', message, { hint })
}

function mismatches(
  {
    provider,
    version,
    cipher,
    keySize,
  }: Pick<HeaderFacts, 'provider' | 'version' | 'cipher' | 'keySize'>,
  expected: HeaderExpectation,
): Finding[] {
  const findings: Finding[] = []
  if (expected.provider === 'luks2' && provider === 'luks') {
    const text = `expected luks2, got luks (LUKS${version} on disk)`
    findings.push({ check: 'provider', text })
  }
  if (expected.cipher !== undefined && expected.cipher !== cipher) {
    const text = `expected ${expected.cipher}, got ${quoted(cipher)}`
    findings.push({ check: 'cipher', text })
  }
  if (expected.keySize !== undefined && keySize < expected.keySize) {
    const text = `expected at least ${expected.keySize} bits, got ${keySize}`
    findings.push({ check: 'key size', text })
  }
  return findings
}

/** os-brick made LUKS2 for `luks` wherever that was cryptsetup's default, until it said luks1 in 2019. */
function providerWarnings(
  { version }: Pick<HeaderFacts, 'version'>,
  { provider }: HeaderExpectation,
): string[] {
  if (provider !== 'luks' || version === 1) return []
  return ['the volume is LUKS2 on disk, where luks (LUKS1) was expected']
}
