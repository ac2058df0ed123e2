import type { VolumeReport } from '../face/volumes.js'
import { humanBytes } from './progress.js'
import { printable, rows } from './text.js'

/** A volume's header for people. */
export function describeVolume(report: VolumeReport): string {
  return rows([
    ['provider', `${report.provider} (LUKS${report.version} on disk)`],
    ['uuid', report.uuid],
    ...(report.label === null ? [] : [['label', printable(report.label)] as const]),
    ['cipher', `${printable(report.cipher)}, ${report.keySize} bits: ${report.effectiveCipher}`],
    ['sectors', `${report.sectorSize} bytes`],
    ['payload', `${report.payloadSize} bytes from byte ${report.payloadOffset} on`],
    ...report.keyslots.map((slot) => [`keyslot ${slot.number}`, slotLine(slot)] as const),
    ...report.tokens.map(({ number, type }) => [`token ${number}`, printable(type)] as const),
    ...tokenRows(report.token),
    ...(report.integrity === null ? [] : [['integrity', printable(report.integrity)] as const]),
    ...report.requirements.map((name) => ['requires', printable(name)] as const),
    ...report.warnings.map((text) => ['warning', text] as const),
    ...report.findings.map((text) => ['refused', text] as const),
  ])
}

/** It lies on the storage, where others can change it. */
function tokenRows(token: VolumeReport['token']): (readonly [string, string])[] {
  if (token === null) return []
  const { keyId, volumeId, encoding, phase, keyslots } = token
  const volume = volumeId === null ? '' : ` of volume ${volumeId}`
  const slots = keyslots.join(' and ')
  const said = `key ${keyId}${volume} as ${encoding} opens keyslot ${slots}, ${phase} (a hint only)`
  return [['key', printable(said)]]
}

/** What a keyslot costs to open. */
export function slotLine({
  pbkdf,
  hash,
  iterations,
  memory,
}: VolumeReport['keyslots'][number]): string {
  const cost = `${pbkdf}${hash === null ? '' : `-${hash}`}, ${iterations} iterations`
  return memory === null ? cost : `${cost}, ${humanBytes(memory)}`
}
