import { VolsealError } from '../../core/errors.js'
import { closeMapping } from '../close-mapping.js'
import { removeLink } from './device-link.js'
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
  const status = await volumeStatus(places)
  const mappings = status.mappings.flatMap((mapping) => unusedMapping(mapping) ?? [])
  const links = status.danglingLinks.map(describeLink)
  if (!apply) return { applied: false, garbage: [...mappings, ...links] }
  const closed: Garbage[] = []
  for (const each of mappings) {
    closed.push(await attempt(each, async () => await closeMapping(each.name)))
  }
  for (const { path, target } of status.danglingLinks) {
    const garbage = describeLink({ path, target })
    closed.push(await attempt(garbage, async () => await removeLink(path, target)))
  }
  return { applied: true, garbage: closed }
}

function unusedMapping(status: MappingStatus): Garbage | undefined {
  const { mapping, openCount, links, health } = status
  if (!OURS.test(mapping) || openCount > 0) return undefined
  if (health === 'unfinished')
    return { kind: 'mapping', name: mapping, why: 'its opening was killed' }
  if (links.length > 0) return undefined
  const why =
    health === 'device-gone' ? 'its device is gone' : 'nobody has it open, and no link leads to it'
  return { kind: 'mapping', name: mapping, why }
}

function describeLink({ path, target }: DanglingLink): Garbage {
  return { kind: 'link', name: path, why: `it leads to ${target}, which is not there` }
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
