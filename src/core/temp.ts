import { rm } from 'node:fs/promises'
import { fromSystem } from './errors.js'

/**
 * Runs `use` with a private directory (mode 0700) and removes it with all its content afterwards,
 * whatever happens. The only importer of `tmp`; removing is our own, because `tmp` does not say
 * when it has ended.
 *
 * @param place the directory to make it in; the system's temporary directory when not given.
 */
export async function withTempDir<T>(
  use: (directory: string) => Promise<T>,
  place?: string,
): Promise<T> {
  const path = await make(place).catch((error: unknown) => {
    throw fromSystem(error, 'cannot make a temporary directory', 'set TMPDIR')
  })
  try {
    return await use(path)
  } finally {
    await rm(path, { recursive: true, force: true })
  }
}

async function make(place: string | undefined): Promise<string> {
  const { dir } = await import('tmp')
  return await new Promise((resolve, reject) => {
    const options = {
      prefix: 'volseal',
      mode: 0o700,
      ...(place === undefined ? {} : { tmpdir: place }),
    }
    dir(options, (error, path) => {
      if (error === null) resolve(path)
      else reject(error)
    })
  })
}
