import { costFindings, digestCostFindings } from './header-cost.js'
import {
  cipherFindings,
  type Finding,
  hashFindings,
  quoted,
  REENCRYPTIONS,
  SECTOR_SIZES,
  STRIPES,
  uuidFindings,
} from './header-rules.js'
import type { Luks2Header } from './luks2-header.js'
import type {
  CryptSegment,
  Luks2Digest,
  Luks2Metadata,
  Luks2Segment,
  PassphraseSlot,
} from './luks2-metadata.js'
import { TOKEN_TYPE } from './volume-token.js'

/** cryptsetup's bound on all keyslots' areas (LUKS2_MAX_KEYSLOTS_SIZE). */
const MOST_KEYSLOT_BYTES = 128 * 1024 * 1024
const PAGE = 4096
const SECTOR = 512

/** What is not acceptable about a well-formed header; empty when all is. */
export function luks2Findings(header: Luks2Header, deviceSize: number): Finding[] {
  const { metadata } = header
  return [
    ...uuidFindings(header.uuid),
    ...requirementFindings(metadata),
    ...segmentFindings(header, deviceSize),
    ...passphraseSlots(metadata).flatMap((slot) => keyslotFindings(slot)),
    ...areaFindings(header),
    ...costFindings(passphraseSlots(metadata).map(({ kdf }) => kdf)),
    ...metadata.digests.flatMap((digest) => digestFindings(digest)),
    ...keyFindings(metadata),
    ...tokenFindings(metadata),
  ]
}

/** Whether cryptsetup will go on with, or recover, a reencryption. */
export function isReencrypting({ config }: Luks2Metadata): boolean {
  return config.requirements.some((name) => REENCRYPTIONS.includes(name))
}

export function passphraseSlots({ keyslots }: Luks2Metadata): readonly PassphraseSlot[] {
  return keyslots.filter((slot) => slot.type === 'luks2')
}

/** The segments that make up the content; a reencryption keeps others, to go back to. */
export function contentSegments({ segments }: Luks2Metadata): readonly Luks2Segment[] {
  return segments.filter(({ flags }) => !flags.some((flag) => flag.startsWith('backup-')))
}

/** A digest's keyslots that hold the key of a segment. */
export function keyslotsOf(
  metadata: Luks2Metadata,
  { number }: Luks2Segment,
): readonly PassphraseSlot[] {
  const digests = metadata.digests.filter(({ segments }) => segments.includes(number))
  return passphraseSlots(metadata).filter((slot) =>
    digests.some(({ keyslots }) => keyslots.includes(slot.number)),
  )
}

function requirementFindings(metadata: Luks2Metadata): Finding[] {
  const unknown = metadata.config.requirements.find((name) => !REENCRYPTIONS.includes(name))
  if (unknown !== undefined) {
    const text = `expected none but ${REENCRYPTIONS.join(', ')}, got ${quoted(unknown)}`
    return [{ check: 'requirements', text }]
  }
  const slots = metadata.keyslots.filter((slot) => slot.type === 'reencrypt')
  if (slots.length === (isReencrypting(metadata) ? 1 : 0)) {
    // Those two leave clear text in a part of the volume; volseal starts neither.
    const other = slots.find(({ mode }) => mode !== 'reencrypt')
    if (other === undefined) return []
    const text = `expected a reencryption from key to key, got one that is to ${other.mode} the volume: end it with cryptsetup first`
    return [{ check: 'requirements', text }]
  }
  const text = `expected a keyslot that says how far a reencryption is, and only while there is one, got ${slots.length}`
  return [{ check: 'keyslots', text }]
}

function segmentFindings(header: Luks2Header, deviceSize: number): Finding[] {
  const { metadata } = header
  const { segments } = metadata
  const [first] = contentSegments(metadata)
  const whole = segments.length === 1 && first?.number === 0
  if (first === undefined || (!whole && !isReencrypting(metadata))) {
    const text = `expected one segment, with the number 0, got ${segments.length}`
    return [{ check: 'segment place', text }]
  }
  return segments.flatMap((segment) => [
    ...placeFindings(segment, header, deviceSize),
    ...typeFindings(segment, metadata),
  ])
}

function placeFindings(
  { number, offset, size, crypt }: Luks2Segment,
  { size: copy, metadata }: Luks2Header,
  deviceSize: number,
): Finding[] {
  const least = 2 * copy + metadata.config.keyslotsSize
  const end = size === 'dynamic' ? offset + SECTOR : offset + size
  const unit = crypt?.sectorSize ?? SECTOR
  const aligned = offset % SECTOR === 0 && (size === 'dynamic' || size % unit === 0)
  if (offset >= least && end <= deviceSize && size !== 0 && aligned) return []
  const text = `segment ${number}: expected whole sectors between the keyslots' end at byte ${least} and the device's at ${deviceSize}, got ${size} bytes at ${offset}`
  return [{ check: 'segment place', text }]
}

function typeFindings(segment: Luks2Segment, metadata: Luks2Metadata): Finding[] {
  const name = `segment ${segment.number}`
  const { crypt } = segment
  if (crypt === undefined) {
    const text = `${name}: expected crypt, got ${quoted(segment.type)}, which is not encrypted by dm-crypt`
    return [{ check: 'segment type', text }]
  }
  return [
    ...cipherFindings('segment cipher', name, segmentCipher(crypt)),
    ...cryptFindings(crypt, name, isReencrypting(metadata)),
  ]
}

function segmentCipher({ encryption, integrity }: CryptSegment): {
  cipher: string
  integrity?: string
} {
  return {
    cipher: encryption,
    ...(integrity === undefined ? {} : { integrity: integrity.type }),
  }
}

function cryptFindings(crypt: CryptSegment, name: string, reencrypting: boolean): Finding[] {
  const { sectorSize, ivTweak, integrity } = crypt
  const findings: Finding[] = []
  if (!SECTOR_SIZES.includes(sectorSize)) {
    const text = `${name}: expected one of ${SECTOR_SIZES.join(', ')} bytes, got ${sectorSize}`
    findings.push({ check: 'sector size', text })
  }
  if (ivTweak !== 0 && !reencrypting) {
    findings.push({ check: 'iv offset', text: `${name}: expected 0, got ${ivTweak}` })
  }
  const journal = [integrity?.journalEncryption, integrity?.journalIntegrity]
  const other = journal.find((value) => value !== undefined && value !== 'none')
  if (other !== undefined) {
    const text = `${name}: expected a journal that is neither encrypted nor signed, got ${quoted(other)}`
    findings.push({ check: 'integrity', text })
  }
  return findings
}

/**
 * A keyslot whose area has a null cipher gives the same volume key whatever the passphrase is: one
 * that whoever wrote the header chose.
 */
function keyslotFindings(slot: PassphraseSlot): Finding[] {
  const name = `keyslot ${slot.number}`
  const { kdf, af } = slot
  const findings = [
    ...cipherFindings('keyslot cipher', name, {
      cipher: slot.encryption,
      keySize: slot.encryptionKeySize * 8,
    }),
    ...hashFindings(af.hash, name),
    ...(kdf.type === 'pbkdf2' ? hashFindings(kdf.hash, name) : []),
  ]
  if (af.stripes === STRIPES) return findings
  const text = `${name}: expected ${STRIPES}, got ${af.stripes}`
  return [...findings, { check: 'stripes', text }]
}

function areaFindings({ size, metadata }: Luks2Header): Finding[] {
  const { keyslots, config } = metadata
  const start = 2 * size
  const end = start + config.keyslotsSize
  if (config.keyslotsSize > MOST_KEYSLOT_BYTES || config.keyslotsSize % PAGE !== 0) {
    const text = `expected at most ${MOST_KEYSLOT_BYTES} bytes in whole pages for all keyslots, got ${config.keyslotsSize}`
    return [{ check: 'keyslot area', text }]
  }
  let free = start
  for (const slot of keyslots.toSorted((a, b) => a.offset - b.offset)) {
    const least = slot.type === 'luks2' ? keyMaterialBytes(slot) : 1
    if (slot.offset < free || slot.size < least || slot.offset + slot.size > end) {
      const text = `keyslot ${slot.number}: expected at least ${least} bytes of its own between byte ${free} and ${end}, got ${slot.size} at ${slot.offset}`
      return [{ check: 'keyslot area', text }]
    }
    free = slot.offset + slot.size
  }
  return []
}

/** What cryptsetup reads of a keyslot's area: every stripe as long as the key, in whole sectors. */
export function keyMaterialBytes({ keySize, af }: PassphraseSlot): number {
  return Math.ceil((keySize * af.stripes) / SECTOR) * SECTOR
}

function digestFindings({ number, hash, iterations }: Luks2Digest): Finding[] {
  return [...hashFindings(hash, `digest ${number}`), ...digestCostFindings(iterations)]
}

/** Every segment has its key, in a keyslot, and the key is as long as the cipher wants it. */
function keyFindings(metadata: Luks2Metadata): Finding[] {
  return metadata.segments.flatMap((segment): Finding[] => {
    const { number, crypt } = segment
    if (crypt === undefined) return []
    const digests = metadata.digests.filter(({ segments }) => segments.includes(number))
    if (digests.length === 0 || (digests.length > 1 && !isReencrypting(metadata))) {
      const text = `segment ${number}: expected one that its key is proven by, got ${digests.length}`
      return [{ check: 'digest', text }]
    }
    const slots = keyslotsOf(metadata, segment)
    if (slots.length === 0) {
      const text = `segment ${number}: expected a keyslot with its key, got none: nothing opens it (cryptsetup erase leaves it so)`
      return [{ check: 'keyslots', text }]
    }
    return slots.flatMap(({ number: slot, keySize }) =>
      cipherFindings('segment cipher', `keyslot ${slot}`, {
        ...segmentCipher(crypt),
        keySize: keySize * 8,
      }).filter(({ check }) => check === 'key size'),
    )
  })
}

/**
 * cryptsetup tries the tokens first, and a forged one may fetch a passphrase that its author knows.
 * The copy that a volume is opened with has none (`header-copy.ts`); a volume that must be opened on
 * the device itself may not have any that cryptsetup could act on.
 */
function tokenFindings(metadata: Luks2Metadata): Finding[] {
  if (!isReencrypting(metadata)) return []
  const other = metadata.tokens.find(({ type }) => type !== TOKEN_TYPE)
  if (other === undefined) return []
  const text = `token ${other.number}: expected none but ${TOKEN_TYPE} while a reencryption is in progress, got ${quoted(other.type)}`
  return [{ check: 'tokens', text }]
}
