import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { runCommand } from './command.js'
import { systemCode, VolsealError } from './errors.js'
import type { Secret } from './secret.js'
import { withTempDir } from './temp.js'

const POLL_MS = 5

/**
 * Runs `use` with the path of a FIFO from which one program can read the secret once. For qemu,
 * which opens its secrets by name and so cannot take Node's standard input (a socket). A FIFO holds
 * nothing on disk: the bytes go through the kernel from us to the reader.
 */
export async function withSecretPipe<T>(
  secret: Secret,
  use: (path: string) => Promise<T>,
): Promise<T> {
  return await withTempDir(async (directory) => {
    const path = join(directory, 'secret')
    const made = await runCommand('mkfifo', ['-m', '600', path])
    if (made.exitCode !== 0) throw new VolsealError('io', `cannot make a FIFO in ${directory}`)
    const done = new AbortController()
    const feeding = feed(path, secret, done.signal)
    try {
      return await use(path)
    } finally {
      done.abort()
      await feeding
    }
  })
}

/**
 * Writes the secret as soon as somebody has opened the other end. Opening does not block: a thread
 * that waits for a reader that never comes could not be interrupted.
 */
async function feed(path: string, secret: Secret, done: AbortSignal): Promise<void> {
  while (!done.aborted) {
    try {
      const pipe = await open(path, constants.O_WRONLY | constants.O_NONBLOCK)
      await writeAndClose(pipe, secret)
      return
    } catch (error) {
      // ENXIO: nobody reads yet (fifo(7)). EPIPE: the reader is gone, and has its own error.
      if (systemCode(error) !== 'ENXIO') return
      await sleep(POLL_MS)
    }
  }
}

async function writeAndClose(pipe: FileHandle, secret: Secret): Promise<void> {
  try {
    await pipe.writeFile(secret.bytes())
  } finally {
    await pipe.close()
  }
}
