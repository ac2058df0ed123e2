import { type Finding, type ImageReader, type Inspected, refused, unsafe } from './report.js'
import { damaged, isZero, readStructure } from './structure.js'
import { inspectMetadata } from './vhdx-metadata.js'
import { readRegions } from './vhdx-regions.js'
import { hasChecksum } from './vhdx-structure.js'

/** [MS-VHDX] 2.2: numbers are little-endian; two headers, of which the newer valid one counts. */
const HEADER_OFFSETS: readonly number[] = [64 * 1024, 128 * 1024]
const HEADER_BYTES = 4096
const HEADER_SIGNATURE = 'head'
const MAGIC = 'vhdxfile'

/** The fields of a VHDX header that matter here. */
interface VhdxHeader {
  readonly valid: boolean
  readonly sequence: bigint
  readonly version: number
  /** Whether there are changes in the log that are not in their place yet. */
  readonly pendingLog: boolean
}

/** Inspects a VHDX: its headers, region table and metadata, not its block table. */
export async function inspectVhdx(image: ImageReader): Promise<Inspected> {
  const header = await currentHeader(image)
  if (header === undefined) {
    return refused([damaged('expected a VHDX header with a correct checksum, found none')])
  }
  const findings = headerFindings(header)
  if (findings.length > 0) return refused(findings, { version: header.version })
  const regions = await readRegions(image)
  if (regions.metadata === undefined) return refused(regions.findings, { version: header.version })
  const metadata = await inspectMetadata(image, regions.metadata)
  return {
    virtualSize: metadata.virtualSize,
    details: { version: header.version, ...metadata.details },
    findings: [...regions.findings, ...metadata.findings],
  }
}

/** Whether the bytes start a VHDX. */
export function isVhdx(start: Buffer): boolean {
  return start.toString('latin1', 0, MAGIC.length) === MAGIC
}

async function currentHeader(image: ImageReader): Promise<VhdxHeader | undefined> {
  const headers: VhdxHeader[] = []
  for (const offset of HEADER_OFFSETS) {
    headers.push(parse(await readStructure(image, offset, HEADER_BYTES, 'VHDX header')))
  }
  const valid = headers.filter((header) => header.valid)
  return valid.toSorted((a, b) => (a.sequence < b.sequence ? 1 : -1))[0]
}

function parse(bytes: Buffer): VhdxHeader {
  const signed = bytes.toString('latin1', 0, 4) === HEADER_SIGNATURE
  return {
    valid: signed && hasChecksum(bytes),
    sequence: bytes.readBigUInt64LE(8),
    version: bytes.readUInt16LE(66),
    pendingLog: !isZero(bytes.subarray(48, 64)),
  }
}

function headerFindings({ version, pendingLog }: VhdxHeader): Finding[] {
  if (version !== 1) {
    const message = `expected VHDX version 1, found ${version}, which nobody here can check`
    return [unsafe('unsupported-version', message)]
  }
  if (!pendingLog) return []
  const message =
    'the VHDX was not closed properly and its log is pending, so opening it changes what its headers say'
  return [unsafe('dirty', message)]
}
