import { type Finding, type ImageReader, unsafe } from './report.js'
import { broken, isZero, quoted, type Rule, readStructure } from './structure.js'

/** Where the descriptor of a sparse extent is, in bytes (sector 1). */
const DESCRIPTOR_OFFSET = 512

/** QEMU reads so much to find the parent (vmdk_parent_open, DESC_SIZE), whatever the header says. */
const QEMU_DESCRIPTOR_BYTES = 20 * 512

/** Most lines that are looked at; a disk in one file has about 20. */
const MAX_LINES = 4096

/** createType of the variants that are one self-contained file. */
const SELF_CONTAINED = ['monolithicsparse', 'streamoptimized']

const FIELD = /^([A-Za-z][\w.]*)\s*=\s*(.*)$/
const EXTENT = /^(?:RW|RDONLY|NOACCESS)\s+\d+\s+(\w+)(?:\s+"([^"]*)"(?:\s+\d+)?)?$/i
const NO_PARENT = 'ffffffff'

/** An extent line: `RW 4194304 SPARSE "disk.vmdk"`. */
interface Extent {
  readonly line: string
  readonly type: string
  readonly file: string
}

/** A descriptor, each line of it understood or kept as strange. */
export interface Descriptor {
  /** All text up to the first NUL. */
  readonly text: string
  /** Whether the text ends, and nothing but NULs follows, where the header says that it does. */
  readonly wellEnded: boolean
  /** Whether there are more lines than were looked at. */
  readonly endless: boolean
  /** Fields in order; names in lower case, values without quotes. */
  readonly fields: readonly (readonly [name: string, value: string])[]
  readonly extents: readonly Extent[]
  readonly strange: readonly string[]
}

/**
 * Reads the descriptor that is embedded in a sparse extent. The text ends at the first NUL for
 * QEMU, and at the announced size for others; only where both agree there is one truth.
 *
 * @param size announced size in bytes, at most 1 MiB.
 * @throws {TruncatedImage} when it reaches behind the image's end.
 */
export async function readDescriptor(image: ImageReader, size: number): Promise<Descriptor> {
  const seenByQemu = Math.min(QEMU_DESCRIPTOR_BYTES, image.size - DESCRIPTOR_OFFSET)
  const length = Math.max(size, seenByQemu)
  const bytes = await readStructure(image, DESCRIPTOR_OFFSET, length, 'descriptor')
  const nul = bytes.indexOf(0)
  const end = nul === -1 ? bytes.length : nul
  const wellEnded = end <= size && isZero(bytes.subarray(end, size))
  return { ...parse(bytes.toString('latin1', 0, end)), wellEnded }
}

function parse(text: string): Omit<Descriptor, 'wellEnded'> {
  const fields: [string, string][] = []
  const extents: Extent[] = []
  const strange: string[] = []
  const lines = text.split('\n', MAX_LINES + 1)
  for (const line of lines.slice(0, MAX_LINES).map((each) => each.trim())) {
    if (line === '' || line.startsWith('#')) continue
    const [, type, file] = EXTENT.exec(line) ?? []
    const [, name, value] = FIELD.exec(line) ?? []
    if (type !== undefined) extents.push({ line, type: type.toUpperCase(), file: file ?? '' })
    else if (name !== undefined) fields.push([name.toLowerCase(), unquoted(value ?? '')])
    else strange.push(line)
  }
  return { text, endless: lines.length > MAX_LINES, fields, extents, strange }
}

function unquoted(value: string): string {
  return value.replace(/^"(.*)"$/, '$1')
}

/** What is wrong with the descriptor of a sparse extent. */
export function descriptorFindings(descriptor: Descriptor): Finding[] {
  return broken(RULES, descriptor)
}

function values(descriptor: Descriptor, name: string): string[] {
  return descriptor.fields.filter((field) => field[0] === name).map((field) => field[1])
}

/** The first field that is there twice. */
function repeatedField({ fields }: Descriptor): string | undefined {
  const seen = new Set<string>()
  for (const [name] of fields) {
    if (seen.has(name)) return name
    seen.add(name)
  }
  return undefined
}

/** The one extent is the image itself; nobody opens it by its name, which may be an old one. */
function foreignExtent({ extents }: Descriptor): Extent | undefined {
  return extents.find(({ type, file }, index) => {
    return index > 0 || type !== 'SPARSE' || /[/\\]/.test(file)
  })
}

function createType(descriptor: Descriptor): string {
  return values(descriptor, 'createtype')[0] ?? ''
}

const RULES: readonly Rule<Descriptor>[] = [
  {
    when: ({ wellEnded }) => !wellEnded,
    found: () =>
      unsafe(
        'malformed-descriptor',
        'the descriptor does not end where the header says, so programs may read different text',
      ),
  },
  {
    when: ({ endless }) => endless,
    found: () =>
      unsafe(
        'malformed-descriptor',
        `expected a descriptor of at most ${MAX_LINES} lines, found more, which nobody here checks`,
      ),
  },
  {
    when: ({ strange }) => strange.length > 0,
    found: ({ strange }) =>
      unsafe(
        'malformed-descriptor',
        `expected comments, fields and extents in the descriptor, found the line ${quoted(strange[0] ?? '')}, whose effect is unknown`,
      ),
  },
  {
    when: (descriptor) => repeatedField(descriptor) !== undefined,
    found: (descriptor) =>
      unsafe(
        'malformed-descriptor',
        `the descriptor has the field ${quoted(repeatedField(descriptor) ?? '')} more than once, so programs may believe different values`,
      ),
  },
  {
    when: (descriptor) => !SELF_CONTAINED.includes(createType(descriptor).toLowerCase()),
    found: (descriptor) =>
      unsafe(
        'unsupported-subformat',
        `expected the createType monolithicSparse or streamOptimized, found ${quoted(createType(descriptor))}, whose content may be in other files`,
      ),
  },
  {
    when: ({ extents }) => extents.length === 0,
    found: () =>
      unsafe('malformed-descriptor', 'expected one extent in the descriptor, found none'),
  },
  {
    when: (descriptor) => foreignExtent(descriptor) !== undefined,
    found: (descriptor) =>
      unsafe(
        'names-other-files',
        `the descriptor has the extent ${quoted(foreignExtent(descriptor)?.line ?? '')}, which is another file of the host`,
      ),
  },
  {
    // QEMU searches the whole text for the word, comments and values included.
    when: ({ text }) => /parentFileNameHint/i.test(text),
    found: () =>
      unsafe(
        'backing-file',
        'the descriptor names a parent file, so opening the image reads another file of the host',
      ),
  },
  {
    when: (descriptor) =>
      values(descriptor, 'parentcid').some((id) => id.toLowerCase() !== NO_PARENT),
    found: (descriptor) =>
      unsafe(
        'backing-file',
        `expected the parentCID ffffffff (none), found ${quoted(values(descriptor, 'parentcid')[0] ?? '')}, so the image is only the difference to another one`,
      ),
  },
]
