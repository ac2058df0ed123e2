/** Random access to an image's bytes, however they are held. */
export interface ImageReader {
  /** Size of the image in bytes. */
  readonly size: number
  /** The bytes from `offset` on: `length` of them, fewer only where the image ends. */
  readAt(offset: number, length: number): Promise<Buffer>
}

/** What an image's bytes say that it is. Partitioned disks are `raw`. */
export type ImageFormat =
  | 'raw'
  | 'qcow2'
  | 'vmdk'
  | 'vhd'
  | 'vhdx'
  | 'vdi'
  | 'iso'
  | 'luks'
  | 'qcow'
  | 'qed'
  | 'parallels'
  | 'bochs'
  | 'cloop'

/**
 * `unsafe`: no program may open the image. `warning`: it can be opened, but something will not go
 * as its owner thinks. `info`: worth knowing.
 */
export type FindingLevel = 'unsafe' | 'warning' | 'info'

/** Every finding by name; the level says how bad it is in the image at hand. */
export type FindingCode =
  /** The bytes are valid in more than one format, so two programs may see two disks. */
  | 'several-formats'
  /** The bytes are of another format than the image is said to be. */
  | 'format-mismatch'
  /** A format that is recognised only to be refused. */
  | 'unsupported-format'
  | 'unsupported-version'
  /** A variant of the format that is not one self-contained file. */
  | 'unsupported-subformat'
  /** The image ends before a structure that its header announces. */
  | 'truncated'
  /** A header value that is impossible, or that contradicts another. */
  | 'damaged-header'
  /** The image is only the difference to another one. */
  | 'backing-file'
  /** The content is in another file. */
  | 'data-file'
  /** The descriptor names files that are not this one. */
  | 'names-other-files'
  | 'malformed-descriptor'
  /** The structure at the image's end contradicts the one at its start. */
  | 'footer-disagrees'
  /** The image demands a feature that nobody knows. */
  | 'unknown-features'
  /** The image itself says that it is corrupt. */
  | 'corrupt'
  /** The image was not closed properly. */
  | 'dirty'
  /** The disk is larger than any program here can handle. */
  | 'virtual-size'
  | 'encryption'
  | 'snapshots'
  | 'partition-table'
  /** Only the second LUKS2 header is left. */
  | 'secondary-header-only'
  /** Safe, but OpenStack's own inspector (oslo.utils) turns it away. */
  | 'openstack-refuses'

/** One thing that was found. */
export interface Finding {
  readonly level: FindingLevel
  readonly code: FindingCode
  /** One sentence: what was found, and why it matters. Holds printable ASCII of the image at most. */
  readonly message: string
}

/** What else the headers say; which fields are there depends on the format. */
export interface ImageDetails {
  /** Version of the format. */
  readonly version?: number
  /** The variant, in the format's own words: `streamOptimized`, `dynamic`, `fixed`. */
  readonly subformat?: string
  /** Unit of allocation in bytes: qcow2's cluster, VMDK's grain, VHD's block. */
  readonly clusterSize?: number
  /** How a qcow2 encrypts its content. */
  readonly encryption?: 'aes' | 'luks'
  /** The partition table at the start of a raw disk or a hybrid ISO. */
  readonly partitionTable?: 'mbr' | 'gpt'
}

/** What one format's inspector has to say. */
export interface Inspected {
  /** Size of the disk that the image holds, in bytes; null when the headers do not tell. */
  readonly virtualSize: number | null
  readonly details: ImageDetails
  readonly findings: readonly Finding[]
}

/** What an image is, and what is wrong with it. Safe to print as JSON. */
export interface ImageReport extends Inspected {
  readonly format: ImageFormat
  /** Size of the image itself in bytes. */
  readonly size: number
}

/** Whether anything was found because of which no program may open the image. */
export function isUnsafe(report: ImageReport): boolean {
  return report.findings.some((finding) => finding.level === 'unsafe')
}

/** A finding because of which no program may open the image. */
export function unsafe(code: FindingCode, message: string): Finding {
  return { level: 'unsafe', code, message }
}

/** A finding that the owner of the image should know of before it is used. */
export function warning(code: FindingCode, message: string): Finding {
  return { level: 'warning', code, message }
}

/** A finding that is only worth knowing. */
export function info(code: FindingCode, message: string): Finding {
  return { level: 'info', code, message }
}

/** What is left to say when an image is refused before its header is understood. */
export function refused(findings: readonly Finding[], details: ImageDetails = {}): Inspected {
  return { virtualSize: null, details, findings }
}
