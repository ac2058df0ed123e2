import { VolsealError } from '../core/errors.js'
import {
  type Abandonment,
  abandonKey,
  judgeDevice,
  opensVolume,
  type Pbkdf,
  type Replacement,
  replaceKey,
  wrongKey,
} from '../encryptor/index.js'
import type { HeaderBackup } from './header-backup.js'
import {
  type ChosenKey,
  type KeyChangeOptions,
  keepHeader,
  keyOf,
  type LookedAt,
  lookAtVolume,
} from './key-change.js'
import { createNewKey, namedNewKeys } from './new-volume-key.js'

/** What is handed to the one who must know of the new key. */
export interface NewVolumeKey {
  readonly newKeyId: string
  readonly oldKeyId: string
  readonly uuid: string
}

export interface AbortRekeyOptions extends KeyChangeOptions {
  /** The key that is to open the volume; one is made when none is named. */
  readonly newKeyId?: string | undefined
}

export interface RekeyOptions extends AbortRekeyOptions {
  /** `fast` for a key that is known to be random, else `default`. */
  readonly pbkdf?: Pbkdf | undefined
  /**
   * Takes the new key over, such as into Cinder's database; the old key stays until it has returned.
   * After a kill it may be called again with the same key.
   */
  readonly commit?: ((key: NewVolumeKey) => Promise<void>) | undefined
}

/** The body of `luks rekey --json`. */
export interface RekeyResult {
  readonly device: string
  readonly uuid: string
  readonly state: Replacement['state'] | Abandonment['state'] | 'repaired' | 'reencrypted'
  readonly oldKeyId: string
  /** Null when there was no new key to abort. */
  readonly newKeyId: string | null
  /** Slots of the key that opens the volume now. */
  readonly keyslots: readonly number[]
  readonly removed: readonly number[]
  /** Slots of other keys, which were left alone. */
  readonly others: readonly number[]
  /** Null when nothing was changed, or none was wanted. */
  readonly backup: HeaderBackup | null
}

/**
 * Gives a volume another key: adds it, proves it, has it taken over, and only then removes the old
 * one. Killed or failed in the middle, the same call goes on, and `abortRekey` undoes it: which keys
 * open the volume says all that is needed. The volume may be open.
 *
 * Whoever kept an old header and the old key can still open the volume: only another volume key
 * (`reencryptVolume`) shuts them out.
 *
 * @throws {VolsealError} `wrong-key`, `too-small` when no keyslot is free, what `commit` throws, and
 * all that the key manager throws
 *
 * @example
 * await rekeyVolume({ device: '/dev/vdb', keyId, keyManager, backup, commit: async ({ newKeyId }) => {
 *   await database.setKeyId(volumeId, newKeyId)
 * } })
 */
export async function rekeyVolume(options: RekeyOptions): Promise<RekeyResult> {
  const volume = await lookAtVolume(options.device)
  const oldKey = await keyOf({ ...options, pbkdf: undefined }, volume, options.keyId)
  try {
    const { id, isNew } = await chooseNewKey(options, volume, oldKey)
    const newKey = await keyOf(options, volume, id)
    try {
      return await replace(options, volume, oldKey, newKey)
    } catch (error) {
      if (isNew) await forgetUnused(options, volume, newKey)
      throw error
    } finally {
      newKey.passphrase.wipe()
    }
  } finally {
    oldKey.passphrase.wipe()
  }
}

async function chooseNewKey(
  options: RekeyOptions,
  volume: LookedAt,
  oldKey: ChosenKey,
): Promise<{ id: string; isNew: boolean }> {
  const { newKeyId } = options
  if (newKeyId !== undefined) return { id: newKeyId, isNew: false }
  const { opening } = await earlierKeys(options, volume)
  if (opening !== undefined) return { id: opening, isNew: false }
  // Before a key is made that nobody would need.
  if (!(await opens(volume, oldKey))) throw wrongKey(volume.device)
  const id = await createNewKey(options.keyManager, volume.report.uuid, options.keyId)
  return { id, isNew: true }
}

/** Keys that earlier runs made in this one's place, of which one may open the volume. */
async function earlierKeys(
  options: AbortRekeyOptions,
  volume: LookedAt,
): Promise<{ opening: string | undefined; last: string | undefined }> {
  const ids = await namedNewKeys(options.keyManager, volume.report.uuid, options.keyId)
  for (const id of ids) {
    const key = await keyOf(options, volume, id)
    try {
      if (await opens(volume, key, options.signal)) return { opening: id, last: id }
    } finally {
      key.passphrase.wipe()
    }
  }
  return { opening: undefined, last: ids.at(-1) }
}

async function opens(
  { device, header }: Pick<LookedAt, 'device' | 'header'>,
  { passphrase }: ChosenKey,
  signal?: AbortSignal,
): Promise<boolean> {
  return await opensVolume({ device, header, passphrase, signal })
}

async function replace(
  options: RekeyOptions,
  volume: LookedAt,
  oldKey: ChosenKey,
  newKey: ChosenKey,
): Promise<RekeyResult> {
  requireDifferent(oldKey, newKey)
  const { commit, signal } = options
  const ids = { oldKeyId: oldKey.id, newKeyId: newKey.id }
  const { uuid } = volume.report
  const keeper = keepHeader(options, volume)
  const replaced = await replaceKey({
    ...ids,
    device: volume.device,
    oldKey: oldKey.passphrase,
    newKey: newKey.passphrase,
    pbkdf: newKey.pbkdf,
    encoding: newKey.encoding,
    beforeChange: keeper.beforeChange,
    commit: async () => {
      await commit?.({ ...ids, uuid })
    },
    signal,
  })
  return { device: options.device, uuid, ...ids, ...replaced, backup: keeper.made() }
}

/** Keys that were copied, as cinder does for clones, have two ids and the same bytes. */
function requireDifferent(oldKey: ChosenKey, newKey: ChosenKey): void {
  if (!oldKey.passphrase.bytes().equals(newKey.passphrase.bytes())) return
  const what = oldKey.id === newKey.id ? 'are the same key' : 'have the same bytes'
  throw new VolsealError('usage', `the keys ${oldKey.id} and ${newKey.id} ${what}`, {
    hint: 'nothing was changed; without --new-key-id a new key is made',
  })
}

/** A key that was made for this and did not get into the volume is deleted again. */
async function forgetUnused(
  { keyManager }: RekeyOptions,
  { device }: LookedAt,
  newKey: ChosenKey,
): Promise<void> {
  const isUsed = judgeDevice(device).then(async (header) => await opens({ device, header }, newKey))
  if (!(await isUsed.catch(() => true))) await keyManager.delete(newKey.id).catch(() => undefined)
}

/**
 * Undoes a rekey that has not come to its end: the new key is removed from the volume, not from the
 * key manager.
 *
 * @throws {VolsealError} `wrong-key` when the old key opens nothing any more
 */
export async function abortRekey(options: AbortRekeyOptions): Promise<RekeyResult> {
  const volume = await lookAtVolume(options.device)
  const oldKey = await keyOf(options, volume, options.keyId)
  try {
    const earlier = await earlierKeys(options, volume)
    const newKeyId = options.newKeyId ?? earlier.opening ?? earlier.last
    if (newKeyId === undefined) return await nothingToAbort(options, volume, oldKey)
    const newKey = await keyOf(options, volume, newKeyId)
    try {
      return await abandon(options, volume, oldKey, newKey)
    } finally {
      newKey.passphrase.wipe()
    }
  } finally {
    oldKey.passphrase.wipe()
  }
}

async function abandon(
  options: AbortRekeyOptions,
  volume: LookedAt,
  oldKey: ChosenKey,
  newKey: ChosenKey,
): Promise<RekeyResult> {
  requireDifferent(oldKey, newKey)
  const { device } = volume
  const ids = { oldKeyId: oldKey.id, newKeyId: newKey.id }
  const keeper = keepHeader(options, volume)
  const abandoned = await abandonKey({
    ...ids,
    device,
    oldKey: oldKey.passphrase,
    newKey: newKey.passphrase,
    beforeChange: keeper.beforeChange,
    signal: options.signal,
  })
  const { uuid } = volume.report
  return { device: options.device, uuid, ...ids, ...abandoned, backup: keeper.made() }
}

async function nothingToAbort(
  options: AbortRekeyOptions,
  volume: LookedAt,
  oldKey: ChosenKey,
): Promise<RekeyResult> {
  const { device, report } = volume
  if (!(await opens(volume, oldKey))) throw wrongKey(device)
  return {
    device: options.device,
    uuid: report.uuid,
    state: 'nothing-to-abort',
    oldKeyId: oldKey.id,
    newKeyId: null,
    keyslots: [],
    removed: [],
    others: [],
    backup: null,
  }
}
