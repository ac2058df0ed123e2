import { throwIfAborted, VolsealError } from '../../core/errors.js'
import type { Secret } from '../../core/secret.js'
import { cryptsetup, testArgs } from '../cryptsetup.js'
import type { Device } from '../device.js'
import type { KeyslotReport } from '../header/describe-header.js'
import { withHeader } from '../header/header-copy.js'
import { judgeSettled } from '../header/judge-header.js'
import type { Opening } from '../open-volume.js'
import { addKey, killSlot, moveTokens, slotsOpenedBy } from './keyslots.js'
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
  /**
   * Dear slots that the key does not open: another key's, or what a power cut has left of one that was
   * just removed. Whatever opens the volume tries them too, and may do so first.
   */
  readonly others: readonly KeyslotReport[]
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
 * Makes the slots of a random key cheap to open: a cheap slot is added and proven before the dear one is
 * removed, and has its tokens by then. cryptsetup could convert a slot of LUKS2 in place, but wipes it
 * before it writes it anew: a power cut in between would lose the volume. Killed in the middle, the same
 * call goes on.
 *
 * @throws {VolsealError} `wrong-key`; `too-small` when there is no room for another slot
 */
export async function tuneVolume(tuning: Tuning): Promise<Tuned> {
  const { device, signal } = tuning
  await untilAlone(device, signal)
  const header = await judgeSettled(device)
  const slots = await ownSlots({ ...tuning, header })
  if (slots.length === 0) throw wrongKey(device)
  const before = { keyslots: slots, milliseconds: await openingTime({ ...tuning, header }) }
  const others = header.keyslots.filter((slot) => !slots.includes(slot) && !isCheap(slot))
  if (slots.every(isCheap)) return { state: 'already', before, after: before, others }
  await tuning.beforeChange()
  throwIfAborted(signal)
  await exchange(tuning, slots)
  const opening = await openingNow(tuning)
  const tuned = await ownSlots(opening)
  if (tuned.length === 0 || !tuned.every(isCheap)) throw notTuned(device)
  const after = { keyslots: tuned, milliseconds: await openingTime(opening) }
  return { state: 'tuned', before, after, others }
}

/** With the header as it is now; deaf to the signal, since the proof belongs to the change. */
async function openingNow({ device, passphrase }: Tuning): Promise<Opening> {
  return { device, passphrase, header: await judgeSettled(device) }
}

async function ownSlots(opening: Opening): Promise<KeyslotReport[]> {
  const opened = await slotsOpenedBy(opening)
  return opening.header.keyslots.filter(({ number }) => opened.includes(number))
}

async function openingTime({ device, header, passphrase, signal }: Opening): Promise<number> {
  return await withHeader(header, async (path) => {
    const args = testArgs(device.realPath, path)
    const began = performance.now()
    await cryptsetup(args, `cannot open ${device.path}`, { passphrase, signal })
    return Math.round(performance.now() - began)
  })
}

async function exchange(tuning: Tuning, slots: readonly KeyslotReport[]): Promise<void> {
  const { device, passphrase } = tuning
  const cheap = slots.find(isCheap) ?? (await addCheap(tuning))
  for (const slot of slots.filter((one) => !isCheap(one))) {
    await moveTokens(device, slot.number, cheap.number)
    await killSlot(device, slot.number, passphrase)
  }
}

async function addCheap(tuning: Tuning): Promise<KeyslotReport> {
  const { device, passphrase } = tuning
  await addKey(device, passphrase, passphrase, 'fast')
  const added = (await ownSlots(await openingNow(tuning))).find(isCheap)
  if (added === undefined) throw notTuned(device)
  return added
}

function notTuned(device: Device): VolsealError {
  return new VolsealError('io', `${device.path}: its keyslots are not as they were made just now`, {
    hint: 'the key still opens it; is something else changing the header? run the same again',
  })
}
