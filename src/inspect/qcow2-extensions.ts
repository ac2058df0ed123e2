import { has, type Qcow2Header } from './qcow2-header.js'
import { type Finding, type ImageReader, info, unsafe, warning } from './report.js'
import { beyondEnd } from './structure.js'

/** QEMU docs/interop/qcow2.txt, "Header extensions". */
const END = 0x00000000
const DATA_FILE_NAME = 0x44415441
const ENCRYPTION_HEADER = 0x0537be77

/**
 * Most bytes of extensions that are read. The document lets them fill the first cluster, up to
 * 2 MiB; what QEMU writes fits into 1 KiB.
 */
const MAX_AREA_BYTES = 64 * 1024

/** crypt_method by number. */
const CRYPT_METHODS: readonly (Finding | undefined)[] = [
  undefined,
  warning(
    'encryption',
    'the image is encrypted with the legacy AES-CBC method, which is broken and which QEMU no longer runs',
  ),
  info('encryption', 'the content of the image is encrypted with LUKS, so it needs its passphrase'),
]

interface Extension {
  readonly type: number
  /** Length as announced; `data` is shorter when it reaches out of the area. */
  readonly length: number
  readonly data: Buffer
}

/** The header extensions, as far as they could be walked through. */
export interface Extensions {
  readonly found: readonly Extension[]
  /** Whether the walk came to the end marker, or exactly to the end of the cluster. */
  readonly ended: boolean
}

/** Reads the extensions behind the header of an image whose geometry is sound. */
export async function readExtensions(image: ImageReader, header: Qcow2Header): Promise<Extensions> {
  const clusterSize = 2 ** header.clusterBits
  const end = Math.min(clusterSize, header.headerLength + MAX_AREA_BYTES)
  // An image that is cut within its header has no extensions; its tables are reported missing.
  const start = Math.min(header.headerLength, image.size)
  const area = await image.readAt(start, end - start)
  const whole = start + area.length === clusterSize
  return walk(area, whole)
}

function walk(area: Buffer, whole: boolean): Extensions {
  const found: Extension[] = []
  let at = 0
  while (at + 8 <= area.length) {
    const type = area.readUInt32BE(at)
    if (type === END) return { found, ended: true }
    const length = area.readUInt32BE(at + 4)
    found.push({ type, length, data: area.subarray(at + 8, at + 8 + length) })
    at += 8 + Math.ceil(length / 8) * 8
  }
  return { found, ended: whole && at === area.length }
}

/** What is wrong with the extensions, or between them and the header. */
export function extensionFindings(header: Qcow2Header, extensions: Extensions): Finding[] {
  // A backing file's name stands where the extensions end, and the image is refused for it anyway.
  if (header.backingOffset !== 0n) return []
  const { found, ended } = extensions
  const findings: Finding[] = []
  if (!ended) findings.push(endless())
  if (found.some((extension) => extension.type === DATA_FILE_NAME) && !has(header, 'dataFile')) {
    findings.push(namesDataFile())
  }
  const pointer = found.find((extension) => extension.type === ENCRYPTION_HEADER)
  return [...findings, ...encryptionHeaderFindings(header, pointer)]
}

function endless(): Finding {
  return unsafe(
    'damaged-header',
    'expected the header extensions to end within the first cluster, found no end, so programs may read them differently',
  )
}

function namesDataFile(): Finding {
  return unsafe(
    'data-file',
    'the image names an external data file without the feature bit that belongs to it, so a program may be led to another file of the host',
  )
}

/** The LUKS header lies where the pointer extension says; only crypt_method 2 has one. */
function encryptionHeaderFindings(header: Qcow2Header, pointer: Extension | undefined): Finding[] {
  const expected = header.cryptMethod === 2
  if (pointer === undefined && !expected) return []
  if (pointer === undefined || !expected || pointer.data.length !== 16) {
    const message = `the encryption method ${header.cryptMethod} contradicts the encryption header extension, so the content cannot be decrypted`
    return [unsafe('damaged-header', message)]
  }
  const [offset, length] = [pointer.data.readBigUInt64BE(0), pointer.data.readBigUInt64BE(8)]
  const missing = beyondEnd('LUKS header', offset, length, header.fileSize)
  return missing === undefined ? [] : [missing]
}

/** What the header says about encryption. */
export function encryptionFindings({ cryptMethod }: Qcow2Header): Finding[] {
  if (cryptMethod >= CRYPT_METHODS.length) {
    const message = `expected the encryption method 0, 1 or 2, found ${cryptMethod}, which nobody can read`
    return [unsafe('unknown-features', message)]
  }
  const finding = CRYPT_METHODS[cryptMethod]
  return finding === undefined ? [] : [finding]
}
