import { createCipheriv } from 'node:crypto'
import { closeSync, openSync, writeSync } from 'node:fs'
import { type FileHandle, open, readlink } from 'node:fs/promises'
import type { DiskEvent } from '../../scripts/virtual-machine/disk.js'
import {
  type Content,
  examineContent,
  type FirstUse,
  type FirstUseRequest,
  formatForFirstUse,
  lookAtDevice,
  type VolumeReport,
} from '../../src/encryptor/index.js'
import { Secret, VolsealError } from '../../src/index.js'

export const MIB = 1024 * 1024

export const PASSPHRASE = 'c0ffee'.repeat(8)

export const PLAN = {
  provider: 'luks2',
  pbkdf: 'fast',
  cipher: 'aes-xts-plain64',
  keySize: 512,
  sectorSize: 512,
} as const

/** Formats for the first use, as an attach does. */
export async function firstUse(
  path: string,
  word: Partial<FirstUse>,
  options: Partial<FirstUseRequest> = {},
): Promise<VolumeReport> {
  return await formatForFirstUse({
    device: await lookAtDevice(path),
    plan: PLAN,
    passphrase: new Secret(Buffer.from(PASSPHRASE)),
    firstUse: { volumeId: 'vol-1', evidence: 'blank', ...word },
    keyId: 'key-1',
    encoding: 'hex',
    ...options,
  })
}

/** `formatted`, or the code of the refusal. */
export async function outcome(formatting: Promise<unknown>): Promise<string> {
  return await formatting.then(
    () => 'formatted',
    (error: unknown) => (error instanceof VolsealError ? error.code : String(error)),
  )
}

export async function contentOf(path: string): Promise<Content> {
  const file = await open(path, 'r')
  try {
    return await examineContent(file, await lookAtDevice(path))
  } finally {
    await file.close()
  }
}

/** What a thick volume may hold that was another's: nothing that anybody knows, always the same. */
export function fillWithNoise(path: string, length: number): void {
  const file = openSync(path, 'r+')
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16))
  const noise = cipher.update(Buffer.alloc(length))
  writeSync(file, noise, 0, length, 0)
  closeSync(file)
}

export interface Watch {
  /** What was written and flushed, in its order. */
  readonly events: readonly DiskEvent[]
  end(): void
}

/** The two methods of a FileHandle that count. */
interface Steps {
  write: (
    this: FileHandle,
    bytes: Buffer,
    from: number,
    length: number,
    offset: number,
  ) => Promise<unknown>
  sync: (this: FileHandle) => Promise<void>
}

/** Notes what this process writes to files at a path; `before` is called ahead of each step. */
export async function watchWrites(
  path: string,
  before: (step: number) => void = () => undefined,
): Promise<Watch> {
  const steps = await fileHandleSteps()
  const { write, sync } = steps
  const events: DiskEvent[] = []
  const note = async ({ fd }: FileHandle, event: DiskEvent): Promise<void> => {
    if ((await readlink(`/proc/self/fd/${fd}`)) !== path) return
    before(events.length + 1)
    events.push(event)
  }
  steps.write = async function (bytes, from, length, offset) {
    const written = Buffer.from(bytes.subarray(from, from + length))
    await note(this, { kind: 'write', offset, bytes: written })
    return await write.call(this, bytes, from, length, offset)
  }
  steps.sync = async function () {
    await note(this, { kind: 'flush' })
    await sync.call(this)
  }
  return { events, end: () => Object.assign(steps, { write, sync }) }
}

/** What all FileHandles have their methods from. */
async function fileHandleSteps(): Promise<Steps> {
  const probe = await open('/dev/null')
  const steps: Steps = Object.getPrototypeOf(probe)
  await probe.close()
  return steps
}
