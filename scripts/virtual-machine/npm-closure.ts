import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { REPOSITORY } from './paths.js'

interface LockedPackage {
  readonly version?: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

/** Test files that run inside the machine need these beside the package's own dependencies. */
const TEST_PACKAGES = ['vitest']

/**
 * The folders of node_modules that the package and its tests load, by package-lock.json: a part of
 * what is installed here, since compilers and linters are not needed inside.
 */
export function npmClosure(): string[] {
  const text = readFileSync(join(REPOSITORY, 'package-lock.json'), 'utf8')
  const { packages }: { packages: Readonly<Record<string, LockedPackage>> } = JSON.parse(text)
  const found = new Set<string>()
  const visit = (name: string, from: string): void => {
    const path = resolve(packages, name, from)
    if (path === undefined || found.has(path) || !existsSync(join(REPOSITORY, path))) return
    found.add(path)
    for (const next of needsOf(packages[path])) visit(next, path)
  }
  for (const name of [...needsOf(packages['']), ...TEST_PACKAGES]) visit(name, '')
  return [...found].toSorted()
}

function needsOf(locked: LockedPackage | undefined): string[] {
  // Optional ones are, among others, the native parts for this platform; others are not installed.
  return Object.keys({ ...locked?.dependencies, ...locked?.optionalDependencies })
}

/** As Node finds a package: in the node_modules of the folder, then of those above it. */
function resolve(
  packages: Readonly<Record<string, LockedPackage>>,
  name: string,
  from: string,
): string | undefined {
  const path = `${from === '' ? '' : `${from}/`}node_modules/${name}`
  if (packages[path] !== undefined) return path
  if (from === '') return undefined
  const above = from.lastIndexOf('/node_modules/')
  return resolve(packages, name, above === -1 ? '' : from.slice(0, above))
}
