import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32c } from '../../../src/inspect/crc32c.js'
import {
  type Finding,
  type ImageReader,
  type ImageReport,
  inspectImage,
} from '../../../src/inspect/index.js'
import { output, succeeds } from '../../harness/program.js'
import { hold, type Target } from '../target.js'

const MOST_READ = 4 * 1024 * 1024
const START_BYTES = 64 * 1024
const ISO = '/usr/lib/grub-rescue/grub-rescue-cdrom.iso'

export const IMAGE_TARGETS: readonly Target[] = [
  {
    name: 'inspect',
    seeds: async (directory) => await makeImages(directory, IMAGES),
    run: inspect,
  },
  {
    name: 'inspect-checksums',
    seeds: async (directory) => await makeImages(directory, CHECKSUMMED),
    run: async (bytes) => {
      await inspect(withChecksums(bytes))
    },
  },
]

/** What qemu-img is told to make, the file name apart. */
const CHECKSUMMED: readonly (readonly string[])[] = [
  ['vpc'],
  ['vpc', '-o', 'subformat=fixed'],
  ['vhdx'],
]
const IMAGES: readonly (readonly string[])[] = [
  ...CHECKSUMMED,
  ['qcow2'],
  ['qcow2', '-o', 'compat=0.10'],
  ['qcow2', '-o', 'extended_l2=on,lazy_refcounts=on', '-b', 'base.raw', '-F', 'raw'],
  ['qcow2', '-o', 'data_file=data.raw'],
  ['vmdk'],
  ['vmdk', '-o', 'subformat=streamOptimized'],
  ['vmdk', '-o', 'subformat=monolithicFlat'],
  ['vdi'],
  ['qed'],
  ['parallels'],
  ['luks', '--object', 'secret,id=key,data=key', '-o', 'key-secret=key,iter-time=10'],
]

async function makeImages(
  directory: string,
  rows: readonly (readonly string[])[],
): Promise<Buffer[]> {
  const images: Buffer[] = [Buffer.alloc(4096), await startOfIso()]
  if (!(await succeeds(['qemu-img', '--version']))) return images
  await output(['qemu-img', 'create', '-q', '-f', 'raw', 'base.raw', '1M'], { cwd: directory })
  for (const [index, [format = '', ...options]] of rows.entries()) {
    const name = `${index}.img`
    const argv = ['qemu-img', 'create', '-q', '-f', format, ...options, name, '1M']
    // One that this qemu-img cannot make is one seed less.
    if (await succeeds(argv, { cwd: directory })) images.push(await readFile(join(directory, name)))
  }
  return images
}

async function startOfIso(): Promise<Buffer> {
  const iso = await readFile(ISO).catch(() => Buffer.alloc(START_BYTES))
  return iso.subarray(0, START_BYTES)
}

async function inspect(bytes: Buffer): Promise<void> {
  const report = await inspectImage(countingReader(bytes))
  const { size, virtualSize, findings } = report
  hold(size === bytes.length, 'the report says the size')
  hold(virtualSize === null || Number.isSafeInteger(virtualSize), 'the virtual size is a number')
  hold((virtualSize ?? 0) >= 0, 'the virtual size is not negative')
  hold(findings.every(isPrintable), 'findings are printable')
  hold(isJsonSafe(report), 'the report is the same as JSON')
}

/** Counts what is asked for, whether or not it is there: it would be allocated. */
function countingReader(bytes: Buffer): ImageReader {
  let asked = 0
  return {
    size: bytes.length,
    async readAt(offset, length) {
      hold(Number.isSafeInteger(offset) && offset >= 0, `the offset ${offset} is one`)
      hold(Number.isSafeInteger(length) && length >= 0, `the length ${length} is one`)
      asked += length
      hold(asked <= MOST_READ, `at most ${MOST_READ} bytes are read`)
      return await Promise.resolve(bytes.subarray(offset, offset + length))
    },
  }
}

function isPrintable({ message }: Finding): boolean {
  return message.length < 400 && /^[ -~…]+$/.test(message)
}

function isJsonSafe(report: ImageReport): boolean {
  const text = JSON.stringify(report)
  return JSON.stringify(JSON.parse(text)) === text && !text.includes('null,null')
}

/**
 * With the checksums of VHD and VHDX as they should be: or else nearly every change is found by
 * them, and nothing behind them is ever tried.
 */
function withChecksums(bytes: Buffer): Buffer {
  for (const at of [0, bytes.length - 512]) sumVhd(bytes, at, 512, 'conectix', 64)
  sumVhd(bytes, 512, 1024, 'cxsparse', 36)
  for (const at of [64, 128]) sumVhdx(bytes, at * 1024, 4096, 'head')
  for (const at of [192, 256]) sumVhdx(bytes, at * 1024, 65_536, 'regi')
  return bytes
}

/** One's complement of the sum of all bytes, as if the field itself were zero. */
function sumVhd(bytes: Buffer, at: number, length: number, cookie: string, field: number): void {
  const part = structure(bytes, at, length, cookie)
  if (part === undefined) return
  part.writeUInt32BE(0, field)
  part.writeUInt32BE(~part.reduce((sum, byte) => sum + byte, 0) >>> 0, field)
}

/** CRC-32C, as if the field itself were zero. */
function sumVhdx(bytes: Buffer, at: number, length: number, signature: string): void {
  const part = structure(bytes, at, length, signature)
  if (part === undefined) return
  part.writeUInt32LE(0, 4)
  part.writeUInt32LE(crc32c(part), 4)
}

function structure(bytes: Buffer, at: number, length: number, magic: string): Buffer | undefined {
  if (at < 0 || bytes.length < at + length) return undefined
  const part = bytes.subarray(at, at + length)
  return part.toString('latin1', 0, magic.length) === magic ? part : undefined
}
