import { fromBase64 } from '../../core/bytes.js'
import { oneOf, record, text } from '../../core/check.js'
import { VolsealError } from '../../core/errors.js'
import { decimal, integer, numbered, parseJsonArea, references, strings } from './luks2-json.js'

/**
 * The JSON of a LUKS2 header, typed (LUKS2 On-Disk Format 1.1.3, §3). Sizes are in bytes. What is
 * read here is well formed; whether it is acceptable is another matter (`judge-luks2.ts`).
 */
export interface Luks2Metadata {
  readonly keyslots: readonly Luks2Keyslot[]
  readonly segments: readonly Luks2Segment[]
  readonly digests: readonly Luks2Digest[]
  readonly tokens: readonly Luks2Token[]
  readonly config: Luks2Config
  /** The whole of it as it was parsed. */
  readonly json: Readonly<Record<string, unknown>>
}

export type Luks2Keyslot = PassphraseSlot | ReencryptSlot

/** Holds a volume key, encrypted with what comes out of a key derivation. */
export interface PassphraseSlot extends Area {
  readonly type: 'luks2'
  readonly number: number
  /** The volume key that is in it. */
  readonly keySize: number
  readonly af: { readonly stripes: number; readonly hash: string }
  /** Of the key material. */
  readonly encryption: string
  readonly encryptionKeySize: number
  readonly kdf: Kdf
}

/** Says how far a reencryption is; holds no key. */
export interface ReencryptSlot extends Area {
  readonly type: 'reencrypt'
  readonly number: number
  readonly mode: 'reencrypt' | 'encrypt' | 'decrypt'
}

/** Where a keyslot's data lies on the device. */
interface Area {
  readonly offset: number
  readonly size: number
}

export type Kdf =
  | { readonly type: 'pbkdf2'; readonly hash: string; readonly iterations: number }
  | {
      readonly type: 'argon2i' | 'argon2id'
      /** Passes over the memory. */
      readonly time: number
      /** KiB. */
      readonly memory: number
      readonly cpus: number
    }

/** A part of the content. `crypt` has the fields that are undefined for all other types. */
export interface Luks2Segment {
  readonly number: number
  readonly type: string
  readonly offset: number
  /** `dynamic` reaches to the end of the device. */
  readonly size: number | 'dynamic'
  readonly flags: readonly string[]
  readonly crypt: CryptSegment | undefined
}

export interface CryptSegment {
  readonly encryption: string
  readonly sectorSize: number
  /** Of the segment's first sector, in units of 512 bytes. */
  readonly ivTweak: number
  readonly integrity: Luks2Integrity | undefined
}

export interface Luks2Integrity {
  readonly type: string
  readonly journalEncryption: string
  readonly journalIntegrity: string
}

/** Ties the key of keyslots to segments. */
export interface Luks2Digest {
  readonly number: number
  readonly keyslots: readonly number[]
  readonly segments: readonly number[]
  readonly hash: string
  readonly iterations: number
  readonly digest: Buffer
}

export interface Luks2Token {
  readonly number: number
  readonly type: string
  readonly keyslots: readonly number[]
  readonly content: Readonly<Record<string, unknown>>
}

export interface Luks2Config {
  readonly jsonSize: number
  readonly keyslotsSize: number
  readonly flags: readonly string[]
  /** What a program must know to open the volume. */
  readonly requirements: readonly string[]
}

/** cryptsetup's own bounds (LUKS2_KEYSLOTS_MAX, LUKS2_TOKENS_MAX). */
const MOST = 32

/** @throws {VolsealError} what is wrong with it, for the caller to say of which device */
export function parseLuks2Metadata(area: Buffer): Luks2Metadata {
  const json = parseJsonArea(area)
  const keyslots = numbered(json['keyslots'], 'keyslot', MOST, parseKeyslot)
  const segments = numbered(json['segments'], 'segment', MOST, parseSegment)
  const digests = numbered(json['digests'], 'digest', MOST, (content, number, name) => ({
    number,
    keyslots: references(content['keyslots'], `${name}, keyslots`, keyslots),
    segments: references(content['segments'], `${name}, segments`, segments),
    ...parseDigest(content, name),
  }))
  const tokens = numbered(json['tokens'], 'token', MOST, (content, number, name) => ({
    number,
    type: text(content['type'], `${name}, type`),
    keyslots: references(content['keyslots'], `${name}, keyslots`, keyslots),
    content,
  }))
  return { keyslots, segments, digests, tokens, config: parseConfig(json['config']), json }
}

function parseKeyslot(
  slot: Record<string, unknown>,
  number: number,
  name: string,
): PassphraseSlot | ReencryptSlot {
  const type = oneOf(slot['type'], `${name}, type`, ['luks2', 'reencrypt'])
  const area = record(slot['area'], `${name}, area`)
  const place = {
    number,
    offset: decimal(area['offset'], `${name}, area offset`),
    size: decimal(area['size'], `${name}, area size`),
  }
  if (type === 'reencrypt') {
    const mode = oneOf(slot['mode'], `${name}, mode`, ['reencrypt', 'encrypt', 'decrypt'])
    return { type, ...place, mode }
  }
  const af = record(slot['af'], `${name}, af`)
  oneOf(af['type'], `${name}, af type`, ['luks1'])
  oneOf(area['type'], `${name}, area type`, ['raw'])
  return {
    type,
    ...place,
    keySize: integer(slot['key_size'], `${name}, key_size`),
    af: {
      stripes: integer(af['stripes'], `${name}, stripes`),
      hash: text(af['hash'], `${name}, af hash`),
    },
    encryption: text(area['encryption'], `${name}, area encryption`),
    encryptionKeySize: integer(area['key_size'], `${name}, area key_size`),
    kdf: parseKdf(record(slot['kdf'], `${name}, kdf`), name),
  }
}

function parseKdf(kdf: Record<string, unknown>, name: string): Kdf {
  const type = oneOf(kdf['type'], `${name}, kdf type`, ['pbkdf2', 'argon2i', 'argon2id'])
  bytes(kdf['salt'], `${name}, salt`)
  if (type === 'pbkdf2') {
    const hash = text(kdf['hash'], `${name}, kdf hash`)
    return { type, hash, iterations: integer(kdf['iterations'], `${name}, iterations`) }
  }
  return {
    type,
    time: integer(kdf['time'], `${name}, time`),
    memory: integer(kdf['memory'], `${name}, memory`),
    cpus: integer(kdf['cpus'], `${name}, cpus`),
  }
}

function parseSegment(
  segment: Record<string, unknown>,
  number: number,
  name: string,
): Luks2Segment {
  const type = text(segment['type'], `${name}, type`)
  const size = segment['size']
  return {
    number,
    type,
    offset: decimal(segment['offset'], `${name}, offset`),
    size: size === 'dynamic' ? size : decimal(size, `${name}, size`),
    flags: strings(segment['flags'], `${name}, flags`),
    crypt: type === 'crypt' ? parseCrypt(segment, name) : undefined,
  }
}

function parseCrypt(segment: Record<string, unknown>, name: string): CryptSegment {
  return {
    encryption: text(segment['encryption'], `${name}, encryption`),
    sectorSize: integer(segment['sector_size'], `${name}, sector_size`),
    ivTweak: decimal(segment['iv_tweak'], `${name}, iv_tweak`),
    integrity: parseIntegrity(segment['integrity'], `${name}, integrity`),
  }
}

function parseIntegrity(value: unknown, name: string): Luks2Integrity | undefined {
  if (value === undefined) return undefined
  const integrity = record(value, name)
  return {
    type: text(integrity['type'], `${name} type`),
    journalEncryption: text(integrity['journal_encryption'], `${name} journal_encryption`),
    journalIntegrity: text(integrity['journal_integrity'], `${name} journal_integrity`),
  }
}

function parseDigest(
  digest: Record<string, unknown>,
  name: string,
): Pick<Luks2Digest, 'hash' | 'iterations' | 'digest'> {
  oneOf(digest['type'], `${name}, type`, ['pbkdf2'])
  bytes(digest['salt'], `${name}, salt`)
  return {
    hash: text(digest['hash'], `${name}, hash`),
    iterations: integer(digest['iterations'], `${name}, iterations`),
    digest: bytes(digest['digest'], `${name}, digest`),
  }
}

function parseConfig(value: unknown): Luks2Config {
  const config = record(value, 'config')
  const requirements = record(config['requirements'] ?? {}, 'config, requirements')
  return {
    jsonSize: decimal(config['json_size'], 'config, json_size'),
    keyslotsSize: decimal(config['keyslots_size'], 'config, keyslots_size'),
    flags: strings(config['flags'], 'config, flags'),
    requirements: strings(requirements['mandatory'], 'config, requirements'),
  }
}

function bytes(value: unknown, name: string): Buffer {
  const found = fromBase64(text(value, name))
  if (found !== undefined && found.length > 0) return found
  throw new VolsealError('header-damaged', `${name}: expected base64`)
}
