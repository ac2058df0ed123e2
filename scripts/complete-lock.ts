import { readFileSync, writeFileSync } from 'node:fs'

/**
 * Puts the optional packages of other platforms back into package-lock.json. npm drops those that
 * the registry at hand does not have, and then `npm ci` refuses the file everywhere.
 */

interface LockedPackage {
  version?: string
  cpu?: string[]
  dev?: boolean
  libc?: string[]
  optional?: boolean
  os?: string[]
  optionalDependencies?: Record<string, string>
}

const PLATFORM =
  /(android|darwin|freebsd|linux|openharmony|win32|sunos|aix|netbsd|openbsd)-([a-z0-9]+)/

const lock: { packages: Record<string, LockedPackage> } = JSON.parse(
  readFileSync('package-lock.json', 'utf8'),
)
const missing = Object.entries(lock.packages).flatMap(missingBelow)
for (const [path, entry] of missing) lock.packages[path] = entry
lock.packages = Object.fromEntries(
  Object.entries(lock.packages).toSorted(([a], [b]) => (a < b ? -1 : 1)),
)
writeFileSync('package-lock.json', `${JSON.stringify(lock, null, 2)}\n`)
console.log(`added ${missing.length} optional packages of other platforms`)

function missingBelow([parent, info]: [string, LockedPackage]): [string, LockedPackage][] {
  return Object.entries(info.optionalDependencies ?? {}).flatMap(([name, version]) => {
    const [, os, cpu] = PLATFORM.exec(name) ?? []
    const path = `node_modules/${name}`
    const isThere = path in lock.packages || `${parent}/${path}` in lock.packages
    if (isThere || os === undefined || cpu === undefined) return []
    return [[path, entryOf(name, version, os, cpu)]]
  })
}

function entryOf(name: string, version: string, os: string, cpu: string): LockedPackage {
  const libc = /musl/.test(name) ? 'musl' : 'glibc'
  const entry: LockedPackage = { version, cpu: [cpu], dev: true }
  if (os === 'linux' && /gnu|musl/.test(name)) entry.libc = [libc]
  return { ...entry, optional: true, os: [os] }
}
