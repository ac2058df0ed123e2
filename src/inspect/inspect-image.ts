import { inspectLuks, isLuks, secondaryHeader } from './luks.js'
import { inspectIso, isIso } from './optical.js'
import { describeTable } from './partition-table.js'
import { inspectQcow2, isQcow2 } from './qcow2.js'
import { REFUSED_FORMATS, refusedFormat, startsFormat } from './refused-formats.js'
import {
  type ImageFormat,
  type ImageReader,
  type ImageReport,
  type Inspected,
  refused,
  unsafe,
} from './report.js'
import { TruncatedImage } from './structure.js'
import { inspectVdi, isVdi } from './vdi.js'
import { endsInFooter, hasCookie, inspectVhd } from './vhd.js'
import { inspectVhdx, isVhdx } from './vhdx.js'
import { inspectVmdk, isVmdk } from './vmdk.js'

/** Enough for every magic at the start, for descriptors of ISO and UDF (from byte 32768 on). */
const START_BYTES = 64 * 1024
const END_BYTES = 512

/** The places of an image where formats have their magics. */
interface Landmarks {
  readonly start: Buffer
  /** The last 512 bytes. */
  readonly end: Buffer
  readonly hasSecondaryLuks: boolean
}

interface Format {
  readonly format: ImageFormat
  readonly matches: (landmarks: Landmarks) => boolean
  readonly inspect: (image: ImageReader) => Promise<Inspected> | Inspected
}

/** Every format but raw, which is what is none of them. */
const FORMATS: readonly Format[] = [
  { format: 'qcow2', matches: ({ start }) => isQcow2(start), inspect: inspectQcow2 },
  { format: 'vmdk', matches: ({ start }) => isVmdk(start), inspect: inspectVmdk },
  { format: 'vhd', matches: isVhd, inspect: inspectVhd },
  { format: 'vhdx', matches: ({ start }) => isVhdx(start), inspect: inspectVhdx },
  { format: 'vdi', matches: ({ start }) => isVdi(start), inspect: inspectVdi },
  { format: 'iso', matches: ({ start }) => isIso(start), inspect: inspectIso },
  {
    format: 'luks',
    matches: ({ start, hasSecondaryLuks }) => isLuks(start) || hasSecondaryLuks,
    inspect: inspectLuks,
  },
  ...REFUSED_FORMATS.map((row) => ({
    format: row.format,
    matches: ({ start }: Landmarks) => startsFormat(row, start),
    inspect: () => refusedFormat(row),
  })),
]

/**
 * Says what an image is, and what is wrong with it, from its bytes alone: no name is believed, no
 * program is run. Only headers are read, at most 2 MiB whatever they say. Whatever the bytes are,
 * there is a report; only the reader's own errors are thrown.
 */
export async function inspectImage(image: ImageReader): Promise<ImageReport> {
  const { size } = image
  const landmarks = await readLandmarks(image)
  const matches = FORMATS.filter((row) => row.matches(landmarks))
  const [first, ...others] = matches
  if (first === undefined) return { format: 'raw', size, ...inspectRaw(image, landmarks) }
  const { format } = first
  if (others.length > 0) return { format, size, ...severalFormats(matches) }
  const inspected = await inspectAs(first, image)
  // A hybrid ISO starts with a partition table, so that it also boots from a USB stick.
  if (format === 'iso') return { format, size, ...withTable(inspected, landmarks) }
  return { format, size, ...inspected }
}

function inspectRaw(image: ImageReader, landmarks: Landmarks): Inspected {
  return withTable({ virtualSize: image.size, details: {}, findings: [] }, landmarks)
}

function withTable(inspected: Inspected, { start }: Landmarks): Inspected {
  const { details, findings } = describeTable(start)
  return {
    virtualSize: inspected.virtualSize,
    details: { ...inspected.details, ...details },
    findings: [...inspected.findings, ...findings],
  }
}

async function readLandmarks(image: ImageReader): Promise<Landmarks> {
  const start = await image.readAt(0, Math.min(START_BYTES, image.size))
  const end = await image.readAt(Math.max(0, image.size - END_BYTES), END_BYTES)
  return { start, end, hasSecondaryLuks: (await secondaryHeader(image)) !== undefined }
}

function isVhd({ start, end }: Landmarks): boolean {
  return hasCookie(start) || endsInFooter(end)
}

async function inspectAs(row: Format, image: ImageReader): Promise<Inspected> {
  try {
    return await row.inspect(image)
  } catch (error) {
    if (error instanceof TruncatedImage) return refused([error.finding])
    throw error
  }
}

/** Such an image is opened as one disk by one program, and as another by the next. */
function severalFormats(matches: readonly Format[]): Inspected {
  const names = matches.map(({ format }) => format).join(', ')
  const message = `the image is valid as several formats (${names}), so two programs may see two disks`
  return refused([unsafe('several-formats', message)])
}
