import type { PassOptions } from '../../core/byte-source.js'
import { retold, VolsealError } from '../../core/errors.js'
import type { Secret } from '../../core/secret.js'
import { cryptsetup, PBKDF_OPTIONS, type Pbkdf } from '../cryptsetup.js'
import { type Device, openExclusively } from '../device.js'
import { type RestoreFacts, readFacts } from '../header/header-bytes.js'
import { type JudgedHeader, judgeDevice } from '../header/judge-header.js'
import type { VolumeToken } from '../header/volume-token.js'
import { requireUdev } from '../udev.js'
import { opensVolume, slotsOpenedBy } from './keyslots.js'
import { untilAlone } from './others-at-work.js'
import { requireReadableTokens, settleTokens } from './rekey-tokens.js'
import { wrongKey } from './rekey-volume.js'

export interface Reencryption {
  readonly device: Device
  readonly passphrase: Secret
  readonly keyId: string
  readonly pbkdf: Pbkdf
  readonly encoding: VolumeToken['encoding']
  /** Called once before the first change: the header's backup. */
  readonly beforeChange: () => Promise<void>
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: PassOptions['onProgress']
}

export interface Reencrypted {
  /** `resumed` when an earlier run had begun it. */
  readonly state: 'reencrypted' | 'resumed'
  readonly keyslots: readonly number[]
}

/**
 * What cryptsetup works on at a time. Its own choice can be most of the volume: whoever reads or
 * writes there waits until all of it is done, and a signal takes as long to be heard.
 */
const HOTZONE = '8M'

/**
 * Gives a LUKS2 volume another volume key: all of its content is encrypted anew. That alone shuts out
 * who kept an old header and its key. The volume may be open (a block device; a file must not be in
 * use). Interrupted or killed in the middle it stays usable, and the same call goes on.
 *
 * cryptsetup is never killed: on an open volume that would leave a part of it suspended. When udevd
 * stops meanwhile, it waits until udevd goes on.
 *
 * @throws {VolsealError} `usage` for LUKS1 and for a volume with other keys, which would be lost;
 * `wrong-key`, `busy`, `interrupted`
 */
export async function reencryptVolume(request: Reencryption): Promise<Reencrypted> {
  const { device, passphrase, keyId, encoding, signal } = request
  await untilAlone(device, signal)
  const header = await judgeDevice(device)
  requireLuks2(device, header)
  await requireReadableTokens(device)
  await (header.reencrypting ? requireKey(request, header) : requireOnlyKey(request, header))
  const before = await readFacts(device)
  if (device.kind === 'file') await (await openExclusively(device)).close()
  else await requireUdev(device)
  if (!before.reencrypting) await request.beforeChange()
  await run(request, before.reencrypting)
  const now = await judgeDevice(device)
  const keyslots = now.reencrypting ? [] : await slotsOpenedBy({ device, passphrase, header: now })
  requireDone(request, before, await readFacts(device), keyslots)
  await settleTokens({ device, oldKeyId: keyId, newKeyId: keyId, encoding }, keyslots)
  return { state: before.reencrypting ? 'resumed' : 'reencrypted', keyslots }
}

function requireLuks2(device: Device, { version }: JudgedHeader): void {
  if (version === 2) return
  throw new VolsealError(
    'usage',
    `${device.path}: the volume key of LUKS1 cannot be changed in place`,
    {
      hint: 'copy its content into a new volume',
    },
  )
}

/** cryptsetup takes over the slots whose passphrase it is told, and forgets the others. */
async function requireOnlyKey(request: Reencryption, header: JudgedHeader): Promise<void> {
  const { device } = request
  const own = await slotsOpenedBy({ ...request, header })
  if (own.length === 0) throw wrongKey(device)
  const others = header.keyslots
    .map(({ number }) => number)
    .filter((number) => !own.includes(number))
  if (others.length === 0) return
  throw new VolsealError(
    'usage',
    `${device.path} has other keys, in keyslot ${others.join(', ')}`,
    {
      hint: 'nothing was changed; they would be lost: remove them, and add them again afterwards',
    },
  )
}

/** In the middle, no slot can be tried by its number: the content needs two of them. */
async function requireKey(request: Reencryption, header: JudgedHeader): Promise<void> {
  if (!(await opensVolume({ ...request, header }))) throw wrongKey(request.device)
}

async function run(request: Reencryption, isBegun: boolean): Promise<void> {
  const { device, passphrase, pbkdf, signal, onProgress } = request
  const args = [
    'reencrypt',
    '--batch-mode',
    '--key-file=-',
    '--hotzone-size',
    HOTZONE,
    '--progress-json',
    '--progress-frequency',
    '1',
    ...(isBegun ? ['--resume-only'] : PBKDF_OPTIONS[pbkdf]),
    ...(device.kind === 'file' ? ['--force-offline-reencrypt'] : []),
    device.realPath,
  ]
  const onOutput = (text: string): void => tellProgress(text, onProgress)
  const what = `cannot change the volume key of ${device.path}`
  try {
    await cryptsetup(args, what, { passphrase, signal, gently: true, onOutput })
  } catch (error) {
    throw sayingHowToGoOn(error)
  }
}

/** One JSON object a line; sizes are texts (cryptsetup(8), `--progress-json`). */
function tellProgress(text: string, onProgress: PassOptions['onProgress']): void {
  const last = [...text.matchAll(/"device_bytes":"(\d+)","device_size":"(\d+)"/g)].at(-1)
  if (last !== undefined) onProgress?.(Number(last[1]), Number(last[2]))
}

function sayingHowToGoOn(error: unknown): unknown {
  if (!(error instanceof VolsealError)) return error
  const hint = 'the key opens the volume as before; the same command again goes on where it stopped'
  return retold(error, { hint })
}

function requireDone(
  { device }: Reencryption,
  before: RestoreFacts,
  after: RestoreFacts,
  keyslots: readonly number[],
): void {
  const isSameKey = after.volumeKeys.every((digest) => before.volumeKeys.includes(digest))
  const isDone = !after.reencrypting && keyslots.length > 0 && (before.reencrypting || !isSameKey)
  if (isDone) return
  throw new VolsealError('io', `${device.path}: its volume key is not as it was made just now`, {
    hint: 'is something else changing the header? run the same command again',
  })
}
