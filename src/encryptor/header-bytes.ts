import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { json, record } from '../core/check.js'
import { fromSystem, VolsealError } from '../core/errors.js'
import { readAt } from '../core/files.js'
import { damagedHeader } from './content.js'
import type { Device } from './device.js'
import { luks1Findings } from './judge-luks1.js'
import { parseLuks1Header } from './luks1-header.js'

/** What must be known of a header to put it back; read out of its own bytes. */
export interface HeaderFacts {
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

const MAGIC = Buffer.from('4c554b53babe', 'hex')
const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/
const MIB = 1024 * 1024
/** A LUKS2 header takes at most 2 x 4 MiB and 128 MiB of key material (LUKS2 format, table 1). */
const MOST_BYTES = 136 * MIB
const FIRST_SECTOR = 4096

/** The facts of a header; undefined when it is none, or is not whole. */
export function headerFacts(bytes: Buffer): HeaderFacts | undefined {
  if (bytes.length < FIRST_SECTOR || !bytes.subarray(0, 6).equals(MAGIC)) return undefined
  return bytes.readUInt16BE(6) === 1 ? luks1Facts(bytes) : luks2Facts(bytes)
}

/** Table of the LUKS1 format (1.2.3, figure 1): the volume key's digest. */
const LUKS1_DIGEST = { at: 112, length: 20 } as const

function luks1Facts(bytes: Buffer): HeaderFacts | undefined {
  const header = parseLuks1Header(bytes)
  if (header === undefined || luks1Findings(header, Infinity).length > 0) return undefined
  const { at, length } = LUKS1_DIGEST
  return {
    version: 1,
    uuid: header.uuid,
    length: header.payloadOffset,
    payloadOffset: header.payloadOffset,
    volumeKeys: [bytes.subarray(at, at + length).toString('hex')],
    reencrypting: false,
  }
}

/** The LUKS2 binary header (LUKS2 On-Disk Format, figure 2). */
const LUKS2 = {
  headerSize: 8,
  checksumName: { at: 72, length: 32 },
  uuid: { at: 168, length: 40 },
  checksum: { at: 448, length: 64 },
} as const

function luks2Facts(bytes: Buffer): HeaderFacts | undefined {
  const headerSize = Number(bytes.readBigUInt64BE(LUKS2.headerSize))
  if (headerSize > 4 * MIB || bytes.length < headerSize || !isIntact(bytes, headerSize)) {
    return undefined
  }
  const uuid = field(bytes, LUKS2.uuid)
  try {
    const area = bytes.subarray(FIRST_SECTOR, headerSize)
    const end = area.indexOf(0)
    const metadata = record(json(area.subarray(0, end).toString(), 'metadata'), 'metadata')
    return UUID.test(uuid) ? metadataFacts(metadata, uuid, headerSize) : undefined
  } catch {
    return undefined
  }
}

/** The checksum covers both parts, with its own place zeroed. */
function isIntact(bytes: Buffer, headerSize: number): boolean {
  const name = field(bytes, LUKS2.checksumName)
  const { at, length } = LUKS2.checksum
  try {
    const found = createHash(name)
      .update(bytes.subarray(0, at))
      .update(Buffer.alloc(length))
      .update(bytes.subarray(at + length, headerSize))
      .digest()
    return found.equals(bytes.subarray(at, at + found.length))
  } catch {
    // A hash that nobody knows.
    return false
  }
}

function metadataFacts(
  metadata: Record<string, unknown>,
  uuid: string,
  headerSize: number,
): HeaderFacts {
  const part = (name: string): Record<string, unknown> => record(metadata[name] ?? {}, name)
  const offsets = Object.values(part('segments')).map((one) =>
    Number(record(one, 'segment')['offset']),
  )
  const digests = Object.values(part('digests')).map((one) => record(one, 'digest')['digest'])
  return {
    version: 2,
    uuid,
    length: 2 * headerSize + Number(part('config')['keyslots_size']),
    payloadOffset: Math.min(...offsets),
    volumeKeys: digests.map((digest) => Buffer.from(String(digest), 'base64').toString('hex')),
    reencrypting: JSON.stringify(part('config')['requirements'] ?? '').includes('reencrypt'),
  }
}

function field(bytes: Buffer, { at, length }: { at: number; length: number }): string {
  const [text = ''] = bytes.toString('latin1', at, at + length).split('\0')
  return text
}

/** A header as it stands on a device. */
export interface HeaderCopy {
  readonly bytes: Buffer
  readonly facts: HeaderFacts
}

const ATTEMPTS = 5

/**
 * Reads a header, with its key material, in one state: its first part is the same before and after.
 *
 * @throws {VolsealError} `not-found` when there is none, `header-damaged` when it is not whole
 */
export async function copyHeader(device: Device): Promise<HeaderCopy> {
  const file = await open(device.realPath, constants.O_RDONLY).catch((error: unknown) => {
    throw fromSystem(error, `cannot read ${device.path}`)
  })
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const copy = await copyOnce(file, device)
      if (copy !== undefined) return copy
    }
    throw new VolsealError('busy', `the header of ${device.path} is being changed all the time`)
  } catch (error) {
    throw fromSystem(error, `cannot read ${device.path}`)
  } finally {
    await file.close()
  }
}

async function copyOnce(file: FileHandle, device: Device): Promise<HeaderCopy | undefined> {
  const facts = await readFacts(file)
  if (facts === undefined) throw await noHeader(file, device)
  if (facts.length > MOST_BYTES) throw damagedHeader(device, `it takes ${facts.length} bytes`)
  const bytes = await readAt(file.fd, 0, facts.length)
  if (bytes.length < facts.length) throw damagedHeader(device, 'it is cut short')
  const again = await readAt(file.fd, 0, FIRST_SECTOR)
  return again.equals(bytes.subarray(0, FIRST_SECTOR)) ? { bytes, facts } : undefined
}

/** The facts of the first header on a device; undefined when it is not whole. */
export async function readFacts(file: FileHandle): Promise<HeaderFacts | undefined> {
  return headerFacts(await readAt(file.fd, 0, 4 * MIB))
}

/** Whether the volume key of a device is being changed. */
export async function isReencrypting(device: Device): Promise<boolean> {
  const file = await open(device.realPath, constants.O_RDONLY).catch((error: unknown) => {
    throw fromSystem(error, `cannot read ${device.path}`)
  })
  try {
    return (await readFacts(file))?.reencrypting === true
  } finally {
    await file.close()
  }
}

/**
 * While the volume key is being changed, cryptsetup refuses any other change of the header.
 *
 * @throws {VolsealError} `busy`
 */
export async function requireSettled(device: Device): Promise<void> {
  if (!(await isReencrypting(device))) return
  throw new VolsealError('busy', `the volume key of ${device.path} is being changed`, {
    hint: 'nothing was changed; end that first: volseal luks rekey DEVICE --key-id ID --volume-key',
  })
}

async function noHeader(file: FileHandle, device: Device): Promise<VolsealError> {
  const start = await readAt(file.fd, 0, MAGIC.length)
  if (start.equals(MAGIC)) return damagedHeader(device, 'its checksum or its fields are wrong')
  return new VolsealError('not-found', `there is no LUKS header on ${device.path}`)
}

/**
 * The UUID that a device carries, as far as anything of a header is left: both versions have it at
 * the same place, and LUKS2 has a second header with another magic.
 */
export async function readUuid(file: FileHandle): Promise<string | undefined> {
  for (const offset of [0, ...SECOND_OFFSETS]) {
    const head = await readAt(file.fd, offset, 512)
    const magic = head.subarray(0, 6)
    if (!magic.equals(offset === 0 ? MAGIC : SECOND_MAGIC)) continue
    const uuid = field(head, LUKS2.uuid)
    if (UUID.test(uuid)) return uuid
  }
  return undefined
}

const SECOND_MAGIC = Buffer.from('534b554cbabe', 'hex')
const SECOND_OFFSETS: readonly number[] = [16, 32, 64, 128, 256, 512, 1024, 2048, 4096].map(
  (kib) => kib * 1024,
)
