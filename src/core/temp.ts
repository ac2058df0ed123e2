/**
 * Runs `use` with a private directory (mode 0700) and removes it with all its content afterwards,
 * whatever happens. The only importer of `tmp`.
 *
 * @param place the directory to make it in; the system's temporary directory when not given.
 */
export async function withTempDir<T>(
  use: (directory: string) => Promise<T>,
  place?: string,
): Promise<T> {
  const [path, remove] = await make(place)
  try {
    return await use(path)
  } finally {
    remove()
  }
}

async function make(place: string | undefined): Promise<[string, () => void]> {
  const { dir } = await import('tmp')
  return await new Promise((resolve, reject) => {
    const options = {
      prefix: 'volseal',
      mode: 0o700,
      unsafeCleanup: true,
      ...(place === undefined ? {} : { tmpdir: place }),
    }
    dir(options, (error, path, remove) => {
      if (error === null) resolve([path, remove])
      else reject(error)
    })
  })
}
