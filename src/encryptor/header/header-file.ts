import { type FileHandle, open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemCode, VolsealError } from '../../core/errors.js'
import { readAt } from '../../core/files.js'
import type { Secret } from '../../core/secret.js'
import { withTempDir } from '../../core/temp.js'
import {
  cryptsetup,
  DEFAULT_CIPHER,
  type FormatPlan,
  formatArgs,
  testArgs,
  XTS_KEY_BITS,
} from '../cryptsetup.js'
import type { Device } from '../device.js'
import { inspectVolume } from './inspect-volume.js'
import { tokenJson } from './volume-token.js'

/** What a volume says about itself; LUKS1 has no place for it. */
export interface VolumeIdentity {
  readonly volumeId: string
  /** Id of its key in the key manager. */
  readonly keyId: string
  /** How the key's bytes become the passphrase. */
  readonly encoding: 'hex' | 'text'
}

export interface HeaderRequest {
  readonly device: Device
  readonly plan: FormatPlan
  readonly passphrase: Secret
  readonly identity?: VolumeIdentity | undefined
  readonly signal?: AbortSignal | undefined
}

/** LUKS2 On-Disk Format §2.1: 48 bytes with the zero at the end. */
const LABEL_BYTES = 47

/** Larger than any header: a device may be too small for its header, the file must not. */
const LEAST_FILE_BYTES = 64 * 1024 * 1024

/**
 * Makes a volume's header on a temporary file, proves that the passphrase opens it and that it would be
 * accepted, and returns it.
 */
export async function makeHeader(request: HeaderRequest): Promise<Buffer> {
  const { device, plan } = request
  return await withTempDir(async (directory) => {
    const path = join(directory, 'header')
    const file = await open(path, 'wx+', 0o600)
    try {
      await makeAsLarge(file, Math.max(device.size, LEAST_FILE_BYTES))
      await format(path, request)
      if (plan.provider === 'luks2') await addToken(directory, path, request)
      await prove(path, request)
      const { payloadOffset, findings } = await inspectVolume(path)
      requireAcceptable(plan, findings)
      requireRoom(device, payloadOffset)
      return await readAt(file.fd, 0, payloadOffset)
    } finally {
      await file.close()
    }
  })
}

/**
 * A hole as large as the device, so that cryptsetup decides as it would on the device. Where a file
 * cannot be that large (16 TiB on ext4, `ulimit -f`), a smaller one serves: no field of a header
 * depends on the size, cryptsetup only checks that there is room.
 */
async function makeAsLarge(file: FileHandle, size: number): Promise<void> {
  try {
    await file.truncate(size)
  } catch (error) {
    const tooLarge = systemCode(error) === 'EFBIG' || systemCode(error) === 'EINVAL'
    if (!tooLarge || size <= LEAST_FILE_BYTES) throw error
    await makeAsLarge(file, Math.max(LEAST_FILE_BYTES, Math.floor(size / 2)))
  }
}

async function format(path: string, { plan, passphrase, identity, signal }: HeaderRequest) {
  const label = identity?.volumeId ?? ''
  const labelled = plan.provider === 'luks2' && label !== '' && label.length <= LABEL_BYTES
  const args = [...formatArgs(path, plan), ...(labelled ? [`--label=${label}`] : [])]
  await cryptsetup(args, whatOf(plan), { passphrase, signal }).catch((error: unknown) => {
    throw explainCipher(error, plan)
  })
}

async function addToken(directory: string, path: string, request: HeaderRequest): Promise<void> {
  const { plan, identity, signal } = request
  if (identity === undefined) return
  const token = join(directory, 'token.json')
  await writeFile(token, tokenJson({ ...identity, keyslots: [0], phase: 'ready' }))
  await cryptsetup(['token', 'import', '--json-file', token, path], whatOf(plan), { signal })
}

async function prove(path: string, { plan, passphrase, signal }: HeaderRequest): Promise<void> {
  await cryptsetup(testArgs(path), whatOf(plan), { passphrase, signal })
}

function whatOf({ provider }: FormatPlan): string {
  return `cannot make a ${provider} header`
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
    hint: DEFAULT_HINT,
    cause: error,
  })
}

const DEFAULT_HINT = `without --cipher and --key-size it is ${DEFAULT_CIPHER} with ${XTS_KEY_BITS} bits (AES-256)`

/** cryptsetup makes volumes that would never be opened here, such as with ECB. */
function requireAcceptable({ cipher }: FormatPlan, [finding]: readonly string[]): void {
  if (finding === undefined) return
  throw new VolsealError('usage', `a volume with ${cipher} would not be opened: ${finding}`, {
    hint: DEFAULT_HINT,
  })
}

function requireRoom(device: Device, payloadOffset: number): void {
  if (device.size > payloadOffset) return
  throw new VolsealError(
    'too-small',
    `${device.path} is too small for a volume: expected more than ${payloadOffset} bytes, which the header takes, got ${device.size}`,
  )
}
