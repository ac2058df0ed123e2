import { type Finding, type ImageDetails, info } from './report.js'

/** UEFI specification 2.10, 5.2.1 and 5.3: the MBR, and the GPT header in the second sector. */
const BOOT_SIGNATURE = 0xaa55
const ENTRIES_OFFSET = 446
const ENTRY_BYTES = 16
const GPT_SIGNATURE = 'EFI PART'
const SECTOR_SIZES: readonly number[] = [512, 4096]

/** The partition table as detail and finding, when there is one. */
export function describeTable(start: Buffer): { details: ImageDetails; findings: Finding[] } {
  const table = partitionTable(start)
  if (table === undefined) return { details: {}, findings: [] }
  const message = `the disk has a partition table (${table.toUpperCase()})`
  return { details: { partitionTable: table }, findings: [info('partition-table', message)] }
}

/** What the first 8 KiB of a disk say about partitions: nothing in a bare file system. */
function partitionTable(start: Buffer): ImageDetails['partitionTable'] {
  const gpt = SECTOR_SIZES.some((at) => start.toString('latin1', at, at + 8) === GPT_SIGNATURE)
  if (gpt) return 'gpt'
  return hasMbr(start) ? 'mbr' : undefined
}

/** Boot sectors of FAT have the signature too, but their code where an MBR has its entries. */
function hasMbr(start: Buffer): boolean {
  if (start.length < 512 || start.readUInt16LE(510) !== BOOT_SIGNATURE) return false
  const entries = [0, 1, 2, 3].map((index) => {
    const at = ENTRIES_OFFSET + index * ENTRY_BYTES
    return { flag: start.readUInt8(at), type: start.readUInt8(at + 4) }
  })
  const plausible = entries.every(({ flag }) => flag === 0 || flag === 0x80)
  return plausible && entries.some(({ type }) => type !== 0)
}
