/**
 * The archives that the kernel unpacks into memory at its start (Documentation/driver-api/early-
 * userspace/buffer-format.rst, "newc"). Several can follow each other, each compressed or not.
 */
export interface CpioEntry {
  readonly path: string
  /** Type and permission bits as in stat(2); links carry their target as data. */
  readonly mode: number
  readonly data?: Buffer
}

const DIRECTORY = 0o040755
const TRAILER: CpioEntry = { path: 'TRAILER!!!', mode: 0 }

/** Directories above the entries are made too. */
export function cpioArchive(entries: readonly CpioEntry[]): Buffer {
  const directories = [...new Set(entries.flatMap(({ path }) => parents(path)))].map((path) => ({
    path,
    mode: DIRECTORY,
  }))
  const all = [...directories, ...entries, TRAILER]
  return padded(Buffer.concat(all.map((entry, index) => record(entry, index + 1))), 512)
}

function parents(path: string): string[] {
  const parts = path.split('/').slice(0, -1)
  return parts.map((_, index) => parts.slice(0, index + 1).join('/'))
}

function record({ path, mode, data = Buffer.alloc(0) }: CpioEntry, inode: number): Buffer {
  const name = Buffer.from(`${path}\0`)
  // inode, mode, uid, gid, links, mtime, size, device (4 fields), name size, checksum
  const fields = [inode, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length, 0]
  const head = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`
  return Buffer.concat([padded(Buffer.concat([Buffer.from(head), name]), 4), padded(data, 4)])
}

/** Fills up with zeros, to a multiple of `unit` bytes. */
export function padded(bytes: Buffer, unit: number): Buffer {
  const missing = (unit - (bytes.length % unit)) % unit
  return Buffer.concat([bytes, Buffer.alloc(missing)])
}
