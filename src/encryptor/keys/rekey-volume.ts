import { hinting, throwIfAborted, VolsealError } from '../../core/errors.js'
import type { Secret } from '../../core/secret.js'
import type { Pbkdf } from '../cryptsetup.js'
import type { Device } from '../device.js'
import { type JudgedHeader, judgeSettled } from '../header/judge-header.js'
import type { VolumeToken } from '../header/volume-token.js'
import { addKey, killSlot, slotsOpenedBy } from './keyslots.js'
import { untilAlone } from './others-at-work.js'
import { announceKey, requireReadableTokens, settleTokens, withdrawKey } from './rekey-tokens.js'

/** A key of a volume in the place of another one. */
export interface KeyReplacement {
  readonly device: Device
  readonly oldKey: Secret
  readonly oldKeyId: string
  readonly newKey: Secret
  readonly newKeyId: string
  /** How the new key's slot is derived. */
  readonly pbkdf: Pbkdf
  /** For the token of a LUKS2 header. */
  readonly encoding: VolumeToken['encoding']
  /** Called once before the first change: the header's backup. */
  readonly beforeChange: () => Promise<void>
  /** Takes the new key over; until it has returned, the old key stays. */
  readonly commit: () => Promise<void>
  readonly signal?: AbortSignal | undefined
}

export interface Replacement {
  /** `already` when only the new key opened the volume to begin with. */
  readonly state: 'replaced' | 'resumed' | 'already'
  /** Slots of the new key. */
  readonly keyslots: readonly number[]
  readonly removed: readonly number[]
  /** Slots that neither key opens; they are left alone. */
  readonly others: readonly number[]
}

/** Which slots each key opens: all that is needed to know where a run that was killed has stopped. */
interface KeyState {
  readonly old: readonly number[]
  readonly new: readonly number[]
  readonly others: readonly number[]
}

/**
 * Replaces a key: the new one is added and proven, taken over by the caller, and only then is the
 * old one removed. Killed at any point, the same call goes on: what is left to do is seen from which
 * keys open the volume, and nowhere else is anything kept.
 *
 * @throws {VolsealError} `wrong-key` when neither key opens it; `too-small` when no slot is free;
 * what `commit` throws. The hint says which keys open it then
 */
export async function replaceKey(replacement: KeyReplacement): Promise<Replacement> {
  const { device, signal } = replacement
  await untilAlone(device, signal)
  const header = await judgeSettled(device)
  await requireReadableTokens(device)
  const found = await keyState(replacement, header)
  if (found.old.length === 0) return await finishOnly(replacement, found)
  await replacement.beforeChange()
  throwIfAborted(signal)
  const both = found.new.length > 0 ? found : await addNew(replacement, found)
  await sayingHowToGoOn(async () => {
    await announceKey(replacement, both.new)
    throwIfAborted(signal)
    await confirmed(replacement)
    throwIfAborted(signal)
    for (const slot of both.old) await killSlot(device, slot, replacement.newKey)
  })
  await settleTokens(replacement, both.new)
  // Deaf to the signal, as what is looked at is done.
  const now = await keyState({ ...replacement, signal: undefined }, await judgeSettled(device))
  requireReplaced(device, now)
  const state = found.new.length > 0 ? 'resumed' : 'replaced'
  return { state, keyslots: now.new, removed: both.old, others: now.others }
}

async function keyState(
  { device, oldKey, newKey, signal }: KeyReplacement,
  header: JudgedHeader,
): Promise<KeyState> {
  const byNew = await slotsOpenedBy({ device, header, passphrase: newKey, signal })
  const rest = header.keyslots.filter(({ number }) => !byNew.includes(number))
  const byOld = await slotsOpenedBy({ device, header, passphrase: oldKey, signal }, rest)
  const others = rest.map(({ number }) => number).filter((number) => !byOld.includes(number))
  return { old: byOld, new: byNew, others }
}

/** The old key opens nothing: either it is done but for the token, or the key is wrong. */
async function finishOnly(
  replacement: KeyReplacement,
  { new: keyslots, others }: KeyState,
): Promise<Replacement> {
  if (keyslots.length === 0) throw wrongKey(replacement.device)
  await settleTokens(replacement, keyslots, replacement.beforeChange)
  return { state: 'already', keyslots, removed: [], others }
}

/** @throws {VolsealError} `wrong-key` */
export function wrongKey(device: Device): VolsealError {
  return new VolsealError('wrong-key', `the key does not open ${device.path}`, {
    hint: 'nothing was changed; volseal luks check says more about a key',
  })
}

async function addNew(replacement: KeyReplacement, before: KeyState): Promise<KeyState> {
  const { device, oldKey, newKey, pbkdf } = replacement
  await addKey(device, oldKey, newKey, pbkdf)
  const known = new Set([...before.old, ...before.others])
  const header = await judgeSettled(device)
  const added = header.keyslots.filter(({ number }) => !known.has(number))
  // Deaf to the signal: the proof belongs to the change.
  const byNew = await slotsOpenedBy({ device, header, passphrase: newKey }, added)
  if (byNew.length > 0) return { ...before, new: byNew }
  throw new VolsealError('io', `${device.path}: the new key was added, and does not open it`, {
    hint: 'the old key was left; is something else writing to the header?',
  })
}

async function confirmed({ commit }: KeyReplacement): Promise<void> {
  try {
    await commit()
  } catch (error) {
    if (error instanceof VolsealError) throw error
    const text = error instanceof Error ? error.message : String(error)
    throw new VolsealError('unavailable', `the new key was not taken over: ${text}`, {
      cause: error,
    })
  }
}

const BOTH_OPEN =
  'both keys open the volume; the same command again goes on, and --abort removes the new key'

async function sayingHowToGoOn(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof VolsealError)) throw error
    throw hinting(error, BOTH_OPEN)
  }
}

function requireReplaced(device: Device, now: KeyState): void {
  if (now.old.length === 0 && now.new.length > 0) return
  const what = now.old.length > 0 ? 'the old key still opens it' : 'the new key does not open it'
  throw new VolsealError('io', `${device.path}: the key was replaced, but ${what}`, {
    hint: 'is something else changing the header? run the same command again',
  })
}

/** What was undone of a replacement. */
export interface Abandonment {
  readonly state: 'aborted' | 'nothing-to-abort'
  /** Slots of the old key. */
  readonly keyslots: readonly number[]
  readonly removed: readonly number[]
  readonly others: readonly number[]
}

/**
 * Undoes a replacement that has not come to its end: removes the new key while the old one opens.
 *
 * @throws {VolsealError} `wrong-key` when the old key opens nothing any more
 */
export async function abandonKey(
  replacement: Omit<KeyReplacement, 'commit' | 'pbkdf' | 'encoding'>,
): Promise<Abandonment> {
  const { device, oldKey, signal } = replacement
  const all: KeyReplacement = { ...replacement, pbkdf: 'fast', encoding: 'hex', commit: nothing }
  await untilAlone(device, signal)
  const header = await judgeSettled(device)
  await requireReadableTokens(device)
  const found = await keyState(all, header)
  if (found.old.length === 0) throw tooLate(device, found)
  if (found.new.length > 0) {
    await replacement.beforeChange()
    throwIfAborted(signal)
  }
  for (const slot of found.new) await killSlot(device, slot, oldKey)
  await withdrawKey(all, found.new.length > 0 ? nothing : replacement.beforeChange)
  const state = found.new.length > 0 ? 'aborted' : 'nothing-to-abort'
  return { state, keyslots: found.old, removed: found.new, others: found.others }
}

async function nothing(): Promise<void> {}

function tooLate(device: Device, { new: byNew }: KeyState): VolsealError {
  if (byNew.length === 0) return wrongKey(device)
  return new VolsealError('wrong-key', `the old key does not open ${device.path} any more`, {
    hint: 'nothing was changed; the new key is in its place, and there is nothing to undo',
  })
}
