import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { fromSystem, throwIfAborted, VolsealError } from '../core/errors.js'
import { readAt, writeAt } from '../core/files.js'
import type { Secret } from '../core/secret.js'
import { withTempDir } from '../core/temp.js'
import { type Content, damagedHeader, examineContent, HEAD_BYTES, TAIL_BYTES } from './content.js'
import {
  cryptsetup,
  DEFAULT_CIPHER,
  type FormatPlan,
  formatArgs,
  testArgs,
  XTS_KEY_BITS,
} from './cryptsetup.js'
import { type Device, mapperUuid, openExclusively } from './device.js'
import { inspectVolume, type VolumeReport } from './inspect-volume.js'

export interface FormatRequest {
  readonly device: Device
  readonly plan: FormatPlan
  readonly passphrase: Secret
  /** The device's base name again, to format over what it holds. */
  readonly force?: string | undefined
  readonly signal?: AbortSignal | undefined
}

/** The first sector goes last: until then the device is no LUKS volume to anybody. */
const FIRST_SECTOR = 4096

/** Larger than any header; the device's own size does not go into it. */
const HEADER_FILE_BYTES = 64 * 1024 * 1024

/**
 * Makes a device a LUKS volume. It must be blank by positive evidence (`content.ts`), or its base
 * name must be repeated; a device that cannot be read, that is in use, or that is an open encrypted
 * volume itself is refused whatever is repeated.
 *
 * The header is made on a file, proven to open there, and then copied: cryptsetup killed in the
 * middle would leave something that is neither blank nor LUKS. When the copying fails or is
 * interrupted, a device that was blank is made blank again.
 *
 * @throws {VolsealError} `not-blank`, `header-damaged`, `busy`, `too-small`, `no-device`, `io`
 */
export async function formatVolume(request: FormatRequest): Promise<VolumeReport> {
  const { device, signal } = request
  await refuseOpenVolume(device)
  const file = await openExclusively(device)
  try {
    const content = await examineContent(file, device)
    requireConsent(content, request)
    const header = await makeHeader(request)
    throwIfAborted(signal)
    if (content.kind !== 'blank') {
      await wipeSignatures(file, device).catch((error: unknown) => {
        throw fromSystem(error, `cannot write ${device.path}`)
      })
    }
    await putHeader(file, header, content, request)
  } finally {
    await file.close()
  }
  await cryptsetup(testArgs(device.realPath), `the new volume ${device.path} is not right`, request)
  return await inspectVolume(device.path)
}

/** H4 of the attach hazards: formatting the decrypted device destroys what is in the volume. */
async function refuseOpenVolume(device: Device): Promise<void> {
  const uuid = await mapperUuid(device)
  if (uuid?.startsWith('CRYPT-') !== true) return
  throw new VolsealError(
    'not-blank',
    `${device.path} is the decrypted side of an open volume (${uuid}); formatting it would destroy what is in the volume`,
    { hint: 'name the device that holds the volume' },
  )
}

function requireConsent(content: Content, { device, force }: FormatRequest): void {
  if (content.kind === 'blank') return
  if (force === device.name) return
  if (force !== undefined) {
    throw new VolsealError('usage', `--force ${force}: expected the device's name, ${device.name}`)
  }
  if (content.kind === 'luks-damaged') throw damagedHeader(device, content.what)
  const what =
    content.kind === 'luks'
      ? `a LUKS${content.version} volume`
      : `${content.what}, the first at byte ${content.at}`
  throw new VolsealError('not-blank', `${device.path} is not blank: it holds ${what}`, {
    hint: `nothing was changed; if it may be destroyed, repeat its name: --force ${device.name}`,
  })
}

async function makeHeader(request: FormatRequest): Promise<Buffer> {
  const { device, plan, passphrase, signal } = request
  return await withTempDir(async (directory) => {
    const path = join(directory, 'header')
    const file = await open(path, 'wx+', 0o600)
    try {
      await file.truncate(HEADER_FILE_BYTES)
      const what = `cannot make a ${plan.provider} header`
      await cryptsetup(formatArgs(path, plan), what, { passphrase, signal }).catch(
        (error: unknown) => {
          throw explainCipher(error, plan)
        },
      )
      await cryptsetup(testArgs(path), what, { passphrase, signal })
      const { payloadOffset } = await inspectVolume(path)
      requireRoom(device, payloadOffset)
      return await readAt(file.fd, 0, payloadOffset)
    } finally {
      await file.close()
    }
  })
}

/**
 * cryptsetup says "Cannot initialize device-mapper" of ciphers that it does not know, and gives 1 for
 * all that it refuses. The header is made on a new file, so the fault is in what was asked for.
 */
function explainCipher(error: unknown, { cipher, keySize }: FormatPlan): unknown {
  const ours = error instanceof VolsealError && error.code === 'io'
  if (!ours || (cipher === DEFAULT_CIPHER && keySize === XTS_KEY_BITS)) return error
  const size = keySize === undefined ? '' : ` with ${keySize} bits`
  return new VolsealError('usage', `cryptsetup makes no volume with ${cipher}${size}`, {
    hint: `without --cipher and --key-size it is ${DEFAULT_CIPHER} with ${XTS_KEY_BITS} bits (AES-256)`,
    cause: error,
  })
}

function requireRoom(device: Device, payloadOffset: number): void {
  if (device.size > payloadOffset) return
  throw new VolsealError(
    'too-small',
    `${device.path} is too small for a volume: expected more than ${payloadOffset} bytes, which the header takes, got ${device.size}`,
  )
}

/** What was there must not be found any more, nor be taken for a second header of the new volume. */
async function wipeSignatures(file: FileHandle, device: Device): Promise<void> {
  await zero(file, 0, Math.min(HEAD_BYTES, device.size))
  const tail = Math.max(HEAD_BYTES, device.size - TAIL_BYTES)
  if (tail < device.size) await zero(file, tail, device.size - tail)
  await file.sync()
}

async function putHeader(
  file: FileHandle,
  header: Buffer,
  content: Content,
  { device, signal }: FormatRequest,
): Promise<void> {
  try {
    await writeAt(file, header.subarray(FIRST_SECTOR), FIRST_SECTOR)
    await file.sync()
    throwIfAborted(signal)
    await writeAt(file, header.subarray(0, FIRST_SECTOR), 0)
    await file.sync()
  } catch (error) {
    if (content.kind === 'blank') await undo(file, Math.min(header.length, device.size))
    throw fromSystem(error, `cannot write the header of ${device.path}`)
  }
}

/** Makes what was blank blank again, as far as it goes: on a full disk the rest is still a hole. */
async function undo(file: FileHandle, length: number): Promise<void> {
  const zeros = Buffer.alloc(FIRST_SECTOR)
  for (let offset = 0; offset < length; offset += FIRST_SECTOR) {
    const there = await readAt(file.fd, offset, Math.min(FIRST_SECTOR, length - offset))
    const isZero = there.equals(zeros.subarray(0, there.length))
    if (!isZero) await writeAt(file, zeros.subarray(0, there.length), offset).catch(() => undefined)
  }
  await file.sync().catch(() => undefined)
}

async function zero(file: FileHandle, offset: number, length: number): Promise<void> {
  const zeros = Buffer.alloc(1024 * 1024)
  for (let done = 0; done < length; done += zeros.length) {
    await writeAt(file, zeros.subarray(0, Math.min(zeros.length, length - done)), offset + done)
  }
  await file.sync()
}
