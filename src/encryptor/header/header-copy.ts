import type { FileHandle } from 'node:fs/promises'
import { record } from '../../core/check.js'
import { pathOfFd } from '../../core/command.js'
import { fromSystem } from '../../core/errors.js'
import { writeAt } from '../../core/files.js'
import { openMemoryFile } from '../../core/memory-file.js'
import type { Device } from '../device.js'
import { damagedHeader } from '../format/content.js'
import { readArea } from '../format/scan.js'
import { activeSlots, keyMaterialBytes as luks1KeyMaterial } from './judge-luks1.js'
import { contentSegments, keyMaterialBytes, passphraseSlots } from './judge-luks2.js'
import { writeLuks2Header } from './luks2-header.js'
import type { FoundHeader } from './read-header.js'

/** What a header consists of, and where it goes; the rest is zeros. */
export interface HeaderCopy {
  /** In bytes: where the payload begins. */
  readonly length: number
  readonly parts: readonly HeaderPart[]
}

export interface HeaderPart {
  readonly offset: number
  readonly bytes: Buffer
}

/**
 * Everything that cryptsetup needs of an acceptable header: the header itself and the key material
 * of the keyslots that are in use. That of LUKS2 is written anew from what was judged, twice the
 * same, so that cryptsetup can neither take another copy nor read the JSON differently; and without
 * tokens, which it would try before the passphrase.
 */
export async function readHeaderCopy(
  file: FileHandle,
  device: Device,
  found: FoundHeader,
): Promise<HeaderCopy> {
  const { length, head, areas } = found.version === 1 ? planLuks1(found) : planLuks2(found, device)
  const parts = [{ offset: 0, bytes: head }]
  for (const { offset, size } of areas) {
    parts.push({ offset, bytes: await readArea(file, device, offset, size) })
  }
  return { length, parts }
}

interface CopyPlan {
  readonly length: number
  readonly head: Buffer
  readonly areas: readonly { readonly offset: number; readonly size: number }[]
}

function planLuks1({ header, bytes }: FoundHeader & { version: 1 }): CopyPlan {
  const size = luks1KeyMaterial(header.keySize)
  const areas = activeSlots(header).map(({ offset }) => ({ offset, size }))
  return { length: header.payloadOffset, head: bytes, areas }
}

function planLuks2({ header }: FoundHeader & { version: 2 }, device: Device): CopyPlan {
  const { metadata } = header
  const areas = passphraseSlots(metadata).map((slot) => ({
    offset: slot.offset,
    size: keyMaterialBytes(slot),
  }))
  const head = writeLuks2Header({ ...header, json: withoutHints(metadata.json) })
  if (head === undefined) throw damagedHeader(device, 'its JSON does not fit its area')
  return { length: contentSegments(metadata)[0]?.offset ?? 0, head, areas }
}

/** Tokens would be tried before the passphrase; flags would let discards through unasked. */
function withoutHints(json: Record<string, unknown>): Record<string, unknown> {
  const { flags: _, ...config } = record(json['config'], 'config')
  return { ...json, tokens: {}, config }
}

/**
 * Runs `use` with a name of a file that holds the header as it was judged, for cryptsetup's
 * `--header`: whatever happens to the device meanwhile, cryptsetup sees that. The file is in memory,
 * has no name of its own and ends with `use`; it is for opening, since what is written to it is lost.
 *
 * A volume whose reencryption is in progress (`judged.reencrypting`) must be opened on the device
 * itself, because cryptsetup's recovery writes to its header: use `withHeader`.
 *
 * @throws {VolsealError} `unavailable` without a tmpfs, and all that `use` throws
 */
export async function withHeaderCopy<T>(
  judged: { readonly copy: HeaderCopy },
  use: (path: string) => Promise<T>,
): Promise<T> {
  const file = await openMemoryFile()
  try {
    await fill(file, judged.copy).catch((error: unknown) => {
      throw fromSystem(error, 'cannot copy the header into memory')
    })
    return await use(pathOfFd(file.fd))
  } finally {
    await file.close()
  }
}

/** The same, with undefined for a volume that must be opened with the header on the device. */
export async function withHeader<T>(
  judged: { readonly copy: HeaderCopy; readonly reencrypting: boolean },
  use: (path: string | undefined) => Promise<T>,
): Promise<T> {
  return judged.reencrypting ? await use(undefined) : await withHeaderCopy(judged, use)
}

async function fill(file: FileHandle, { length, parts }: HeaderCopy): Promise<void> {
  await file.truncate(length)
  for (const { offset, bytes } of parts) await writeAt(file, bytes, offset)
}
