import { execFile } from 'node:child_process'
import { mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll } from 'vitest'
import {
  type FindingCode,
  type ImageReader,
  type ImageReport,
  inspectImage,
} from '../../src/inspect/index.js'
import { qemuCreate } from '../harness/run.js'

/** Real images, made by the programs that own the formats, and ways to read and damage them. */

const execute = promisify(execFile)

const directories: string[] = []
afterAll(async () => {
  for (const path of directories) await rm(path, { recursive: true })
})

/** A directory of this test file's own, gone when its tests are done. */
export async function scratchDirectory(): Promise<string> {
  const path = await mkdtemp('/tmp/inspect-')
  directories.push(path)
  return path
}

/**
 * Runs qemu-img in the directory. On a busy machine its PBKDF2 benchmark fails now and then
 * (crypto/pbkdf.c, "Unable to get accurate CPU usage"); it is asked again then.
 */
export async function qemuImg(directory: string, ...argv: string[]): Promise<string> {
  for (let tries = 1; ; tries += 1) {
    try {
      const { stdout } = await execute('qemu-img', argv, { cwd: directory })
      return stdout
    } catch (error) {
      if (tries === 10 || !String(error).includes('accurate CPU usage')) throw error
    }
  }
}

/** The virtual size that QEMU sees, in bytes. */
export async function qemuSize(directory: string, format: string, file: string): Promise<number> {
  const answer = await qemuImg(directory, 'info', '--output=json', '-f', format, file)
  return JSON.parse(answer)['virtual-size']
}

/** Makes an image with qemu-img and returns its bytes. */
export async function madeImage(directory: string, ...argv: string[]): Promise<Buffer> {
  const place = argv.map((argument) =>
    argument.startsWith('made.') ? join(directory, argument) : argument,
  )
  qemuCreate(place)
  const file = argv.find((argument) => argument.startsWith('made.'))
  return await readFile(join(directory, file ?? ''))
}

/** Runs cryptsetup with the key `key` on its standard input. */
export async function cryptsetup(...argv: string[]): Promise<void> {
  const running = execute('cryptsetup', ['--batch-mode', ...argv])
  running.child.stdin?.end('key')
  await running
}

/** An image that is a file. */
export async function inspectFile(path: string): Promise<ImageReport> {
  const file = await open(path)
  try {
    const { size } = await file.stat()
    return await inspectImage({
      size,
      async readAt(offset, length) {
        const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, offset)
        return buffer.subarray(0, bytesRead)
      },
    })
  } finally {
    await file.close()
  }
}

/** An image that is a buffer, and counts what is read of it. */
export interface CountingReader extends ImageReader {
  bytesRead: number
  reads: number
}

export function memoryImage(bytes: Buffer, size: number = bytes.length): CountingReader {
  return {
    size,
    bytesRead: 0,
    reads: 0,
    async readAt(offset, length) {
      // Real files cannot be read elsewhere, and nothing has a reason to ask for that.
      const inside = Number.isSafeInteger(offset) && offset >= 0 && offset <= size
      if (!inside) throw new RangeError(`read at byte ${offset} of ${size}`)
      const part = bytes.subarray(offset, offset + length)
      this.bytesRead += part.length
      this.reads += 1
      return part
    },
  }
}

export async function inspectBytes(bytes: Buffer): Promise<ImageReport> {
  return await inspectImage(memoryImage(bytes))
}

/** The codes of the findings of a level. */
export function codes(report: ImageReport, level = 'unsafe'): FindingCode[] {
  return report.findings.filter((found) => found.level === level).map((found) => found.code)
}
