import { VolsealError } from '../../core/errors.js'
import { closeMapping, requireUnused } from '../close-mapping.js'
import { hasMapper, listMappings, type Mapping } from '../mapper.js'
import { linkTarget, ownedLinkDevice, removeLink, swapLink } from './device-link.js'
import { deviceBelow, locateVolume } from './locate-volume.js'
import { isCrypt, mappingName, mappingOf, type VolumeNames } from './mapping-name.js'
import { withVolumeLock } from './volume-lock.js'

export interface DetachRequest extends VolumeNames {
  /** Link that led to the decrypted side. */
  readonly link?: string | undefined
  /** Ends the wait for whoever is attaching or detaching it now. */
  readonly signal?: AbortSignal | undefined
}

/** The body of `detach --json`. */
export interface Detached {
  readonly mapping: string
  /** False when it was closed already. */
  readonly detached: boolean
  /** The encrypted side, as far as it is known. */
  readonly device: string | null
  /** What has become of the link. */
  readonly link: 'removed' | 'restored' | 'dangling' | null
}

/**
 * Closes a volume's mapping. Detaching twice is detaching once. A link of os-brick's dangles
 * afterwards, as os-brick leaves it for its connector; one in the place of a device's own leads to
 * the encrypted side again; any other is removed.
 *
 * @throws {VolsealError} `busy` naming who uses it
 */
export async function detachVolume(request: DetachRequest): Promise<Detached> {
  // Without a device-mapper nothing can be open.
  if (!(await hasMapper())) return await detachAlone(request)
  return await withVolumeLock(
    mappingName(request.path),
    request.signal,
    async () => await detachAlone(request),
  )
}

/**
 * The link goes first: behind the closed mapping nobody could tell any more, after a kill, where it
 * led before. Killed in between, the same command finds the mapping by its device.
 */
async function detachAlone(request: DetachRequest): Promise<Detached> {
  const { mapping, device } = await findOpen(request)
  const name = mapping?.name ?? mappingName(request.path)
  const result = { mapping: name, detached: mapping !== undefined, device: device ?? null }
  if (mapping === undefined) return { ...result, link: await settleLink(request, name, device) }
  requireCrypt(mapping)
  if (await willChange(request, name)) await requireUnused(name)
  const link = await settleLink(request, name, device)
  await closeMapping(name).catch(async (error: unknown) => {
    if (link === 'removed' || link === 'restored') await swapLink(linkOf(request), decrypted(name))
    throw error
  })
  return { ...result, link }
}

/** The device may be gone, with a mapping still open on it: then the name alone has to do. */
async function findOpen(
  request: DetachRequest,
): Promise<{ mapping: Mapping | undefined; device: string | undefined }> {
  const located = await locateVolume(request).catch((error: unknown) => {
    if (error instanceof VolsealError && error.code === 'no-device') return undefined
    throw error
  })
  const mappings = listMappings()
  const mapping = located?.mapping ?? mappingOf(request, mappings)
  if (mapping === undefined) return { mapping, device: located?.device.realPath }
  const below = await deviceBelow(mapping, mappings).catch(() => undefined)
  const device = located?.device
  if (device !== undefined && below !== undefined && device.identity !== below.identity) {
    throw new VolsealError(
      'busy',
      `the mapping ${mapping.name} lies on ${below.realPath}, and not on ${device.path}`,
      { hint: 'nothing was closed; see volseal status' },
    )
  }
  return { mapping, device: (device ?? below)?.realPath }
}

function requireCrypt(mapping: Mapping): void {
  if (isCrypt(mapping)) return
  throw new VolsealError(
    'busy',
    `the mapping ${mapping.name} is no encrypted volume: its uuid is ${JSON.stringify(mapping.uuid)}`,
    { hint: 'nothing was closed; see dmsetup info' },
  )
}

function decrypted(name: string): string {
  return `/dev/mapper/${name}`
}

function linkOf({ path, link }: DetachRequest): string {
  return link ?? path
}

/** Whether there is a link to put back or remove: os-brick's own dangle, for its connector. */
async function willChange(request: DetachRequest, name: string): Promise<boolean> {
  const place = linkOf(request)
  return (await linkTarget(place)) === decrypted(name) && ownedLinkDevice(place) === undefined
}

async function settleLink(
  request: DetachRequest,
  name: string,
  device: string | undefined,
): Promise<Detached['link']> {
  const place = linkOf(request)
  if ((await linkTarget(place)) !== decrypted(name)) return null
  if (!(await willChange(request, name))) return 'dangling'
  if (place === request.path && device !== undefined) {
    await swapLink(place, device)
    return 'restored'
  }
  return (await removeLink(place, decrypted(name))) ? 'removed' : null
}
