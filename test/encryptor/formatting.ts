import { randomBytes } from 'node:crypto'
import { closeSync, openSync, writeSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
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

/** What a thick volume may hold that was another's: nothing that anybody knows. */
export function fillWithNoise(path: string, length: number): void {
  const file = openSync(path, 'r+')
  const noise = randomBytes(length)
  // No boot sector by chance.
  noise[510] = 0
  writeSync(file, noise, 0, length, 0)
  closeSync(file)
}

export interface Watch {
  /** What was written and flushed, in its order. */
  readonly events: readonly DiskEvent[]
  end(): void
}

/** Notes what this process writes to files at a path; `before` is called ahead of each step. */
export async function watchWrites(
  path: string,
  before: (step: number) => void = () => undefined,
): Promise<Watch> {
  const prototype = await fileHandlePrototype()
  const { write, sync } = prototype
  const events: DiskEvent[] = []
  const names = new Map<number, Promise<boolean>>()
  const isOurs = async (handle: FileHandle): Promise<boolean> => {
    const { readlink } = await import('node:fs/promises')
    const known =
      names.get(handle.fd) ?? readlink(`/proc/self/fd/${handle.fd}`).then((to) => to === path)
    names.set(handle.fd, known)
    return await known
  }
  const note = async (handle: FileHandle, event: DiskEvent): Promise<void> => {
    if (!(await isOurs(handle))) return
    before(events.length + 1)
    events.push(event)
  }
  prototype.write = async function (this: FileHandle, ...args: [Buffer, number, number, number]) {
    const [bytes, from, length, offset] = args
    await note(this, {
      kind: 'write',
      offset,
      bytes: Buffer.from(bytes.subarray(from, from + length)),
    })
    return await Reflect.apply(write, this, args)
  } as typeof write
  prototype.sync = async function (this: FileHandle) {
    await note(this, { kind: 'flush' })
    await Reflect.apply(sync, this, [])
  }
  return { events, end: () => Object.assign(prototype, { write, sync }) }
}

async function fileHandlePrototype(): Promise<FileHandle> {
  const probe = await open('/dev/null')
  const prototype: FileHandle = Object.getPrototypeOf(probe)
  await probe.close()
  return prototype
}
