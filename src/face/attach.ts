import {
  type Activation,
  type Attached,
  type AttachRequest,
  attachVolume as attach,
  type Connection,
  type Detached,
  type DetachRequest,
  detachVolume as detach,
  type EncryptionFormat,
  type EncryptionMetadata,
  type Extended,
  encryptionOf,
  extendVolume as extend,
  type FirstUse,
  readConnection,
  readEncryption,
  requireDevicePath,
  type VolumeRequest,
} from '../encryptor/index.js'
import type { SecretSource } from '../keyfile/index.js'
import { type AccessOptions, accessVolume } from './volume-access.js'

export interface ExtendOptions extends AccessOptions {
  /** Path that the volume is connected at: a block device, or a link to one. */
  readonly device: string
  /** Old mappings of a multipath device are called by its WWN. */
  readonly multipathId?: string | undefined
  /** What the volume must be; what its header says when not given. */
  readonly provider?: EncryptionFormat | undefined
  /** How plain dm-crypt is opened, where it is not as it was by default before cryptsetup 2.7. */
  readonly plain?: VolumeRequest['plain']
  readonly signal?: AbortSignal | undefined
}

export interface AttachOptions extends ExtendOptions, Activation {
  /** Link that is to lead to the decrypted side. */
  readonly link?: string | undefined
  /** Your word that this volume was never used: only with it anything is ever formatted. */
  readonly firstUse?: FirstUse | undefined
  /** Told how far the full scan of a first use has come, in bytes. */
  readonly onScanProgress?: ((bytes: number, total: number) => void) | undefined
}

/**
 * Opens an encrypted volume on this host. Doing it again changes nothing.
 *
 * @throws {VolsealError} `wrong-key`, `header-damaged`, `not-blank`, `not-found`, `busy`,
 * `no-device`, `unavailable`, `io`, and all that the key manager throws
 *
 * @example
 * const { path } = await attachVolume({ device: '/dev/vdb', keyId, keyManager })
 */
export async function attachVolume(options: AttachOptions): Promise<Attached> {
  return await attach(attachRequestOf(options))
}

/** What the encryptor is asked for. */
export function attachRequestOf(options: AttachOptions): AttachRequest {
  const { link, firstUse, keyId, onScanProgress } = options
  const { discard, noReadWorkqueue, noWriteWorkqueue } = options
  const activation = { discard, noReadWorkqueue, noWriteWorkqueue }
  return { ...requestOf(options), link, firstUse, activation, keyId, onScanProgress }
}

/** Closes a volume. Doing it again changes nothing. @throws {VolsealError} `busy` */
export async function detachVolume(
  options: Omit<DetachRequest, 'path'> & { readonly device: string },
): Promise<Detached> {
  const { device, ...rest } = options
  return await detach({ path: device, ...rest })
}

/** Closes the volume of a connection; that needs neither its key nor its encryption metadata. */
export async function detachConnection(
  connectionInfo: unknown,
  signal?: AbortSignal,
): Promise<Detached | NotEncrypted> {
  const connection = readConnection(connectionInfo)
  const { encrypted, devicePath } = connection
  if (!encrypted && devicePath === undefined) return { encrypted: false, path: null }
  const device = requireDevicePath(connection)
  const { multipathId } = connection
  return await detachVolume({ device, multipathId, link: device, signal })
}

/** Makes an open volume as large as its device has become. @throws {VolsealError} */
export async function extendVolume(options: ExtendOptions): Promise<Extended> {
  return await extend(requestOf(options))
}

function requestOf(options: ExtendOptions): VolumeRequest {
  const { device, multipathId, provider, plain, cipher, keySize, signal } = options
  return {
    path: device,
    multipathId,
    format: provider,
    expected: { cipher, keySize },
    plain,
    signal,
    key: async (header) =>
      await accessVolume(options, provider === 'luks' ? 'luks' : 'luks2', header),
  }
}

/** A volume that is not encrypted: it is used as it is connected. */
export interface NotEncrypted {
  readonly encrypted: false
  readonly path: string | null
}

/** The three verbs of os-brick's encryptors. */
export interface Encryptor {
  attach(): Promise<(Attached & { readonly encrypted: true }) | NotEncrypted>
  detach(): Promise<(Detached & { readonly encrypted: true }) | NotEncrypted>
  extend(): Promise<(Extended & { readonly encrypted: true }) | NotEncrypted>
}

/** What the caller decides, and connection_info cannot. */
export type EncryptorOptions = Omit<
  AttachOptions,
  'device' | 'provider' | 'link' | 'multipathId' | 'keyManager'
>

/**
 * The encryptor of a volume that nova or cinder has connected: `connectionInfo` and `encryption` as
 * their APIs give them (os_brick/encryptors/__init__.py, `get_volume_encryptor`). It fails closed:
 * an encrypted volume that cannot be encrypted here is an error, never handed on bare.
 *
 * @throws {VolsealError} `no-device` for an unknown provider, a back-end control location, or
 * a volume without a block device; `usage`
 *
 * @example
 * const encryptor = createEncryptor(connectionInfo, encryption, keyManager)
 * const { path } = await encryptor.attach()
 */
export function createEncryptor(
  connectionInfo: unknown,
  encryption: unknown,
  keyManager: SecretSource,
  options: EncryptorOptions = {},
): Encryptor {
  const connection = readConnection(connectionInfo)
  const volume = volumeOf(connection, encryption, keyManager, options)
  if (volume === undefined) return notEncrypted(connection.devicePath ?? null)
  const { device, multipathId } = volume
  const names = { device, multipathId, link: device }
  return {
    attach: async () => ({ ...(await attachVolume(volume)), encrypted: true }),
    detach: async () => ({ ...(await detachVolume(names)), encrypted: true }),
    extend: async () => ({ ...(await extendVolume(volume)), encrypted: true }),
  }
}

/**
 * How a connected volume is attached; undefined for one that is not encrypted.
 *
 * @throws {VolsealError} `no-device`, `usage`
 */
export function volumeOf(
  connection: Connection,
  encryption: unknown,
  keyManager: SecretSource,
  options: EncryptorOptions = {},
): AttachOptions | undefined {
  const metadata = readEncryption(encryption)
  const hasKey = (options.keyId ?? options.fromToken ?? options.firstUse) !== undefined
  const provider = encryptionOf(connection, metadata, hasKey)
  if (provider === undefined) return undefined
  const device = requireDevicePath(connection)
  return {
    ...options,
    ...expectations(metadata, options),
    device,
    link: device,
    provider,
    multipathId: connection.multipathId,
    discard: options.discard ?? connection.discard,
    keyId: options.keyId ?? metadata.encryption_key_id,
    keyManager,
  }
}

/** The metadata's key size is at least that of the header: qemu makes 512 bits of 256. */
function expectations(
  { cipher, key_size: keySize }: EncryptionMetadata,
  options: EncryptorOptions,
): Pick<AttachOptions, 'cipher' | 'keySize'> {
  return { cipher: options.cipher ?? cipher, keySize: options.keySize ?? keySize }
}

function notEncrypted(path: string | null): Encryptor {
  const same = async (): Promise<NotEncrypted> => await Promise.resolve({ encrypted: false, path })
  return { attach: same, detach: same, extend: same }
}

export {
  type Attached,
  collectGarbage,
  type Detached,
  type Extended,
  formatOf,
  type GarbageReport,
  NO_KEY_ID,
  type VolumeStatus,
  volumeStatus,
} from '../encryptor/index.js'
