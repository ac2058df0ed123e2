import { has, type Qcow2Header } from './qcow2-header.js'
import type { Finding } from './report.js'
import { beyondEnd, damaged } from './structure.js'

const MIB = 1024n * 1024n
const SNAPSHOT_HEADER_BYTES = 40n

/** What is wrong with the tables that the header points to; the tables themselves are not read. */
export function tableFindings(header: Qcow2Header): Finding[] {
  const findings = tables(header).map((table) => tableFinding(header, table))
  return [...findings, tooFewL1Entries(header)].filter((finding) => finding !== undefined)
}

interface Table {
  readonly name: string
  /** Offset in bytes. */
  readonly offset: bigint
  readonly entries: number
  readonly entryBytes: bigint
  /** QEMU's limit in bytes (block/qcow2.h): what is larger does not open. */
  readonly most: bigint
}

/** The tables that the header points to. */
function tables(header: Qcow2Header): Table[] {
  return [
    {
      name: 'refcount table',
      offset: header.refcountOffset,
      entries: header.refcountClusters,
      entryBytes: 1n << BigInt(header.clusterBits),
      most: 8n * MIB,
    },
    {
      name: 'snapshot table',
      offset: header.snapshotsOffset,
      entries: header.snapshots,
      entryBytes: SNAPSHOT_HEADER_BYTES,
      most: 65536n * SNAPSHOT_HEADER_BYTES,
    },
    {
      name: 'L1 table',
      offset: header.l1Offset,
      entries: header.l1Entries,
      entryBytes: 8n,
      most: 32n * MIB,
    },
  ]
}

/** As QEMU's qcow2_validate_table, and within the file. */
function tableFinding(header: Qcow2Header, table: Table): Finding | undefined {
  const { name, offset, entries, entryBytes, most } = table
  const bytes = BigInt(entries) * entryBytes
  if (entries === 0) return undefined
  if (bytes > most) return damaged(`expected a ${name} of at most ${most} bytes, found ${bytes}`)
  if (offset % (1n << BigInt(header.clusterBits)) !== 0n) {
    return damaged(`expected the ${name} at the start of a cluster, found it at byte ${offset}`)
  }
  return beyondEnd(name, offset, bytes, header.fileSize)
}

/** Each L1 entry stands for one L2 table, which is one cluster of entries of 8 or 16 bytes. */
function tooFewL1Entries(header: Qcow2Header): Finding | undefined {
  const entryBits = has(header, 'extendedL2') ? 4 : 3
  const covered = 1n << BigInt(2 * header.clusterBits - entryBits)
  const needed = (header.virtualSize + covered - 1n) / covered
  if (BigInt(header.l1Entries) >= needed) return undefined
  return damaged(`expected ${needed} L1 entries for the virtual size, found ${header.l1Entries}`)
}
