import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { deviceUsers } from '../device-users.js'
import { listMappings, type Mapping, openCounts } from '../mapper.js'
import { isUnfinished } from './adopt-mapping.js'
import { linkTarget, OWNED_LINKS, TEMPORARY_LINK } from './device-link.js'
import { deviceBelow } from './locate-volume.js'
import { isCrypt } from './mapping-name.js'

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
  const mappings = await listMappings()
  const counts = mappings.length === 0 ? new Map<string, number>() : await openCounts()
  const links = await findLinks([...LINK_PLACES, ...places])
  const crypt = mappings.filter(isCrypt)
  return {
    mappings: await Promise.all(
      crypt.map(async (mapping) => await statusOf(mapping, mappings, counts, links)),
    ),
    danglingLinks: links.filter(({ path, target }) => isLost(path, target, mappings)),
  }
}

async function statusOf(
  mapping: Mapping,
  mappings: readonly Mapping[],
  counts: ReadonlyMap<string, number>,
  links: readonly DanglingLink[],
): Promise<MappingStatus> {
  const path = `/dev/mapper/${mapping.name}`
  const device = await deviceBelow(mapping, mappings).catch(() => undefined)
  return {
    mapping: mapping.name,
    path,
    uuid: mapping.uuid,
    device: device?.realPath ?? null,
    size: mapping.size,
    links: links.filter(({ target }) => target === path).map((link) => link.path),
    openCount: counts.get(mapping.name) ?? 0,
    users: await deviceUsers(mapping.number),
    health: healthOf(mapping, device !== undefined),
  }
}

function healthOf(mapping: Mapping, hasDevice: boolean): MappingStatus['health'] {
  if (isUnfinished(mapping)) return 'unfinished'
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

/** A link of ours or os-brick's to a mapping that is not there, or what a killed swap has left. */
function isLost(path: string, target: string, mappings: readonly Mapping[]): boolean {
  if (TEMPORARY_LINK.test(path.replace(/^.*\//, ''))) return true
  const name = /^\/dev\/mapper\/(crypt-[^/]+|volseal-[0-9a-f]{12})$/.exec(target)?.[1]
  return name !== undefined && !mappings.some((mapping) => mapping.name === name)
}
