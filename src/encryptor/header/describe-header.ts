import type { Provider } from '../cryptsetup.js'
import type { Finding } from './header-rules.js'
import { activeSlots, luks1Findings } from './judge-luks1.js'
import {
  contentSegments,
  isReencrypting,
  keyslotsOf,
  luks2Findings,
  passphraseSlots,
} from './judge-luks2.js'
import type { Luks1Header } from './luks1-header.js'
import type { Luks2Header } from './luks2-header.js'
import type { Luks2Segment, Luks2Token, PassphraseSlot } from './luks2-metadata.js'
import type { FoundHeader } from './read-header.js'
import { parseToken, TOKEN_TYPE, type VolumeToken } from './volume-token.js'

/** What a header says, the same for LUKS1 and LUKS2. Sizes are in bytes where not said otherwise. */
export interface HeaderFacts {
  readonly version: 1 | 2
  /** What OpenStack calls it: `luks` is version 1 on disk. */
  readonly provider: Provider
  readonly uuid: string
  readonly label: string | null
  /** Such as `aes-xts-plain64`. */
  readonly cipher: string
  /** Volume key, in bits, with that of a keyed hash. */
  readonly keySize: number
  readonly sectorSize: number
  /** Where the ciphertext begins. */
  readonly payloadOffset: number
  /** Usable bytes. */
  readonly payloadSize: number
  /** Those that a passphrase may open. */
  readonly keyslots: readonly KeyslotReport[]
  readonly tokens: readonly TokenReport[]
  /** What volseal's own token says: a hint from the storage, never to be believed. */
  readonly token: VolumeToken | undefined
  /** Whether cryptsetup changes the volume key, or was stopped while it did. */
  readonly reencrypting: boolean
  /** Such as `hmac(sha256)`. */
  readonly integrity: string | null
  /** What a program must know to open it. */
  readonly requirements: readonly string[]
  /** Whether any part of the content is stored as it is. */
  readonly plain: boolean
  /** What makes it unacceptable. */
  readonly findings: readonly Finding[]
  /** What is not as it should be, but harmless. */
  readonly warnings: readonly string[]
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

export function describeHeader(found: FoundHeader, deviceSize: number): HeaderFacts {
  return found.version === 1
    ? describeLuks1(found.header, deviceSize)
    : describeLuks2(found.header, deviceSize)
}

function describeLuks1(header: Luks1Header, deviceSize: number): HeaderFacts {
  const { uuid, keySize, payloadOffset, hash } = header
  const findings = luks1Findings(header, deviceSize)
  return {
    version: 1,
    provider: 'luks',
    uuid,
    label: null,
    cipher: `${header.cipher}-${header.mode}`,
    keySize,
    sectorSize: 512,
    payloadOffset,
    payloadSize: Math.max(0, deviceSize - payloadOffset),
    keyslots: activeSlots(header).map(({ number, iterations }) => ({
      number,
      pbkdf: 'pbkdf2',
      hash,
      iterations,
      memory: null,
    })),
    tokens: [],
    token: undefined,
    reencrypting: false,
    integrity: null,
    requirements: [],
    plain: isPlain(header.cipher),
    findings,
    warnings: [],
  }
}

function describeLuks2(header: Luks2Header, deviceSize: number): HeaderFacts {
  const { metadata, label, uuid } = header
  const content = contentSegments(metadata)
  const [segment] = content
  const crypt = segment?.crypt
  const [slot] = segment === undefined ? [] : keyslotsOf(metadata, segment)
  const { token, warnings } = ownToken(metadata.tokens)
  return {
    version: 2,
    provider: 'luks2',
    uuid,
    label: label === '' ? null : label,
    cipher: crypt?.encryption ?? 'none',
    keySize: (slot?.keySize ?? 0) * 8,
    sectorSize: crypt?.sectorSize ?? 512,
    payloadOffset: segment?.offset ?? 0,
    payloadSize: sizeOf(content, deviceSize),
    keyslots: passphraseSlots(metadata).map((passphraseSlot) => slotReport(passphraseSlot)),
    tokens: metadata.tokens.map(({ number, type }) => ({ number, type })),
    token,
    reencrypting: isReencrypting(metadata),
    integrity: crypt?.integrity?.type ?? null,
    requirements: metadata.config.requirements,
    plain: metadata.segments.some(
      (part) => part.crypt === undefined || isPlain(part.crypt.encryption),
    ),
    findings: luks2Findings(header, deviceSize),
    warnings: [
      ...header.warnings.map((text) => `of the header, ${text}: cryptsetup repair mends that`),
      ...warnings,
    ],
  }
}

function slotReport({ number, kdf }: PassphraseSlot): KeyslotReport {
  const { type: pbkdf } = kdf
  return kdf.type === 'pbkdf2'
    ? { number, pbkdf, hash: kdf.hash, iterations: kdf.iterations, memory: null }
    : { number, pbkdf, hash: null, iterations: kdf.time, memory: kdf.memory * 1024 }
}

function isPlain(cipher: string): boolean {
  return cipher.includes('null')
}

/** Segments follow one another; the last may reach to the end of the device (`dynamic`). */
function sizeOf(segments: readonly Luks2Segment[], deviceSize: number): number {
  return segments.reduce((total, { offset, size }) => {
    const room = Math.max(0, deviceSize - offset)
    return total + (size === 'dynamic' ? room : Math.min(size, room))
  }, 0)
}

/** A token is a hint only, so that a bad one does not keep anybody from the volume. */
function ownToken(tokens: readonly Luks2Token[]): {
  token: VolumeToken | undefined
  warnings: string[]
} {
  const own = tokens.filter(({ type }) => type === TOKEN_TYPE)
  const [only] = own
  if (only === undefined) return { token: undefined, warnings: [] }
  if (own.length > 1) {
    const warning = `there are ${own.length} tokens of type ${TOKEN_TYPE}, where one was expected; none is used`
    return { token: undefined, warnings: [warning] }
  }
  try {
    return { token: parseToken(only.content), warnings: [] }
  } catch {
    const warning = `token ${only.number} is not as volseal writes it; it is not used`
    return { token: undefined, warnings: [warning] }
  }
}

/** `AES-256-XTS` for `aes-xts-plain64` with 512 bits. */
export function effectiveCipher({
  cipher,
  keySize,
}: Pick<HeaderFacts, 'cipher' | 'keySize'>): string {
  const [algorithm = cipher, mode = ''] = cipher.split('-')
  const bits = mode === 'xts' ? keySize / 2 : keySize
  return [algorithm.toUpperCase(), String(bits), mode.toUpperCase()].filter(Boolean).join('-')
}
