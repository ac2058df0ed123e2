import { throwIfAborted, VolsealError } from '../core/errors.js'
import type { Secret } from '../core/secret.js'
import { cryptsetup, testArgs } from './cryptsetup.js'
import type { KeyslotReport } from './describe-header.js'
import type { Device } from './device.js'
import { requireSettled } from './header-bytes.js'
import { inspectVolume } from './inspect-volume.js'
import { addKey, convertSlot, keyslotsOf, killSlot, slotsOpenedBy } from './keyslots.js'
import { untilAlone } from './others-at-work.js'
import { wrongKey } from './rekey-volume.js'

export interface Tuning {
  readonly device: Device
  /** Made of a key that is known to be random: nobody can guess it, however cheap a guess is. */
  readonly passphrase: Secret
  /** Called once before the first change: the header's backup. */
  readonly beforeChange: () => Promise<void>
  readonly signal?: AbortSignal | undefined
}

export interface Tuned {
  /** `already` when nothing was changed. */
  readonly state: 'tuned' | 'already'
  readonly before: OpeningCost
  readonly after: OpeningCost
}

/** What opening takes: the key's slots, and the time that it took here. */
export interface OpeningCost {
  readonly keyslots: readonly KeyslotReport[]
  readonly milliseconds: number
}

/** What `--pbkdf fast` makes. */
const CHEAP_ITERATIONS = 1000

function isCheap({ pbkdf, iterations }: KeyslotReport): boolean {
  return pbkdf === 'pbkdf2' && iterations <= CHEAP_ITERATIONS
}

/**
 * Makes the slots of a random key cheap to open. LUKS2 converts a slot in place; LUKS1 cannot, so
 * that a cheap slot is added and proven before the dear one is removed. Killed in the middle, the
 * same call goes on.
 *
 * @throws {VolsealError} `wrong-key`; `too-small` when LUKS1 has no free slot
 */
export async function tuneVolume(tuning: Tuning): Promise<Tuned> {
  const { device, passphrase, signal } = tuning
  await untilAlone(device, signal)
  await requireSettled(device)
  const slots = await ownSlots(tuning)
  if (slots.length === 0) throw wrongKey(device)
  const before = { keyslots: slots, milliseconds: await openingTime(device, passphrase) }
  if (slots.every(isCheap)) return { state: 'already', before, after: before }
  await tuning.beforeChange()
  throwIfAborted(signal)
  const { version } = await inspectVolume(device.path)
  await (version === 1 ? exchange(tuning, slots) : convert(tuning, slots))
  const tuned = await ownSlots({ ...tuning, signal: undefined })
  if (tuned.length === 0 || !tuned.every(isCheap)) throw notTuned(device)
  const after = { keyslots: tuned, milliseconds: await openingTime(device, passphrase) }
  return { state: 'tuned', before, after }
}

async function ownSlots({ device, passphrase, signal }: Tuning): Promise<KeyslotReport[]> {
  const slots = await keyslotsOf(device)
  const opened = await slotsOpenedBy(device, passphrase, slots, signal)
  return slots.filter(({ number }) => opened.includes(number))
}

async function openingTime(device: Device, passphrase: Secret): Promise<number> {
  const began = performance.now()
  await cryptsetup(testArgs(device.realPath), `cannot open ${device.path}`, { passphrase })
  return Math.round(performance.now() - began)
}

async function convert(
  { device, passphrase }: Tuning,
  slots: readonly KeyslotReport[],
): Promise<void> {
  for (const slot of slots.filter((one) => !isCheap(one))) {
    await convertSlot(device, slot.number, passphrase)
  }
}

async function exchange(tuning: Tuning, slots: readonly KeyslotReport[]): Promise<void> {
  const { device, passphrase } = tuning
  if (!slots.some(isCheap)) {
    await addKey(device, passphrase, passphrase, 'fast')
    const now = await ownSlots({ ...tuning, signal: undefined })
    if (!now.some(isCheap)) throw notTuned(device)
  }
  for (const slot of slots.filter((one) => !isCheap(one))) {
    await killSlot(device, slot.number, passphrase)
  }
}

function notTuned(device: Device): VolsealError {
  return new VolsealError('io', `${device.path}: its keyslots are not as they were made just now`, {
    hint: 'the key still opens it; is something else changing the header? run the same again',
  })
}
