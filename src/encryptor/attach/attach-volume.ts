import { hinting, VolsealError } from '../../core/errors.js'
import { closeMapping, removeUnfinished } from '../close-mapping.js'
import { type Device, refuseLocked, withReading } from '../device.js'
import { deviceClaims, deviceUsers } from '../device-users.js'
import { describeContent, examineContent } from '../format/content.js'
import { type FirstUse, formatForFirstUse } from '../format/first-use.js'
import type { ScanOptions } from '../format/scan.js'
import type { JudgedHeader } from '../header/judge-header.js'
import { untilAlone } from '../keys/others-at-work.js'
import { cryptTables, findMapping, type Mapping, mapperInfos, requireMapper } from '../mapper.js'
import { requireUdev } from '../udev.js'
import { type Activation, activationArgs, lackingWords } from './activation.js'
import { isUnfinished, requireOwnMapping } from './adopt-mapping.js'
import { requireLinkOrNothing } from './device-link.js'
import type { EncryptionFormat } from './encryption.js'
import { swapLinkForGood } from './lasting-link.js'
import { locateVolume } from './locate-volume.js'
import { mappingName } from './mapping-name.js'
import { type MappingToOpen, openLuks, openPlain } from './open-mapping.js'
import { plainSettings, plainWarnings } from './plain.js'
import { tokenWarnings } from './token-warnings.js'
import { withVolumeLock } from './volume-lock.js'
import { judgeVolume, type VolumeAccess, type VolumeRequest, withKey } from './volume-request.js'

export interface AttachRequest extends VolumeRequest {
  /** Link that is to lead to the decrypted side. */
  readonly link?: string | undefined
  /** The caller's word that this volume was never used; without it nothing is formatted. */
  readonly firstUse?: FirstUse | undefined
  readonly activation?: Activation | undefined
  /** Id of the key, where the caller names it: compared with what the header of an open volume says. */
  readonly keyId?: string | undefined
  /** Told how far the full scan of a first use has come, in bytes. */
  readonly onScanProgress?: ScanOptions['onProgress']
}

/** The body of `attach --json`. */
export interface Attached extends Pick<Opened, 'format' | 'uuid' | 'adopted' | 'formatted'> {
  /** Name of the mapping. */
  readonly mapping: string
  /** Path of the decrypted side. */
  readonly path: string
  /** The link that leads to it now. */
  readonly link: string | null
  /** The encrypted side. */
  readonly device: string
  /** Decrypted bytes. */
  readonly size: number
  /** What is worth knowing about the volume, and no reason to refuse it. */
  readonly warnings: readonly string[]
}

interface Opened {
  readonly mapping: Mapping
  readonly format: EncryptionFormat
  /** Null for plain dm-crypt. */
  readonly uuid: string | null
  /** Whether it was open already. */
  readonly adopted: boolean
  readonly formatted: boolean
  readonly warnings: readonly string[]
}

/**
 * Opens a volume as os-brick does, and makes its link lead to the decrypted side. Attaching twice is
 * attaching once: an open mapping is adopted when it is this volume's. What goes wrong after the
 * opening closes it again.
 *
 * @throws {VolsealError} `wrong-key`, `header-damaged`, `busy`, `no-device`, `not-found` for what is
 * no volume, `not-blank` when a first use is refused, `io`, `unavailable`
 */
export async function attachVolume(request: AttachRequest): Promise<Attached> {
  const { link, path, signal } = request
  await requireMapper()
  if (link !== undefined) await requireLinkOrNothing(link)
  return await withVolumeLock(mappingName(path), signal, async () => {
    const { device, mapping: found } = await locateVolume(request)
    const opened = await adoptOrOpen(request, device, found)
    try {
      return await handOn(request, device, opened)
    } catch (error) {
      if (!opened.adopted) await closeMapping(opened.mapping.name)
      throw error
    }
  })
}

/** Makes the link lead to what was opened. */
async function handOn(
  { link }: AttachRequest,
  device: Device,
  { mapping: { name, size }, ...rest }: Opened,
): Promise<Attached> {
  const path = `/dev/mapper/${name}`
  if (link !== undefined) await swapLinkForGood(link, path)
  return { mapping: name, path, link: link ?? null, device: device.realPath, size, ...rest }
}

async function adoptOrOpen(
  request: AttachRequest,
  device: Device,
  found: Mapping | undefined,
): Promise<Opened> {
  if (found !== undefined && !isUnfinished(found)) return await adopt(request, device, found)
  try {
    await requireUnclaimed(device)
    return await openVolume(request, device)
  } catch (error) {
    if (!(error instanceof VolsealError) || error.code !== 'busy') throw error
    const name = found?.name ?? mappingName(request.path)
    // Somebody else may be attaching it at the same time, or have been killed while doing so.
    await untilAlone(device, request.signal)
    const meanwhile = findMapping(name)
    if (meanwhile !== undefined && !isUnfinished(meanwhile)) {
      return await adopt(request, device, meanwhile)
    }
    if (!(await tookAwayUnfinished(name))) throw await namingUsers(error, device)
    return await openVolume(request, device)
  }
}

/** cryptsetup says that somebody has it open exclusively, and not who. */
async function namingUsers(error: VolsealError, { number }: Device): Promise<VolsealError> {
  const users = await deviceUsers(number)
  return users.length === 0 ? error : hinting(error, `in use by ${users.join(', ')}`)
}

/**
 * Open under another name, or mounted: cryptsetup would say neither by whom nor with a code of its
 * own. What qemu has open it would open a second time.
 */
async function requireUnclaimed(device: Device): Promise<void> {
  const { path, number } = device
  await refuseLocked(device)
  const claims = await deviceClaims(number)
  if (claims.length === 0) return
  throw new VolsealError('busy', `${path} is in use by ${claims.join(', ')}`, {
    hint: 'nothing was changed; see volseal status',
  })
}

/** Whether an open that was killed had left its mapping before that was in use; it is gone then. */
async function tookAwayUnfinished(name: string): Promise<boolean> {
  const left = (await mapperInfos()).find((info) => info.name === name)
  const isLeft = left?.targets === 0 || isUnfinished(findMapping(name) ?? { size: 1 })
  if (left?.uuid.startsWith('CRYPT-') !== true || !isLeft) return false
  await removeUnfinished(name)
  return true
}

async function adopt(request: AttachRequest, device: Device, mapping: Mapping): Promise<Opened> {
  const header = await requireOwnMapping(request, device, mapping)
  const { warnings, ...rest } = described(header)
  const more = [
    ...adoptedTokenWarnings(request, header),
    ...(await lackingWarnings(request, mapping)),
  ]
  return { mapping, ...rest, warnings: [...warnings, ...more], adopted: true, formatted: false }
}

/** The key that opened it is not fetched again: what is compared is the id that the caller names. */
function adoptedTokenWarnings(
  { keyId, firstUse }: AttachRequest,
  header: JudgedHeader | undefined,
): string[] {
  if (header === undefined || keyId === undefined) return []
  return tokenWarnings(header, { keyId, hasOpened: false }, firstUse?.volumeId)
}

/** How a mapping is set up cannot be changed while it is open. */
async function lackingWarnings(
  { activation = {} }: AttachRequest,
  { name }: Mapping,
): Promise<string[]> {
  if (activationArgs(activation).length === 0) return []
  // It is advice: a volume that is in order is not refused for want of it.
  const [table] = (await cryptTables(name).catch(() => undefined)) ?? []
  const lacking = table === undefined ? [] : lackingWords(activation, table)
  if (lacking.length === 0) return []
  return [`it was open already, without ${lacking.join(', ')}: detach it first to have that`]
}

/** Undefined stands for plain dm-crypt. */
function described(header: JudgedHeader | undefined): Pick<Opened, 'format' | 'uuid' | 'warnings'> {
  if (header === undefined) return { format: 'plain', uuid: null, warnings: [] }
  return { format: header.provider, uuid: header.uuid, warnings: header.warnings }
}

async function openVolume(request: AttachRequest, device: Device): Promise<Opened> {
  await requireUdev(device)
  if (request.format === 'plain') return await openPlainVolume(request, device)
  const existing = await judgeVolume(request, device).catch((error: unknown) => {
    if (error instanceof VolsealError && error.code === 'not-found') return undefined
    throw error
  })
  if (existing === undefined && request.firstUse === undefined) throw await noVolume(device)
  return await withKey(request, existing, async (access) => {
    const header = existing ?? (await formatAndJudge(request, device, access))
    const mapping = await openLuks(opening(request, device, access), header).catch(
      async (error: unknown) => {
        throw await explained(error, access, device)
      },
    )
    const { warnings, ...rest } = described(header)
    const more = tokenWarnings(
      header,
      { keyId: access.keyId, hasOpened: true },
      request.firstUse?.volumeId,
    )
    const formatted = existing === undefined
    return { mapping, ...rest, warnings: [...warnings, ...more], adopted: false, formatted }
  })
}

async function noVolume(device: Device): Promise<VolsealError> {
  const content = await withReading(device, async (file) => await examineContent(file, device))
  const found = content.kind === 'blank' ? 'it is blank' : `it holds ${describeContent(content)}`
  return new VolsealError('not-found', `there is no LUKS volume on ${device.path}: ${found}`, {
    hint: 'a volume that was never used is formatted when you say so: --first-use VOLUME_ID',
  })
}

/** The first use of a volume that has no header yet. */
export async function formatAndJudge(
  request: AttachRequest,
  device: Device,
  { passphrase, plan, keyId, encoding }: VolumeAccess,
): Promise<JudgedHeader> {
  const { firstUse, signal, onScanProgress: onProgress } = request
  if (firstUse === undefined) throw new VolsealError('internal', 'no first use was asked for')
  const key = { plan: await plan(), passphrase, keyId, encoding }
  await formatForFirstUse({ device, ...key, firstUse, signal, onProgress })
  return await judgeVolume(request, device)
}

function opening(
  { path, activation = {}, signal }: AttachRequest,
  device: Device,
  { passphrase }: VolumeAccess,
): MappingToOpen {
  return { device, name: mappingName(path), passphrase, activation, signal }
}

async function explained(
  error: unknown,
  { explainWrongKey }: VolumeAccess,
  device: Device,
): Promise<unknown> {
  if (!(error instanceof VolsealError) || error.code !== 'wrong-key') return error
  return (await explainWrongKey?.(device)) ?? error
}

async function openPlainVolume(request: AttachRequest, device: Device): Promise<Opened> {
  await refuseLuks(request, device)
  return await withKey(request, undefined, async (access) => {
    const mapping = await openPlain(opening(request, device, access), plainSettings(request))
    const warnings = await plainWarnings(mapping).catch(async (error: unknown) => {
      await closeMapping(mapping.name)
      throw error
    })
    return { mapping, ...described(undefined), warnings, adopted: false, formatted: false }
  })
}

/** Opened as plain, a LUKS volume is garbage, and whoever writes into it writes over its header. */
async function refuseLuks(request: AttachRequest, device: Device): Promise<void> {
  const header = await judgeVolume(request, device).catch((error: unknown) => {
    if (error instanceof VolsealError && error.code === 'not-found') return undefined
    throw error
  })
  if (header === undefined) return
  throw new VolsealError(
    'header-damaged',
    `${device.path}: expected plain dm-crypt, which has no header, got a LUKS${header.version} volume`,
    { hint: `nothing was opened; its provider is ${header.provider}` },
  )
}
