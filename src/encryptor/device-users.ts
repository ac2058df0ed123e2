import { readdir, readFile, stat } from 'node:fs/promises'

/** Who uses a block device, in words: what lies on it, what is mounted from it, who has it open. */
export async function deviceUsers(number: string | undefined): Promise<string[]> {
  const claims = await deviceClaims(number)
  return claims.length > 0 || number === undefined ? claims : await openers(number)
}

/** The same without who merely has it open. */
export async function deviceClaims(number: string | undefined): Promise<string[]> {
  if (number === undefined) return []
  return [...(await holders(number)), ...(await mountPoints(number)), ...(await swaps(number))]
}

async function holders(number: string): Promise<string[]> {
  const names = await readdir(`/sys/dev/block/${number}/holders`).catch(() => [])
  return await Promise.all(names.map(holderName))
}

/** A mapping by its own name, which says more than `dm-3`. */
async function holderName(kernelName: string): Promise<string> {
  const path = `/sys/class/block/${kernelName}/dm/name`
  const name = await readFile(path, 'utf8').catch(() => '')
  return name === '' ? `/dev/${kernelName}` : `/dev/mapper/${name.trim()}`
}

async function mountPoints(number: string): Promise<string[]> {
  const mounts = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '')
  // proc(5): the third field is major:minor, the fifth the mount point.
  return mounts
    .split('\n')
    .map((line) => line.split(' '))
    .filter((fields) => fields[2] === number)
    .map((fields) => `the mount ${fields[4] ?? ''}`)
}

/** proc(5), /proc/swaps: a line of headings, then the path first. */
async function swaps(number: string): Promise<string[]> {
  const lines = (await readFile('/proc/swaps', 'utf8').catch(() => '')).split('\n').slice(1)
  const paths = lines.map((line) => line.split(/\s/)[0] ?? '').filter(Boolean)
  const isIt = await Promise.all(paths.map(async (path) => await isDevice(path, number)))
  return paths.filter((_, index) => isIt[index]).map(() => 'swap')
}

async function isDevice(path: string, number: string): Promise<boolean> {
  const stats = await stat(path).catch(() => undefined)
  return stats?.isBlockDevice() === true && deviceNumber(stats.rdev) === number
}

/** Processes that have it open; those of other users are seen by root only. */
async function openers(number: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(
    pids
      .filter((pid) => Number(pid) !== process.pid)
      .map(async (pid) => ((await hasOpen(pid, number)) ? [await processName(pid)] : [])),
  )
  return found.flat()
}

async function hasOpen(pid: string, number: string): Promise<boolean> {
  const fds = await readdir(`/proc/${pid}/fd`).catch(() => [])
  for (const fd of fds) if (await isDevice(`/proc/${pid}/fd/${fd}`, number)) return true
  return false
}

async function processName(pid: string): Promise<string> {
  const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')
  return `process ${pid} (${name.trim()})`
}

/** Linux's encoding of a device number (gnu_dev_major and gnu_dev_minor of glibc). */
export function deviceNumber(rdev: number): string {
  const number = BigInt(rdev)
  const major = ((number >> 8n) & 0xfffn) | ((number >> 32n) & 0xfffff000n)
  const minor = (number & 0xffn) | ((number >> 12n) & 0xffffff00n)
  return `${major}:${minor}`
}
