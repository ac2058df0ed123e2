import { digestCostFindings, iterationFindings } from './header-cost.js'
import {
  cipherFindings,
  type Finding,
  hashFindings,
  STRIPES,
  uuidFindings,
} from './header-rules.js'
import { LUKS1_HEADER_BYTES, type Luks1Header, type Luks1Slot } from './luks1-header.js'

const SECTOR = 512

/** What is not acceptable about a LUKS1 header; empty when all is. */
export function luks1Findings(header: Luks1Header, deviceSize: number): Finding[] {
  const { cipher, mode, keySize, hash, digestIterations, uuid } = header
  const active = activeSlots(header)
  return [
    ...cipherFindings('segment cipher', 'the volume', { cipher: `${cipher}-${mode}`, keySize }),
    ...hashFindings(hash, 'the volume'),
    ...digestCostFindings(digestIterations),
    ...iterationFindings(active.map(({ iterations }) => iterations)),
    ...payloadFindings(header, deviceSize),
    ...slotFindings(header),
    ...uuidFindings(uuid),
  ]
}

export function activeSlots({ slots }: Luks1Header): readonly Luks1Slot[] {
  return slots.filter(({ active }) => active === true)
}

function payloadFindings({ payloadOffset }: Luks1Header, deviceSize: number): Finding[] {
  if (payloadOffset >= LUKS1_HEADER_BYTES && payloadOffset < deviceSize) return []
  const text = `expected a payload that begins between byte ${LUKS1_HEADER_BYTES} and the device's end at ${deviceSize}, got ${payloadOffset}`
  return [{ check: 'segment place', text }]
}

/** Of all eight, the inactive ones too: cryptsetup opens no volume in which any of them is wrong. */
function slotFindings(header: Luks1Header): Finding[] {
  const { slots, payloadOffset, keySize } = header
  const length = keyMaterialBytes(keySize)
  const findings = slots.flatMap((slot) => markFindings(slot))
  if (activeSlots(header).length === 0) {
    findings.push({ check: 'keyslots', text: 'expected one that is active, got none' })
  }
  let free = LUKS1_HEADER_BYTES
  for (const { number, offset } of slots.toSorted((a, b) => a.offset - b.offset)) {
    if (offset < free || offset + length > payloadOffset) {
      const text = `keyslot ${number}: expected ${length} bytes of its own between byte ${free} and ${payloadOffset}, got them at ${offset}`
      return [...findings, { check: 'keyslot area', text }]
    }
    free = offset + length
  }
  return findings
}

function markFindings({ number, active, stripes }: Luks1Slot): Finding[] {
  const findings: Finding[] = []
  if (active === undefined) {
    const text = `keyslot ${number}: expected one that is active or not, got another mark`
    findings.push({ check: 'keyslots', text })
  }
  if (stripes !== STRIPES) {
    const text = `keyslot ${number}: expected ${STRIPES}, got ${stripes}`
    findings.push({ check: 'stripes', text })
  }
  return findings
}

/** Every stripe is as long as the key; in whole sectors. */
export function keyMaterialBytes(keySize: number): number {
  return Math.ceil(((keySize / 8) * STRIPES) / SECTOR) * SECTOR
}
