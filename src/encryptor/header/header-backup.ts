import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { count, json, oneOf, record, text } from '../../core/check.js'
import { VolsealError } from '../../core/errors.js'
import type { Secret } from '../../core/secret.js'
import { type HeaderBytes, headerIn } from './header-bytes.js'

/**
 * A header's backup: a first line that names the format, the length of the head (32 bits,
 * big-endian), the head as JSON, and the header under AES-256-GCM (NIST SP 800-38D): IV, ciphertext
 * and tag. All that stands before the IV is authenticated along with it. Each file has a key of its
 * own, so that the IV is used once.
 *
 * It is encrypted because whoever has an old header and an old key has the volume, for ever.
 */
export interface BackupHead {
  readonly uuid: string
  /** LUKS on disk. */
  readonly version: 1 | 2
  /** As the volume was called. */
  readonly device: string
  /** Bytes of the device when the backup was made. */
  readonly deviceSize: number
  readonly headerBytes: number
  /** ISO 8601, UTC. */
  readonly created: string
  /** Id of the backup's own key in the key manager. */
  readonly keyId: string
  readonly cipher: 'aes-256-gcm'
}

/** A backup whose head was read; nothing in it is authenticated yet. */
export interface SealedHeader {
  readonly head: BackupHead
  /** All that is authenticated along with the header. */
  readonly context: Buffer
  readonly sealed: Buffer
}

const FIRST_LINE = Buffer.from('volseal header backup 1\n')
const MOST_HEAD_BYTES = 64 * 1024
const IV_BYTES = 12
const TAG_BYTES = 16
const KEY_BYTES = 32
const LENGTH_BYTES = 4

/** Whether a file that begins so is a header's backup. */
export function isBackup(start: Buffer): boolean {
  return start.subarray(0, FIRST_LINE.length).equals(FIRST_LINE)
}

/** The content of a backup file. */
export function sealBackup(head: BackupHead, header: Buffer, key: Secret): Buffer {
  const line = Buffer.from(JSON.stringify(head))
  const length = Buffer.alloc(LENGTH_BYTES)
  length.writeUInt32BE(line.length)
  const context = Buffer.concat([FIRST_LINE, length, line])
  const iv = randomBytes(IV_BYTES)
  const cipher = createCipheriv(head.cipher, key.bytes(), iv, { authTagLength: TAG_BYTES })
  cipher.setAAD(context)
  const parts = [context, iv, cipher.update(header), cipher.final(), cipher.getAuthTag()]
  return Buffer.concat(parts)
}

/** @throws {VolsealError} `header-damaged` for what is no backup, or not a whole one */
export function parseBackup(content: Buffer, name: string): SealedHeader {
  if (!isBackup(content)) throw damagedBackup(name, 'it does not begin as one')
  const at = FIRST_LINE.length + LENGTH_BYTES
  if (content.length < at) throw damagedBackup(name, 'it is cut short')
  const length = content.readUInt32BE(FIRST_LINE.length)
  if (length > MOST_HEAD_BYTES || content.length < at + length + IV_BYTES + TAG_BYTES) {
    throw damagedBackup(name, 'it is cut short')
  }
  const context = content.subarray(0, at + length)
  return {
    head: parseHead(context.subarray(at), name),
    context,
    sealed: content.subarray(at + length),
  }
}

const MOST = Number.MAX_SAFE_INTEGER

function parseHead(bytes: Buffer, name: string): BackupHead {
  try {
    const head = record(json(bytes.toString(), 'head'), 'head')
    return {
      uuid: text(head['uuid'], 'uuid'),
      version: count(head['version'], 'version', 1, 2) === 1 ? 1 : 2,
      device: text(head['device'], 'device'),
      deviceSize: count(head['deviceSize'], 'deviceSize', 0, MOST),
      headerBytes: count(head['headerBytes'], 'headerBytes', 0, MOST),
      created: text(head['created'], 'created'),
      keyId: text(head['keyId'], 'keyId'),
      cipher: oneOf(head['cipher'], 'cipher', ['aes-256-gcm']),
    }
  } catch (error) {
    if (!(error instanceof VolsealError)) throw error
    throw damagedBackup(name, error.message)
  }
}

/**
 * The header in a backup, authenticated and whole.
 *
 * @throws {VolsealError} `header-damaged` when a bit of it or of its head is not as it was written,
 * or the key is not the one that it was sealed with
 */
export function openBackup(
  { head, context, sealed }: SealedHeader,
  key: Secret,
  name: string,
): HeaderBytes {
  const bytes = key.length === KEY_BYTES ? unseal(context, sealed, key) : undefined
  if (bytes === undefined) {
    throw damagedBackup(name, `it was changed, or was not sealed with the key ${head.keyId}`)
  }
  const facts = headerIn(bytes)
  const fits = facts?.uuid === head.uuid && bytes.length === head.headerBytes
  if (facts === undefined || !fits) throw damagedBackup(name, 'what it holds is no whole header')
  return { bytes, facts }
}

function unseal(context: Buffer, sealed: Buffer, key: Secret): Buffer | undefined {
  const iv = sealed.subarray(0, IV_BYTES)
  const decipher = createDecipheriv('aes-256-gcm', key.bytes(), iv, { authTagLength: TAG_BYTES })
  decipher.setAAD(context)
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES))
  try {
    const plain = decipher.update(sealed.subarray(IV_BYTES, -TAG_BYTES))
    decipher.final()
    return plain
  } catch {
    return undefined
  }
}

function damagedBackup(name: string, what: string): VolsealError {
  return new VolsealError('header-damaged', `${name} is no usable header backup: ${what}`, {
    hint: 'nothing was changed; take another copy of it, or an older backup',
  })
}
