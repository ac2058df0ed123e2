import { type Finding, type ImageFormat, type ImageReport, unsafe } from './report.js'
import { quoted } from './structure.js'

/** Names for `qemu-img -f` of the formats that are converted on the way to a volume. */
export const QEMU_NAMES: Readonly<Partial<Record<ImageFormat, string>>> = {
  qcow2: 'qcow2',
  vmdk: 'vmdk',
  vhd: 'vpc',
  vhdx: 'vhdx',
  vdi: 'vdi',
}

/** Contents that are written as they are. */
const AS_IT_IS: readonly ImageFormat[] = ['raw', 'iso', 'luks']

/**
 * What a claimed format may turn out to be, where that is not simply the format of that name:
 * Glance's disk_format, and QEMU's name of VHD. Glance's `ami`, `ari` and `aki` are raw bytes.
 */
const ACCEPTED: ReadonlyMap<string, readonly ImageFormat[]> = new Map([
  ['raw', AS_IT_IS],
  ['ami', AS_IT_IS],
  ['ari', AS_IT_IS],
  ['aki', AS_IT_IS],
  ['vpc', ['vhd']],
  ['ploop', ['parallels']],
])

const NAMED: ReadonlySet<string> = new Set<string>([
  ...AS_IT_IS,
  ...ACCEPTED.keys(),
  ...Object.keys(QEMU_NAMES),
  'gpt',
])

/** Whether a claim names a format that can be written at all. */
export function isKnownFormat(claimed: string): boolean {
  return NAMED.has(claimed)
}

/**
 * The finding when an image is not of the format that it is said to be; undefined when it is. An
 * image that lies about its format is how files of the host were stolen (CVE-2024-40767).
 *
 * @param claimed Glance's disk_format or a name for `qemu-img -f`, in lower case.
 */
export function formatMismatch(claimed: string, report: ImageReport): Finding | undefined {
  if (accepts(claimed, report)) return undefined
  const message = `expected the format ${quoted(claimed)}, as the image is said to be, found ${report.format}, which programs would open differently`
  return unsafe('format-mismatch', message)
}

function accepts(claimed: string, { format, details }: ImageReport): boolean {
  // Glance has had the name since 2025.1; here a partitioned disk is raw with a detail.
  if (claimed === 'gpt') return details.partitionTable !== undefined && AS_IT_IS.includes(format)
  const accepted = ACCEPTED.get(claimed)
  return accepted === undefined ? claimed === format : accepted.includes(format)
}
