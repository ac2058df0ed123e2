import { count, record, text } from '../../core/check.js'
import { VolsealError } from '../../core/errors.js'
import type { EncryptionMetadata } from './encryption.js'

/** What an encryptor takes from cinder's connection_info; the rest, passwords among it, it drops. */
export interface Connection {
  /** Such as `iscsi`, `rbd`, `nfs`. */
  readonly volumeType: string
  readonly volumeId: string | undefined
  /** Where the connector has put the volume: a link, whose target an attach swaps. */
  readonly devicePath: string | undefined
  /** WWN of a multipath device: what mappings were called by before 2016. */
  readonly multipathId: string | undefined
  readonly encrypted: boolean
  /** Whether the guest's discards are to reach the storage. */
  readonly discard: boolean
}

/**
 * Reads connection_info as cinder and nova hand it on.
 *
 * @throws {VolsealError} `usage` for what is none
 */
export function readConnection(value: unknown): Connection {
  const info = record(value, 'connection_info')
  const data = record(info['data'], 'connection_info.data')
  return {
    volumeType: optional(info, 'driver_volume_type') ?? 'unknown',
    volumeId: optional(data, 'volume_id') ?? optional(info, 'serial'),
    devicePath: devicePathOf(data['device_path']),
    multipathId: optional(data, 'multipath_id'),
    encrypted: isTrue(data['encrypted']),
    discard: isTrue(data['discard']),
  }
}

/** Null and the empty text are Python's and cinder's ways to say nothing. */
function isSaid(value: unknown): boolean {
  return value !== undefined && value !== null && value !== ''
}

function optional(source: Record<string, unknown>, name: string): string | undefined {
  return isSaid(source[name]) ? text(source[name], name) : undefined
}

/** A file handle, as rbd's connector gives it, is no path. */
function devicePathOf(value: unknown): string | undefined {
  if (typeof value !== 'string' || value === '') return undefined
  if (/^\/[^\p{Cc}]{1,4094}$/u.test(value)) return value
  throw new VolsealError(
    'usage',
    `device_path: expected an absolute path without control characters, got ${JSON.stringify(value.slice(0, 80))}`,
  )
}

/** What is not plainly "no" is "yes": taking a volume for unencrypted would store clear text. */
function isTrue(value: unknown): boolean {
  const no = [undefined, null, false, 0, '']
  return (
    !no.some((each) => each === value) && !(typeof value === 'string' && /^false$/i.test(value))
  )
}

/** Why there is no block device, by driver_volume_type; os-brick says only that it is not supported. */
const REASONS: Readonly<Record<string, string>> = {
  rbd: 'its connector gives no block device unless do_local_attach is set; nova lets QEMU decrypt it instead (--libvirt-secret)',
  nfs: 'it is a file, which cinder encrypts inside of qcow2 and QEMU opens',
  glusterfs: 'it is a file, and no block device',
  quobyte: 'it is a file, and no block device',
  smbfs: 'it is a file, and no block device',
  gpfs: 'it is a file, and no block device',
  vmdk: 'its hypervisor has it, and this host does not',
  vstorage: 'it is a file, and no block device',
  sheepdog: 'QEMU speaks its protocol itself, and this host has no block device',
}

/**
 * The path at which a volume can be encrypted.
 *
 * @throws {VolsealError} `no-device`, as os-brick refuses (VolumeEncryptionNotSupported)
 */
export function requireDevicePath({ devicePath, volumeType, volumeId }: Connection): string {
  if (devicePath !== undefined && devicePath !== '') return devicePath
  const known = Object.hasOwn(REASONS, volumeType) ? REASONS[volumeType] : undefined
  const reason = known ?? 'its connection_info names no device_path'
  throw new VolsealError(
    'no-device',
    `Volume encryption is not supported for ${volumeType} volume ${volumeId ?? 'unknown'}: ${reason}`,
  )
}

/**
 * Reads encryption metadata; what is null or missing is left out.
 *
 * @throws {VolsealError} `usage`
 */
export function readEncryption(value: unknown): EncryptionMetadata {
  const metadata = record(value, 'encryption')
  if ('encryption' in metadata) {
    throw new VolsealError(
      'usage',
      'encryption: expected what is in it, got the wrapping "encryption"',
    )
  }
  const keySize = metadata['key_size']
  return {
    provider: optional(metadata, 'provider'),
    encryption_key_id: optional(metadata, 'encryption_key_id'),
    control_location: optional(metadata, 'control_location'),
    cipher: optional(metadata, 'cipher'),
    key_size: isSaid(keySize) ? count(keySize, 'key_size', 0, 65_536) : undefined,
  }
}
