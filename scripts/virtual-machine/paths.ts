import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The repository; these files run from scripts (under vitest) and from build/scripts. */
export const REPOSITORY: string = rootAbove(dirname(fileURLToPath(import.meta.url)))

/** These files as they were written, wherever they run from. */
export const SOURCES: string = join(REPOSITORY, 'scripts', 'virtual-machine')

/** What is built once and kept: `scripts/vm clean` removes it. */
export const CACHE: string = join(REPOSITORY, '.cache', 'vm')

function rootAbove(directory: string): string {
  if (existsSync(join(directory, 'package-lock.json'))) return directory
  return rootAbove(dirname(directory))
}
