import type { FileHandle } from 'node:fs/promises'
import { fromSystem, VolsealError } from '../../core/errors.js'
import { readAt } from '../../core/files.js'
import { type Device, requireSameDevice, withReading } from '../device.js'
import { damagedHeader } from '../format/content.js'
import { uuidFindings } from './header-rules.js'
import { luks1Findings } from './judge-luks1.js'
import { contentSegments, isReencrypting } from './judge-luks2.js'
import { BINARY_BYTES, COPY_SIZES, FIRST_MAGIC, SECOND_MAGIC, uuidOf } from './luks2-header.js'
import { type FoundHeader, parseHeader, readHeader } from './read-header.js'

/** A header, with its key material, as it stood on a device. */
export interface HeaderBytes {
  readonly bytes: Buffer
  readonly facts: RestoreFacts
}

/** What must be known of a header to put it back. */
export interface RestoreFacts {
  readonly version: 1 | 2
  readonly uuid: string
  /** Bytes that header and key material take. */
  readonly length: number
  /** Where the content begins, in bytes. */
  readonly payloadOffset: number
  /** Digests of the volume key, in hex: two headers without a common one are of different keys. */
  readonly volumeKeys: readonly string[]
  /** Whether the volume key is being changed (`cryptsetup reencrypt`). */
  readonly reencrypting: boolean
}

/** The facts of a header that was read; undefined for a LUKS1 header that cannot be right. */
function factsOf(found: FoundHeader): RestoreFacts | undefined {
  return found.version === 1 ? luks1Facts(found) : luks2Facts(found)
}

/** What is wrong with places and marks is damage; a cipher or cost that is refused may be as it was made. */
const DAMAGE: ReadonlySet<string> = new Set([
  'segment place',
  'keyslot area',
  'keyslots',
  'stripes',
  'uuid',
  'key size',
])

/** LUKS1 has no checksum: what cannot be right about it is the only sign of damage. */
function luks1Facts({ header }: FoundHeader & { version: 1 }): RestoreFacts | undefined {
  const { uuid, payloadOffset, digest } = header
  if (luks1Findings(header, Infinity).some(({ check }) => DAMAGE.has(check))) return undefined
  const volumeKeys = [digest.toString('hex')]
  return {
    version: 1,
    uuid,
    length: payloadOffset,
    payloadOffset,
    volumeKeys,
    reencrypting: false,
  }
}

function luks2Facts({ header }: FoundHeader & { version: 2 }): RestoreFacts {
  const { uuid, size, metadata } = header
  const offsets = contentSegments(metadata).map(({ offset }) => offset)
  return {
    version: 2,
    uuid,
    length: 2 * size + metadata.config.keyslotsSize,
    payloadOffset: Math.min(...offsets),
    volumeKeys: metadata.digests.map(({ digest }) => digest.toString('hex')),
    reencrypting: isReencrypting(metadata),
  }
}

/** The header that bytes begin with; undefined when it is none, or is not whole. */
export function headerIn(bytes: Buffer): RestoreFacts | undefined {
  try {
    return factsOf(parseHeader(bytes))
  } catch (error) {
    if (error instanceof VolsealError) return undefined
    throw error
  }
}

/** The facts of the header on a device; undefined when there is none, or it is not whole. */
export async function factsThere(
  file: FileHandle,
  device: Device,
): Promise<RestoreFacts | undefined> {
  try {
    return factsOf(await readHeader(file, device))
  } catch (error) {
    const isNone = error instanceof VolsealError && NOT_THERE.has(error.code)
    if (isNone) return undefined
    throw error
  }
}

const NOT_THERE: ReadonlySet<string> = new Set(['not-found', 'header-damaged'])

/** @throws {VolsealError} `not-found` when there is none, `header-damaged` when it is not whole */
export async function readFacts(device: Device): Promise<RestoreFacts> {
  return await withReading(device, async (file) => await requireFacts(file, device))
}

async function requireFacts(file: FileHandle, device: Device): Promise<RestoreFacts> {
  const facts = factsOf(await readHeader(file, device))
  if (facts === undefined) throw damagedHeader(device, 'its fields are wrong')
  return facts
}

const ATTEMPTS = 5
/** A LUKS2 header takes at most 2 x 4 MiB and 128 MiB of key material (LUKS2 format, table 1). */
const MOST_BYTES = 136 * 1024 * 1024

/**
 * Reads a header, with its key material, in one state: its first part is the same before and after.
 *
 * @throws {VolsealError} `not-found` when there is none, `header-damaged` when it is not whole
 */
export async function copyHeader(device: Device): Promise<HeaderBytes> {
  return await withReading(device, async (file) => {
    await requireSameDevice(file, device)
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const copy = await copyOnce(file, device)
      if (copy !== undefined) return copy
    }
    throw new VolsealError('busy', `the header of ${device.path} is being changed all the time`)
  })
}

async function copyOnce(file: FileHandle, device: Device): Promise<HeaderBytes | undefined> {
  const { length } = await requireFacts(file, device)
  if (length > MOST_BYTES) throw damagedHeader(device, `it takes ${length} bytes`)
  const bytes = await readOf(file, device, length)
  if (bytes.length < length) throw damagedHeader(device, 'it is cut short')
  const again = await readOf(file, device, BINARY_BYTES)
  const facts = again.equals(bytes.subarray(0, BINARY_BYTES)) ? headerIn(bytes) : undefined
  return facts?.length === length ? { bytes, facts } : undefined
}

async function readOf(file: FileHandle, device: Device, length: number): Promise<Buffer> {
  return await readAt(file.fd, 0, length).catch((error: unknown) => {
    throw fromSystem(error, `cannot read ${device.path}`)
  })
}

/**
 * The UUID that a device carries, as far as anything of a header is left: both versions have it at
 * the same place, and LUKS2 has a second header with another magic.
 */
export async function readUuid(file: FileHandle): Promise<string | undefined> {
  for (const offset of [0, ...COPY_SIZES]) {
    const head = await readAt(file.fd, offset, BINARY_BYTES)
    const magic = offset === 0 ? FIRST_MAGIC : SECOND_MAGIC
    if (!head.subarray(0, magic.length).equals(magic)) continue
    const uuid = uuidOf(head)
    if (uuidFindings(uuid).length === 0) return uuid
  }
  return undefined
}
