import type { FileHandle } from 'node:fs/promises'
import { fromSystem, retold, throwIfAborted, VolsealError } from '../../core/errors.js'
import { readAt, writeAt } from '../../core/files.js'
import type { Device } from '../device.js'
import { encodeMarker } from './marker.js'

/** What formatting began from: what is left when it does not come to its end depends on it. */
export type Ground =
  /** Made blank again. */
  | 'blank'
  /** Left with the marker. */
  | 'begun'
  /** Lost, at the caller's word: left with the marker, if it has one. */
  | 'overwritten'

export interface Putting {
  readonly file: FileHandle
  readonly device: Device
  readonly header: Buffer
  readonly ground: Ground
  /** Makes the formatting one that can be gone on with, for this volume alone. */
  readonly volumeId?: string | undefined
  readonly signal?: AbortSignal | undefined
  /** Proves the volume on the device; when it fails, the formatting has failed. */
  readonly prove: () => Promise<void>
}

/** A disk writes so much whole or not at all: the device is a LUKS volume with the last write only. */
const FIRST_SECTOR = 512

/** Holes stay holes where nothing was written: on a full disk there may be no room for zeros. */
const BLOCK = 4096

/**
 * Writes a header: a marker first, then all of the header but its first sector, and that one last,
 * each on disk before the next. Killed at any instant, it leaves the device as it was, or with a
 * marker, or a volume.
 *
 * @throws {VolsealError} `io`, `busy` when somebody else writes to the device, and the signal's reason
 */
export async function putHeader(putting: Putting): Promise<void> {
  const { file, header, volumeId, signal } = putting
  const mark =
    volumeId === undefined ? undefined : encodeMarker({ volumeId, headerBytes: header.length })
  await orGiveUp(putting, mark, async () => {
    if (mark !== undefined) await writeDown(file, mark, 0)
    throwIfAborted(signal)
    await writeDown(file, header.subarray(FIRST_SECTOR), FIRST_SECTOR)
    throwIfAborted(signal)
  })
  if (mark !== undefined) await requireOwn(putting, mark)
  await orGiveUp(putting, mark, async () => {
    await writeDown(file, header.subarray(0, FIRST_SECTOR), 0)
    await putting.prove()
  })
}

async function writeDown(file: FileHandle, bytes: Buffer, offset: number): Promise<void> {
  await writeAt(file, bytes, offset)
  await file.sync()
}

/** Programs that do not ask for exclusive access can write all the same: then nothing is ours. */
async function requireOwn({ file, device }: Putting, mark: Buffer): Promise<void> {
  const there = await readAt(file.fd, 0, mark.length)
  if (there.equals(mark)) return
  throw new VolsealError('busy', `${device.path} was written to by somebody else just now`, {
    hint: 'find out who else uses it, then look at what it holds',
  })
}

/** Undoes what can be undone when the work fails, and says of the rest how to go on. */
async function orGiveUp(
  putting: Putting,
  mark: Buffer | undefined,
  work: () => Promise<void>,
): Promise<void> {
  const { device, volumeId } = putting
  try {
    await work()
  } catch (cause) {
    const error = fromSystem(cause, `cannot write the header of ${device.path}`)
    if (await undo(putting, mark)) throw error
    const state =
      volumeId === undefined
        ? `the header of ${device.path} may be partly written`
        : `${device.path} may be left as begun for the volume ${volumeId}`
    throw retold(error, { hint: `${state}: the same command again completes it` })
  }
}

/** Whether the device is blank again, as it was. */
async function undo(putting: Putting, mark: Buffer | undefined): Promise<boolean> {
  try {
    if (mark !== undefined) await putBackMark(putting, mark)
    if (putting.ground !== 'blank') return false
    await makeBlank(putting, mark)
    return true
  } catch {
    return false
  }
}

/** Parts of a volume are nobody's; behind a marker they are ours. */
async function putBackMark({ file, header }: Putting, mark: Buffer): Promise<void> {
  const first = await readAt(file.fd, 0, FIRST_SECTOR)
  if (first.equals(header.subarray(0, FIRST_SECTOR))) await writeDown(file, mark, 0)
}

/** The marker goes last, as it came first; without one, the sector that makes it a volume goes first. */
async function makeBlank(
  { file, device, header }: Putting,
  mark: Buffer | undefined,
): Promise<void> {
  if (mark === undefined) await zero(file, 0, FIRST_SECTOR)
  await zero(file, FIRST_SECTOR, Math.min(header.length, device.size))
  await file.sync()
  await zero(file, 0, FIRST_SECTOR)
  await file.sync()
}

/** Writes zeros from one byte to another, wherever something else lies. */
async function zero(file: FileHandle, from: number, to: number): Promise<void> {
  const zeros = Buffer.alloc(BLOCK)
  for (let offset = from; offset < to; offset = nextBlock(offset)) {
    const there = await readAt(file.fd, offset, Math.min(nextBlock(offset), to) - offset)
    const blank = zeros.subarray(0, there.length)
    if (!there.equals(blank)) await writeAt(file, blank, offset)
  }
}

function nextBlock(offset: number): number {
  return (Math.floor(offset / BLOCK) + 1) * BLOCK
}
