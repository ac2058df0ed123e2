import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { json, record, text } from '../core/check.js'
import { fromSystem, VolsealError } from '../core/errors.js'
import { readAt } from '../core/files.js'
import { type Content, damagedHeader, describeContent, examineContent } from './content.js'
import { cryptsetup } from './cryptsetup.js'
import { type Device, lookAtDevice } from './device.js'
import {
  LUKS1_HEADER_BYTES,
  type Luks1Header,
  luks1Fault,
  parseLuks1Header,
} from './luks1-header.js'

/** A LUKS volume as its header shows it; no key is needed. */
export interface VolumeReport {
  readonly device: string
  /** What OpenStack calls it: `luks` is version 1 on disk. */
  readonly provider: 'luks' | 'luks2'
  readonly version: 1 | 2
  readonly uuid: string
  readonly label: string | null
  /** Such as `aes-xts-plain64`. */
  readonly cipher: string
  /** Volume key, in bits. */
  readonly keySize: number
  /** What that amounts to: XTS takes two keys, so 256 bits are AES-128. */
  readonly effectiveCipher: string
  /** Bytes per encryption sector. */
  readonly sectorSize: number
  /** Where the ciphertext begins, in bytes. */
  readonly payloadOffset: number
  /** Usable bytes. */
  readonly payloadSize: number
  readonly keyslots: readonly KeyslotReport[]
  readonly tokens: readonly TokenReport[]
  /** Whether any part of the content is stored as it is: a null cipher, or a linear segment. */
  readonly plain: boolean
}

export interface KeyslotReport {
  readonly number: number
  /** `pbkdf2`, `argon2i` or `argon2id`. */
  readonly pbkdf: string
  readonly hash: string | null
  /** PBKDF2's iterations, or Argon2's passes. */
  readonly iterations: number
  /** Argon2's memory in bytes: what every opening host needs. */
  readonly memory: number | null
}

export interface TokenReport {
  readonly number: number
  readonly type: string
}

/**
 * Reads a volume's header.
 *
 * @throws {VolsealError} `no-device`; `not-found` for what is no LUKS volume, `header-damaged` for a broken one
 */
export async function inspectVolume(path: string): Promise<VolumeReport> {
  const device = await lookAtDevice(path)
  const { content, head } = await readHead(device)
  if (content.kind === 'luks-damaged') throw damagedHeader(device, content.what)
  if (content.kind !== 'luks') {
    const held = content.kind === 'data' ? content.what : describeContent(content)
    const found = content.kind === 'blank' ? 'it is blank' : `it holds ${held}`
    throw new VolsealError('not-found', `there is no LUKS volume on ${path}: ${found}`)
  }
  return content.version === 1 ? reportLuks1(device, head) : await reportLuks2(device)
}

async function readHead(device: Device): Promise<{ content: Content; head: Buffer }> {
  const file = await open(device.realPath, constants.O_RDONLY).catch((error: unknown) => {
    throw fromSystem(error, `cannot read ${device.path}`)
  })
  try {
    const content = await examineContent(file, device)
    return { content, head: await readAt(file.fd, 0, LUKS1_HEADER_BYTES) }
  } finally {
    await file.close()
  }
}

function reportLuks1(device: Device, head: Buffer): VolumeReport {
  const header = parseLuks1Header(head)
  if (header === undefined) throw damagedHeader(device, 'it is cut short')
  const fault = luks1Fault(header, device.size)
  if (fault !== undefined) throw damagedHeader(device, fault)
  const cipher = `${header.cipher}-${header.mode}`
  return {
    device: device.path,
    provider: 'luks',
    version: 1,
    uuid: header.uuid,
    label: null,
    cipher,
    keySize: header.keySize,
    effectiveCipher: effectiveCipher(cipher, header.keySize),
    sectorSize: 512,
    payloadOffset: header.payloadOffset,
    payloadSize: Math.max(0, device.size - header.payloadOffset),
    keyslots: luks1Slots(header),
    tokens: [],
    plain: isNull(cipher),
  }
}

function luks1Slots({ slots, hash }: Luks1Header): KeyslotReport[] {
  return slots.map(({ number, iterations }) => ({
    number,
    pbkdf: 'pbkdf2',
    hash,
    iterations,
    memory: null,
  }))
}

async function reportLuks2(device: Device): Promise<VolumeReport> {
  const dump = await luksDump(device)
  const segment = record(Object.values(dump.segments)[0] ?? {}, 'segment')
  const uuid = await cryptsetup(['luksUUID', device.realPath], `cannot read ${device.path}`)
  const cipher = text(segment['encryption'] ?? 'unknown', 'encryption')
  const payloadOffset = Number(segment['offset'] ?? 0)
  const keySize = Number(record(Object.values(dump.keyslots)[0] ?? {}, 'keyslot')['key_size']) * 8
  return {
    device: device.path,
    provider: 'luks2',
    version: 2,
    uuid: uuid.stdout.trim(),
    label: await labelOf(device),
    cipher,
    keySize: Number.isNaN(keySize) ? 0 : keySize,
    effectiveCipher: effectiveCipher(cipher, keySize),
    sectorSize: Number(segment['sector_size'] ?? 512),
    payloadOffset,
    payloadSize: segmentSize(segment, device.size - payloadOffset),
    keyslots: Object.entries(dump.keyslots).map(luks2Slot),
    tokens: Object.entries(dump.tokens).map(([number, token]) => ({
      number: Number(number),
      type: text(record(token, 'token')['type'], 'token type'),
    })),
    plain: Object.values(dump.segments).some(isPlainSegment),
  }
}

/** A segment is as large as it says, or reaches to the end (`dynamic`). */
function segmentSize(segment: Record<string, unknown>, room: number): number {
  const size = segment['size'] === 'dynamic' ? room : Number(segment['size'] ?? 0)
  return Math.max(0, Math.min(size, room))
}

function isPlainSegment(segment: unknown): boolean {
  const { type, encryption } = record(segment, 'segment')
  return type !== 'crypt' || isNull(String(encryption))
}

function isNull(cipher: string): boolean {
  return cipher.includes('null')
}

interface Luks2Dump {
  readonly keyslots: Record<string, unknown>
  readonly segments: Record<string, unknown>
  readonly tokens: Record<string, unknown>
}

async function luksDump(device: Device): Promise<Luks2Dump> {
  const dump = await cryptsetup(
    ['luksDump', '--dump-json-metadata', device.realPath],
    `cannot read the header of ${device.path}`,
  ).catch((error: unknown) => {
    if (error instanceof VolsealError && error.code === 'io') {
      throw damagedHeader(device, error.message)
    }
    throw error
  })
  const metadata = record(json(dump.stdout, 'LUKS2 metadata'), 'LUKS2 metadata')
  const part = (name: string): Record<string, unknown> => record(metadata[name] ?? {}, name)
  return { keyslots: part('keyslots'), segments: part('segments'), tokens: part('tokens') }
}

async function labelOf(device: Device): Promise<string | null> {
  const { stdout } = await cryptsetup(['luksDump', device.realPath], `cannot read ${device.path}`)
  const label = /^Label:\s+(.*)$/m.exec(stdout)?.[1]?.trim() ?? '(no label)'
  return label === '(no label)' ? null : label
}

function luks2Slot([number, slot]: [string, unknown]): KeyslotReport {
  const kdf = record(record(slot, 'keyslot')['kdf'] ?? {}, 'kdf')
  const memory = kdf['memory']
  return {
    number: Number(number),
    pbkdf: text(kdf['type'] ?? 'unknown', 'kdf type'),
    hash: typeof kdf['hash'] === 'string' ? kdf['hash'] : null,
    iterations: Number(kdf['iterations'] ?? kdf['time'] ?? 0),
    memory: typeof memory === 'number' ? memory * 1024 : null,
  }
}

/** `AES-256-XTS` for `aes-xts-plain64` with 512 bits. */
export function effectiveCipher(cipher: string, keySize: number): string {
  const [algorithm = cipher, mode = ''] = cipher.split('-')
  const bits = mode === 'xts' ? keySize / 2 : keySize
  return [algorithm.toUpperCase(), String(bits), mode.toUpperCase()].filter(Boolean).join('-')
}
