import { encryptionFindings, extensionFindings, readExtensions } from './qcow2-extensions.js'
import { FEATURES, has, type Qcow2Header, readHeader, V2_BYTES, V3_BYTES } from './qcow2-header.js'
import { tableFindings } from './qcow2-tables.js'
import {
  type Finding,
  type ImageReader,
  type Inspected,
  refused,
  unsafe,
  warning,
} from './report.js'
import { broken, checkedSize, damaged, quoted, type Rule, readStructure } from './structure.js'

const MAGIC = 'QFI\xfb'

/** Inspects a qcow2 image of version 2 or 3: its header and header extensions, no table. */
export async function inspectQcow2(image: ImageReader): Promise<Inspected> {
  const start = await readStructure(image, 0, V2_BYTES, 'qcow2 header')
  const version = start.readUInt32BE(4)
  if (version !== 2 && version !== 3) return refused([unknownVersion(version)], { version })
  const header = await readHeader(image, start, version)
  const unreadable = broken(GEOMETRY, header)
  const findings = [...unreadable, ...broken(SAFETY, header), ...encryptionFindings(header)]
  if (unreadable.length > 0) return refused(findings, { version })
  const size = checkedSize(header.virtualSize)
  findings.push(...size.findings, ...broken(VALUES, header), ...tableFindings(header))
  findings.push(...extensionFindings(header, await readExtensions(image, header)))
  const details = { version, clusterSize: 2 ** header.clusterBits, ...encryption(header) }
  return { virtualSize: size.virtualSize, details, findings }
}

/** Whether the bytes start a qcow2, or a later qcow; version 1 is another format. */
export function isQcow2(start: Buffer): boolean {
  const magic = start.toString('latin1', 0, MAGIC.length) === MAGIC
  return magic && !(start.length >= 8 && start.readUInt32BE(4) === 1)
}

function unknownVersion(version: number): Finding {
  return unsafe(
    'unsupported-version',
    `expected qcow2 version 2 or 3, found ${version}, whose header nobody here can check`,
  )
}

function encryption(header: Qcow2Header): { encryption?: 'aes' | 'luks' } {
  if (header.cryptMethod === 1) return { encryption: 'aes' }
  return header.cryptMethod === 2 ? { encryption: 'luks' } : {}
}

function unknownFeatures({ incompatible }: Qcow2Header): bigint {
  return Object.values(FEATURES).reduce((bits, known) => bits & ~known, incompatible)
}

/** Without these, sizes and places cannot be computed. */
const GEOMETRY: readonly Rule<Qcow2Header>[] = [
  {
    when: ({ clusterBits }) => clusterBits < 9 || clusterBits > 21,
    found: ({ clusterBits }) =>
      damaged(`expected clusters of 2^9 to 2^21 bytes, found 2^${clusterBits}`),
  },
  {
    when: ({ version, headerLength, clusterBits }) =>
      version === 3 && (headerLength < V3_BYTES || headerLength > 2 ** clusterBits),
    found: ({ headerLength }) =>
      damaged(`expected a header of 104 bytes up to one cluster, found ${headerLength} bytes`),
  },
  {
    when: ({ headerLength }) => headerLength % 8 !== 0,
    found: ({ headerLength }) =>
      damaged(`expected a header length that is a multiple of 8, found ${headerLength} bytes`),
  },
]

const SAFETY: readonly Rule<Qcow2Header>[] = [
  {
    when: ({ backingOffset }) => backingOffset !== 0n,
    found: ({ backingName }) =>
      unsafe(
        'backing-file',
        `the image has the backing file ${quoted(backingName)}, so opening it reads another file of the host`,
      ),
  },
  {
    when: (header) => has(header, 'dataFile'),
    found: () =>
      unsafe(
        'data-file',
        'the image keeps its content in an external data file, so opening it reads another file of the host',
      ),
  },
  {
    when: (header) => unknownFeatures(header) !== 0n,
    found: (header) =>
      unsafe(
        'unknown-features',
        `the image demands unknown features (incompatible bits 0x${unknownFeatures(header).toString(16)}), so nobody can say what opening it does`,
      ),
  },
  {
    when: (header) => has(header, 'corrupt'),
    found: () =>
      unsafe('corrupt', 'the image is marked as corrupt, so its content cannot be relied on'),
  },
  {
    when: (header) => has(header, 'dirty'),
    found: () =>
      warning(
        'dirty',
        'the image was not closed properly, so its reference counts must be repaired before it is written to',
      ),
  },
  {
    when: (header) => has(header, 'extendedL2'),
    found: () =>
      warning(
        'openstack-refuses',
        "the image has extended L2 entries, which QEMU reads, but OpenStack's inspector (oslo.utils) refuses",
      ),
  },
  {
    when: ({ snapshots }) => snapshots > 0,
    found: ({ snapshots }) =>
      warning(
        'snapshots',
        `the image carries ${snapshots} internal snapshots, whose content stays in the file and is lost when it is converted`,
      ),
  },
]

/** QEMU refuses what breaks these as well (qcow2_do_open). */
const VALUES: readonly Rule<Qcow2Header>[] = [
  {
    when: ({ refcountOrder }) => refcountOrder > 6,
    found: ({ refcountOrder }) =>
      damaged(`expected a refcount order of at most 6 (64 bits), found ${refcountOrder}`),
  },
  {
    when: (header) => has(header, 'compressionType') !== (header.compressionType !== 0),
    found: ({ compressionType }) =>
      damaged(`the feature bit contradicts the compression type, which is ${compressionType}`),
  },
  {
    when: ({ compressionType }) => compressionType > 1,
    found: ({ compressionType }) =>
      unsafe(
        'unknown-features',
        `expected the compression type 0 (zlib) or 1 (zstd), found ${compressionType}, which nobody can read`,
      ),
  },
  {
    when: (header) => has(header, 'extendedL2') && header.clusterBits < 14,
    found: ({ clusterBits }) =>
      damaged(`expected clusters of at least 2^14 bytes for extended L2, found 2^${clusterBits}`),
  },
  {
    when: ({ refcountClusters }) => refcountClusters === 0,
    found: () => damaged('expected a refcount table, found none'),
  },
]
