import type { Stats } from 'node:fs'
import { VolsealError } from './errors.js'

/** What something in the file system is, in the words of an error. */
export type FileKind =
  | 'a file'
  | 'a block device'
  | 'a FIFO'
  | 'a socket'
  | 'a directory'
  | 'a terminal'
  | 'a character device'

/** Linux's admin-guide/devices.txt: 4 and 5 are terminals, 136 to 143 pseudo terminals. */
const TERMINAL_MAJORS: readonly number[] = [4, 5, 136, 137, 138, 139, 140, 141, 142, 143]

export function kindOf(stats: Stats): FileKind {
  if (stats.isFile()) return 'a file'
  if (stats.isBlockDevice()) return 'a block device'
  if (stats.isFIFO()) return 'a FIFO'
  if (stats.isSocket()) return 'a socket'
  if (stats.isDirectory()) return 'a directory'
  return TERMINAL_MAJORS.includes(stats.rdev >> 8) ? 'a terminal' : 'a character device'
}

/** What can be read to its end. /dev/null, /dev/zero and the like have no end, or nothing. */
const READABLE: readonly FileKind[] = ['a file', 'a block device', 'a FIFO', 'a socket']

/** @throws {VolsealError} `usage` for what is not to be read; `more` kinds are besides the usual ones */
export function requireReadable(stats: Stats, name: string, ...more: FileKind[]): void {
  const kind = kindOf(stats)
  if (READABLE.includes(kind) || more.includes(kind)) return
  throw new VolsealError('usage', `${name}: expected a file, got ${kind}`)
}
