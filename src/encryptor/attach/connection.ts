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
  const data = record(info['data'] ?? {}, 'connection_info.data')
  return {
    volumeType: optional(info, 'driver_volume_type') ?? 'unknown',
    volumeId: optional(data, 'volume_id') ?? optional(info, 'serial'),
    // A file handle, as rbd's connector gives it, is no path.
    devicePath: typeof data['device_path'] === 'string' ? data['device_path'] : undefined,
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

/** JSON made from Python's objects may say it as text. */
function isTrue(value: unknown): boolean {
  return value === true || (typeof value === 'string' && /^true$/i.test(value))
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
  const reason = REASONS[volumeType] ?? 'its connection_info names no device_path'
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
  const keySize = metadata['key_size']
  return {
    provider: optional(metadata, 'provider'),
    encryption_key_id: optional(metadata, 'encryption_key_id'),
    control_location: optional(metadata, 'control_location'),
    cipher: optional(metadata, 'cipher'),
    key_size: isSaid(keySize) ? count(keySize, 'key_size', 0, 65_536) : undefined,
  }
}
