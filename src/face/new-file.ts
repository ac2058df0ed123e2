import { constants } from 'node:fs'
import { type FileHandle, link, lstat, open, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { pathOfFd, runCommand } from '../core/command.js'
import { fromSystem, systemCode, throwIfAborted, VolsealError } from '../core/errors.js'
import { syncDirectory } from '../core/files.js'
import { O_TMPFILE } from '../core/memory-file.js'
import { temporaryBeside } from '../core/temporary-name.js'

/** A file that is there whole or not at all: it gets its name last. */
export interface NewFile {
  readonly file: FileHandle
  /**
   * Flushes it and gives it its name; false where that cannot be done, and it must be made in another way.
   *
   * @throws {VolsealError} `busy` when there is one of that name; the signal's reason
   */
  keep(signal?: AbortSignal): Promise<boolean>
  /** Closes it, and removes it unless it was kept. */
  close(): Promise<void>
}

/**
 * Without a name until it is kept, in the directory of the target: nobody who may write there can reach
 * it, and a kill leaves nothing. Undefined on a file system that knows no such files (NFS, FUSE).
 */
export async function beginNameless(target: string): Promise<NewFile | undefined> {
  const flags = O_TMPFILE | constants.O_RDWR
  const file = await open(dirname(target), flags, 0o600).catch(() => undefined)
  if (file === undefined) return undefined
  return {
    file,
    async keep(signal) {
      await flush(file, target, signal)
      // linkat(2) with AT_SYMLINK_FOLLOW, which Node's link is not; nor has every ln a -L, or is there.
      const args = ['-L', '-T', '--', pathOfFd(file.fd), target]
      const linked = await runCommand('ln', args).catch(() => undefined)
      if (linked?.exitCode === 0) {
        await syncPlace(target)
        return true
      }
      if (await isThere(target)) throw madeMeanwhile(target)
      return false
    },
    async close() {
      await file.close()
    },
  }
}

/** Under a name beside the target, which says whose it is. */
export async function beginNamed(target: string): Promise<NewFile> {
  const path = await temporaryBeside(target)
  const file = await open(path, 'wx+', 0o600).catch((error: unknown) => {
    throw fromSystem(error, `cannot write ${target}`)
  })
  return {
    file,
    async keep(signal) {
      await flush(file, target, signal)
      try {
        await link(path, target)
      } catch (error) {
        if (systemCode(error) === 'EEXIST') throw madeMeanwhile(target)
        throw fromSystem(error, `cannot write ${target}`)
      }
      await requireSame(file, target)
      await syncPlace(target)
      return true
    },
    async close() {
      await unlink(path).catch(() => undefined)
      await file.close()
    },
  }
}

async function flush(file: FileHandle, target: string, signal?: AbortSignal): Promise<void> {
  throwIfAborted(signal)
  await file.sync().catch((error: unknown) => {
    throw fromSystem(error, `cannot write ${target}`)
  })
  throwIfAborted(signal)
}

async function syncPlace(target: string): Promise<void> {
  await syncDirectory(dirname(target)).catch((error: unknown) => {
    throw fromSystem(error, `cannot write ${target}`)
  })
}

/** Who may write to the directory could have put another file under the name that was linked. */
async function requireSame(file: FileHandle, target: string): Promise<void> {
  const [ours, named] = await Promise.all([file.stat(), lstat(target)])
  if (ours.dev === named.dev && ours.ino === named.ino) return
  await unlink(target)
  throw new VolsealError('busy', `${target}: somebody else put another file in its place`, {
    hint: 'write it where nobody else may write',
  })
}

async function isThere(path: string): Promise<boolean> {
  return await lstat(path).then(
    () => true,
    () => false,
  )
}

function madeMeanwhile(target: string): VolsealError {
  return new VolsealError('busy', `${target} was made by somebody else meanwhile`)
}
