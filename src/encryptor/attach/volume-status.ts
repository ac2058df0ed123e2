import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isAbandoned, isTemporary } from '../../core/temporary-name.js'
import { deviceUsers } from '../device-users.js'
import { listMappings, type MapperInfo, type Mapping, mapperInfos } from '../mapper.js'
import { isUnfinished } from './adopt-mapping.js'
import { linkTarget, OWNED_LINKS } from './device-link.js'
import { deviceBelow } from './locate-volume.js'

/** An open volume, as `status` shows it. */
export interface MappingStatus {
  readonly mapping: string
  readonly path: string
  readonly uuid: string
  /** The encrypted side; null when it is gone. */
  readonly device: string | null
  /** Decrypted bytes. */
  readonly size: number
  /** Links that lead to it. */
  readonly links: readonly string[]
  /** How often it is open. */
  readonly openCount: number
  /** Who uses it, in words. */
  readonly users: readonly string[]
  readonly health: 'ok' | 'suspended' | 'unfinished' | 'device-gone'
}

export interface DanglingLink {
  readonly path: string
  readonly target: string
}

/** The body of `status --json`. */
export interface VolumeStatus {
  readonly mappings: readonly MappingStatus[]
  readonly danglingLinks: readonly DanglingLink[]
}

/** Where links to volumes lie: os-brick's own and udev's. */
const LINK_PLACES: readonly string[] = [OWNED_LINKS, '/dev/disk/by-path', '/dev/disk']

/**
 * What is open on this host, and what links lead nowhere.
 *
 * @param places directories to look for links in, beside those of udev and os-brick
 */
export async function volumeStatus(places: readonly string[] = []): Promise<VolumeStatus> {
  // In this order: what is made in between is then in sysfs.
  const infos = await mapperInfos()
  const mappings = listMappings()
  const links = await findLinks([...LINK_PLACES, ...places])
  const all = infos
    .filter(({ uuid }) => uuid.startsWith('CRYPT-'))
    .map(async (info) => await statusOf(info, mappings, links))
  const lost = links.map(async (link) => ((await isLost(link, infos)) ? [link] : []))
  return { mappings: await Promise.all(all), danglingLinks: (await Promise.all(lost)).flat() }
}

async function statusOf(
  { name, uuid, openCount, targets }: MapperInfo,
  mappings: readonly Mapping[],
  links: readonly DanglingLink[],
): Promise<MappingStatus> {
  const path = `/dev/mapper/${name}`
  const mapping = mappings.find((each) => each.name === name)
  const device = mapping && (await deviceBelow(mapping, mappings).catch(() => undefined))
  return {
    mapping: name,
    path,
    uuid,
    device: device?.realPath ?? null,
    size: mapping?.size ?? 0,
    links: links.filter((link) => leadsTo(link, path)).map((link) => link.path),
    openCount,
    users: await deviceUsers(mapping?.number),
    health: healthOf(mapping, targets, device !== undefined),
  }
}

function healthOf(
  mapping: Mapping | undefined,
  targets: number,
  hasDevice: boolean,
): MappingStatus['health'] {
  if (targets === 0 || (mapping !== undefined && isUnfinished(mapping))) return 'unfinished'
  if (mapping === undefined) return 'ok' // It has gone meanwhile.
  if (!hasDevice) return 'device-gone'
  return mapping.suspended ? 'suspended' : 'ok'
}

async function findLinks(places: readonly string[]): Promise<DanglingLink[]> {
  const found = await Promise.all(
    places.map(async (place) => {
      const names = await readdir(place).catch(() => [])
      return await Promise.all(names.map(async (name) => await linkAt(join(place, name))))
    }),
  )
  return found.flat().flatMap((link) => link ?? [])
}

async function linkAt(path: string): Promise<DanglingLink | undefined> {
  const target = await linkTarget(path)
  return target === undefined ? undefined : { path, target }
}

/** The name that a link has while it is swapped is nobody's way to a volume. */
function leadsTo({ path, target }: DanglingLink, wanted: string): boolean {
  return target === wanted && !isTemporary(path)
}

/** A link of ours or os-brick's to a mapping that is not there, or what a killed swap has left. */
async function isLost(
  { path, target }: DanglingLink,
  mappings: readonly MapperInfo[],
): Promise<boolean> {
  if (isTemporary(path)) return await isAbandoned(path)
  const name = /^\/dev\/mapper\/(crypt-[^/]+|volseal-[0-9a-f]{12})$/.exec(target)?.[1]
  return name !== undefined && !mappings.some((mapping) => mapping.name === name)
}
