import { randomBytes } from 'node:crypto'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { systemCode, VolsealError } from './errors.js'

/**
 * A process, named so that it is known for good whether it is gone: a pid alone is reused, within
 * one boot and after the next. The name is `pid-start-boot-namespace` (proc(5): pid, starttime of
 * /proc/PID/stat, /proc/sys/kernel/random/boot_id, the inode of /proc/PID/ns/pid), fit for a file
 * name. A pid of another pid namespace (a container that shares the store) tells nothing, so such
 * a process always counts as running.
 */

const OWNED = /^[0-9a-f]{12}\.(\d+-\d+-[0-9a-f]{32}-\d+)\./

/** A name for a file of this process, with that end, which no other file has or ever had. */
export async function ownedFileName(end: string): Promise<string> {
  return `${randomBytes(6).toString('hex')}.${await ownProcessName()}.${end}`
}

/** The process that a file with such a name and that end belongs to; undefined for other files. */
export function ownerOf(file: string, end: string): string | undefined {
  const [beginning = '', owner] = OWNED.exec(file) ?? []
  return file === `${beginning}${end}` ? owner : undefined
}

let own: Promise<string> | undefined

/** The name of this process. @throws {VolsealError} `unavailable` without /proc */
export async function ownProcessName(): Promise<string> {
  own ??= makeOwnName()
  return await own
}

async function makeOwnName(): Promise<string> {
  try {
    const [stat, boot, namespace] = await Promise.all([
      readFile('/proc/self/stat', 'utf8'),
      readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
      readlink('/proc/self/ns/pid'),
    ])
    const digits = /\d+/.exec(namespace)?.[0] ?? '0'
    return [process.pid, parseStat(stat).start, boot.replaceAll(/[^0-9a-f]/g, ''), digits].join('-')
  } catch (error) {
    throw new VolsealError('unavailable', 'this needs the /proc of Linux', {
      cause: error,
    })
  }
}

/** Whether it is a process of this computer since it was started. */
export async function isOfThisBoot(name: string): Promise<boolean> {
  return name.split('-')[2] === (await ownProcessName()).split('-')[2]
}

/** Whether the process of that name has certainly ended. */
export async function isGone(name: string): Promise<boolean> {
  const [pid = '', start, boot, namespace] = name.split('-')
  const [, , ownBoot, ownNamespace] = (await ownProcessName()).split('-')
  if (boot !== ownBoot) return true
  if (namespace !== ownNamespace) return false
  try {
    const stat = parseStat(await readFile(`/proc/${pid}/stat`, 'utf8'))
    return stat.start !== start || (stat.zombie && (await isLastThread(pid)))
  } catch (error) {
    if (isNoProcess(error)) return true
    throw error
  }
}

/** Whether this process would see it end; of other computers and pid namespaces nothing is known here. */
export async function isWatched(name: string): Promise<boolean> {
  const [, , boot, namespace] = name.split('-')
  const [, , ownBoot, ownNamespace] = (await ownProcessName()).split('-')
  return boot === ownBoot && namespace === ownNamespace
}

/** The pid in a process name. */
export function pidOf(name: string): string {
  return name.split('-')[0] ?? ''
}

/**
 * A killed process that nobody waits for stays as a zombie, in a container without an init for
 * ever. While another of its threads has not left the kernel, it may still end a rename.
 */
async function isLastThread(pid: string): Promise<boolean> {
  return (await readdir(`/proc/${pid}/task`)).length <= 1
}

/** The fields behind the command name, which may itself hold spaces and parentheses. */
function parseStat(stat: string): { start: string; zombie: boolean } {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return { start: fields[19] ?? '', zombie: fields[0] === 'Z' || fields[0] === 'X' }
}

function isNoProcess(error: unknown): boolean {
  return systemCode(error) === 'ENOENT' || systemCode(error) === 'ESRCH'
}
