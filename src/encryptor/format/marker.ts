import { createHash, randomBytes } from 'node:crypto'
import { VolsealError } from '../../core/errors.js'

/**
 * What stands in the first sector of a device from the first write of a formatting to the last: that
 * whatever lies behind it is a header in the making, and for which volume. Without it a killed
 * formatting would leave something that is neither blank nor LUKS, which nobody may touch again.
 *
 * One sector of 512 bytes, the unit that a disk writes whole or not at all:
 */
const LAYOUT = {
  magic: { at: 0, bytes: Buffer.from('volseal: begun\r\n', 'latin1') },
  /** 32 bits, big-endian, as all numbers here. */
  version: { at: 16, is: 1 },
  /** 32 bits. */
  idLength: { at: 20 },
  /** 64 bits. */
  headerBytes: { at: 24 },
  nonce: { at: 32, length: 16 },
  /** ASCII. */
  id: { at: 48, most: 128 },
  /** SHA-256 of all before it; zeros follow, so that no boot sector's 55AA can come about. */
  checksum: { at: 448, length: 32 },
} as const

export const MARKER_BYTES = 512

/** The first bytes of every marker, also of one that cannot be read. */
export const MARKER_MAGIC: Buffer = LAYOUT.magic.bytes

/** No header of ours is larger; what says so is no marker of ours. */
const MOST_HEADER_BYTES = 64 * 1024 * 1024

export interface Marker {
  readonly volumeId: string
  /** How far the header reaches that was begun: so much behind the marker is ours. */
  readonly headerBytes: number
}

/** Printable, so that a marker from a stranger's disk can be shown as it is. */
const VOLUME_ID = /^[!-~]{1,128}$/

/** @throws {VolsealError} `usage` for what cannot be the id of a volume */
export function requireVolumeId(id: string): void {
  if (VOLUME_ID.test(id)) return
  throw new VolsealError(
    'usage',
    `volume id: expected 1 to 128 printable ASCII characters without spaces, got ${JSON.stringify(id.slice(0, 140))}`,
    { hint: 'it is the UUID that cinder shows' },
  )
}

/** The marker's sector, no two of which are equal: it also tells two runs apart. */
export function encodeMarker({ volumeId, headerBytes }: Marker): Buffer {
  const sector = Buffer.alloc(MARKER_BYTES)
  const { magic, version, idLength, nonce, id } = LAYOUT
  magic.bytes.copy(sector, magic.at)
  sector.writeUInt32BE(version.is, version.at)
  sector.writeUInt32BE(volumeId.length, idLength.at)
  sector.writeBigUInt64BE(BigInt(headerBytes), LAYOUT.headerBytes.at)
  randomBytes(nonce.length).copy(sector, nonce.at)
  sector.write(volumeId, id.at, 'latin1')
  checksumOf(sector).copy(sector, LAYOUT.checksum.at)
  return sector
}

/** Reads a marker; undefined for what is none, or not whole. */
export function parseMarker(sector: Buffer): Marker | undefined {
  const { magic, version, idLength, id, checksum } = LAYOUT
  if (sector.length < MARKER_BYTES) return undefined
  if (!sector.subarray(magic.at, magic.bytes.length).equals(magic.bytes)) return undefined
  const sum = sector.subarray(checksum.at, checksum.at + checksum.length)
  if (!sum.equals(checksumOf(sector))) return undefined
  if (sector.readUInt32BE(version.at) !== version.is) return undefined
  const length = Math.min(sector.readUInt32BE(idLength.at), id.most)
  const volumeId = sector.toString('latin1', id.at, id.at + length)
  const headerBytes = Number(sector.readBigUInt64BE(LAYOUT.headerBytes.at))
  if (!VOLUME_ID.test(volumeId) || headerBytes > MOST_HEADER_BYTES) return undefined
  return { volumeId, headerBytes }
}

function checksumOf(sector: Buffer): Buffer {
  return createHash('sha256').update(sector.subarray(0, LAYOUT.checksum.at)).digest()
}
