import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { VolsealError } from '../../core/errors.js'
import { isTemporary } from '../../core/temporary-name.js'
import { closeMapping, removeUnfinished } from '../close-mapping.js'
import { removeLink } from './device-link.js'
import { withVolumeLock } from './volume-lock.js'
import { type DanglingLink, type MappingStatus, volumeStatus } from './volume-status.js'

/** Something that a killed command or a lost guest has left. */
export interface Garbage {
  readonly kind: 'mapping' | 'link'
  /** Mapping's name or link's path. */
  readonly name: string
  readonly why: string
  /** Undefined while it is only shown. */
  readonly result?: 'removed' | 'failed' | undefined
  readonly error?: string | undefined
}

/** The body of `gc --json`. */
export interface GarbageReport {
  readonly applied: boolean
  readonly garbage: readonly Garbage[]
}

export interface GarbageOptions {
  /** False, when not given: it is only shown. */
  readonly apply?: boolean | undefined
  /** Directories to look for links in, beside those of udev and os-brick. */
  readonly places?: readonly string[] | undefined
}

/** Only what os-brick and volseal make is ever closed, and never another's encrypted disk. */
const OURS = /^(?:crypt-|volseal-[0-9a-f]{12}$)/

/**
 * Finds, and with `apply` closes, what nobody uses: mappings that nothing has open and no link leads
 * to, and links that lead to no mapping. No data is lost by it: a volume can be attached again.
 */
export async function collectGarbage({
  apply = false,
  places = [],
}: GarbageOptions = {}): Promise<GarbageReport> {
  const { mappings, danglingLinks } = await volumeStatus(places)
  const others = await namesOfOthers()
  const unused = mappings.filter((each) => isUnused(each) && !others.has(each.mapping))
  if (!apply) {
    const shown = [...unused.map(describeMapping), ...danglingLinks.map(describeLink)]
    return { applied: false, garbage: shown }
  }
  const done: Garbage[] = []
  for (const each of unused) done.push(await closeIfStill(each, places))
  for (const each of danglingLinks) done.push(await removeIfStill(each, places))
  return { applied: true, garbage: done }
}

/** What the host's own encrypted disks are called (crypttab(5)). */
async function namesOfOthers(): Promise<Set<string>> {
  const table = await readFile('/etc/crypttab', 'utf8').catch(() => '')
  return new Set(table.split('\n').map((line) => line.trim().split(/\s/)[0] ?? ''))
}

/** Looks again, alone: what is just being attached has no link yet either. */
async function closeIfStill(found: MappingStatus, places: readonly string[]): Promise<Garbage> {
  const { mapping } = found
  return await attempt(describeMapping(found), async () => {
    await withVolumeLock(mapping, undefined, async () => {
      const now = (await volumeStatus(places)).mappings.find((each) => each.mapping === mapping)
      if (now === undefined) return
      if (!isUnused(now)) throw new VolsealError('busy', `${mapping} came into use meanwhile`)
      await (now.health === 'unfinished' ? removeUnfinished(mapping) : closeMapping(mapping))
    })
  })
}

async function removeIfStill(link: DanglingLink, places: readonly string[]): Promise<Garbage> {
  const { path, target } = link
  return await attempt(describeLink(link), async () => {
    await withVolumeLock(basename(target), undefined, async () => {
      const { danglingLinks } = await volumeStatus(places)
      if (danglingLinks.some((each) => each.path === path)) await removeLink(path, target)
    })
  })
}

function describeMapping(status: MappingStatus): Garbage {
  return { kind: 'mapping', name: status.mapping, why: whyUnused(status) ?? '' }
}

function isUnused(status: MappingStatus): boolean {
  return whyUnused(status) !== undefined
}

function whyUnused({ mapping, openCount, links, health }: MappingStatus): string | undefined {
  if (!OURS.test(mapping) || openCount > 0) return undefined
  if (health === 'unfinished') return 'its opening was killed'
  if (links.length > 0) return undefined
  return health === 'device-gone'
    ? 'its device is gone'
    : 'nobody has it open, and no link leads to it'
}

function describeLink({ path, target }: DanglingLink): Garbage {
  const why = isTemporary(path)
    ? 'the swap of a link was killed'
    : `it leads to ${target}, which is not there`
  return { kind: 'link', name: path, why }
}

async function attempt(garbage: Garbage, remove: () => Promise<unknown>): Promise<Garbage> {
  try {
    await remove()
    return { ...garbage, result: 'removed' }
  } catch (error) {
    if (!(error instanceof VolsealError)) throw error
    return { ...garbage, result: 'failed', error: error.message }
  }
}
