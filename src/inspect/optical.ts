import type { ImageReader, Inspected } from './report.js'
import { readStructure } from './structure.js'

/** ECMA-119 6.2.1 and ECMA-167 2/8: descriptors of 2048 bytes from byte 32768 on. */
const DESCRIPTORS_OFFSET = 32768
const DESCRIPTOR_BYTES = 2048

/** Standard identifiers of the volume recognition sequence, and those that mean a file system. */
const SEQUENCE = ['CD001', 'BEA01', 'NSR02', 'NSR03', 'TEA01', 'BOOT2', 'CDW02']
const FILE_SYSTEMS = ['CD001', 'NSR02', 'NSR03']

/** Inspects an ISO 9660 or UDF image; it is used as it is, so its virtual size is its own. */
export async function inspectIso(image: ImageReader): Promise<Inspected> {
  await readStructure(image, DESCRIPTORS_OFFSET, DESCRIPTOR_BYTES, 'volume descriptor')
  return { virtualSize: image.size, details: {}, findings: [] }
}

/**
 * Whether the first 64 KiB hold an optical file system: an identifier in the sequence of
 * descriptors, which UDF starts with `BEA01` and which ends at the first that is none.
 */
export function isIso(start: Buffer): boolean {
  for (let at = DESCRIPTORS_OFFSET; at + 6 <= start.length; at += DESCRIPTOR_BYTES) {
    const identifier = start.toString('latin1', at + 1, at + 6)
    if (FILE_SYSTEMS.includes(identifier)) return true
    if (!SEQUENCE.includes(identifier)) return false
  }
  return false
}
