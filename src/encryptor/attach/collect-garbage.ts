import { setTimeout as sleep } from 'node:timers/promises'
import { VolsealError } from '../../core/errors.js'
import { closeMapping, removeUnfinished } from '../close-mapping.js'
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

const SETTLE_MS = 2000

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
  const before = await volumeStatus(places)
  // What is being attached has no link yet either.
  if (before.mappings.some(isUnused)) await sleep(SETTLE_MS)
  const status = await volumeStatus(places)
  const wasUnused = new Set(before.mappings.filter(isUnused).map(({ mapping }) => mapping))
  const unused = status.mappings.filter(isUnused).filter(({ mapping }) => wasUnused.has(mapping))
  if (!apply) {
    const shown = [...unused.map(describeMapping), ...status.danglingLinks.map(describeLink)]
    return { applied: false, garbage: shown }
  }
  const closed: Garbage[] = []
  for (const each of unused) closed.push(await attempt(describeMapping(each), closing(each)))
  for (const link of status.danglingLinks) {
    const remove = async (): Promise<unknown> => await removeLink(link.path, link.target)
    closed.push(await attempt(describeLink(link), remove))
  }
  return { applied: true, garbage: closed }
}

function closing({ mapping, health }: MappingStatus): () => Promise<void> {
  const close = health === 'unfinished' ? removeUnfinished : closeMapping
  return async () => {
    await close(mapping)
  }
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
