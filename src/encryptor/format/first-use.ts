import type { FileHandle } from 'node:fs/promises'
import { pathOfFd } from '../../core/command.js'
import { VolsealError } from '../../core/errors.js'
import type { Secret } from '../../core/secret.js'
import type { FormatPlan } from '../cryptsetup.js'
import type { Device } from '../device.js'
import type { VolumeReport } from '../header/inspect-volume.js'
import { type Content, damagedHeader, dataOf, describeContent } from './content.js'
import { formatDevice } from './format-device.js'
import { probeContent } from './libblkid.js'
import type { Ground } from './put-header.js'
import { requireReadable, type Scan, type ScanOptions } from './scan.js'
import { findSignature } from './signatures.js'

/** What speaks for a volume's never having been used, beside the caller's word. */
export type Evidence =
  /** It reads without error and is zero. */
  | 'blank'
  /** Nothing: its storage does not zero new volumes. So it must hold nothing that is known. */
  | 'vouched'

export const EVIDENCE: readonly Evidence[] = ['blank', 'vouched']

/** The caller's word that this volume is used for the first time. Nothing else is taken for it. */
export interface FirstUse {
  /** The volume meant, 1 to 128 printable ASCII characters without spaces, usually a UUID. */
  readonly volumeId: string
  readonly evidence: Evidence
  /** How much is read for `blank`; `sample` when not given. */
  readonly scan?: Scan | undefined
}

export interface FirstUseRequest {
  readonly device: Device
  readonly plan: FormatPlan
  readonly passphrase: Secret
  readonly firstUse: FirstUse
  /** Id of the key in the key manager, for the token. */
  readonly keyId: string
  /** How its bytes became the passphrase, for the token. */
  readonly encoding: 'hex' | 'text'
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ScanOptions['onProgress']
}

/**
 * Formats a volume that is used for the first time. A formatting of the same volume that was killed
 * is gone on with; another volume's, and whatever is known for data or for the remains of LUKS, is
 * refused, and there is no way to force it.
 *
 * @throws {VolsealError} `not-blank`, `header-damaged`, `busy`, `too-small`, `no-device`, `io`,
 * `unavailable` when `vouched` finds no blkid, `usage` for what is no volume id
 */
export async function formatForFirstUse(request: FirstUseRequest): Promise<VolumeReport> {
  const { firstUse, keyId, encoding, ...rest } = request
  requireFirstUse(firstUse)
  return await formatDevice({
    ...rest,
    scan: firstUse.scan,
    identity: { volumeId: firstUse.volumeId, keyId, encoding },
    judge: async (content, file) => await judge(content, file, request),
  })
}

function requireFirstUse({ evidence, scan }: FirstUse): void {
  if (evidence === 'vouched' && scan === 'full') {
    throw new VolsealError(
      'usage',
      'a full scan looks for anything but zeros, which vouched allows',
      {
        hint: 'leave one of the two out',
      },
    )
  }
}

async function judge(
  content: Content,
  file: FileHandle,
  { device, firstUse }: FirstUseRequest,
): Promise<Ground> {
  if (content.kind === 'blank') return 'blank'
  if (content.kind === 'begun') return requireSameVolume(content, firstUse, device)
  if (content.kind === 'luks-damaged') throw damagedHeader(device, content.what)
  if (content.kind === 'luks' || firstUse.evidence === 'blank') {
    throw notBlank(device, `it holds ${describeContent(content)}`)
  }
  await refuseKnown(file, device)
  return 'overwritten'
}

function requireSameVolume(
  { volumeId: begun, at }: Content & { kind: 'begun' },
  { volumeId, evidence }: FirstUse,
  device: Device,
): Ground {
  if (begun !== volumeId) {
    throw notBlank(device, `formatting it was begun for the volume ${begun}, not for ${volumeId}`)
  }
  if (at === undefined || evidence === 'vouched') return 'begun'
  const why = `formatting it was begun, but there is data behind the header, the first at byte ${at}`
  throw notBlank(device, why)
}

/** Our table and libblkid's: what either knows is not formatted over, nor what cannot be read. */
async function refuseKnown(file: FileHandle, device: Device): Promise<void> {
  await requireReadable(file, device)
  const found = await findSignature(file, device)
  if (found !== undefined) {
    throw notBlank(device, `it holds ${dataOf(found)}, known at byte ${found.at}`)
  }
  const named = await probeContent(pathOfFd(file.fd))
  if (named !== undefined) throw notBlank(device, `it holds ${named} data`)
}

function notBlank(device: Device, why: string): VolsealError {
  return new VolsealError('not-blank', `${device.path} cannot be in its first use: ${why}`, {
    hint: 'nothing was changed; make sure that it is the volume that was meant',
  })
}
