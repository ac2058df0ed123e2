import type { GarbageReport, VolumeStatus } from '../face/attach.js'
import { table } from './text.js'

/** Open volumes for people. */
export function describeStatus({ mappings, danglingLinks }: VolumeStatus): string {
  const lines = mappings.map((each) => [
    each.mapping,
    each.device ?? '-',
    String(each.size),
    each.health,
    each.links.join(' ') || '-',
    each.users.join(', ') || '-',
  ])
  const heading = ['MAPPING', 'DEVICE', 'BYTES', 'HEALTH', 'LINKS', 'USED BY']
  return [
    lines.length === 0 ? 'no encrypted volume is open' : table(heading, lines),
    ...danglingLinks.map(({ path, target }) => `${path} leads to ${target}, which is not there`),
  ].join('\n')
}

export function describeGarbage({ applied, garbage }: GarbageReport): string {
  if (garbage.length === 0) return 'nothing is left behind'
  const lines = garbage.map(({ kind, name, why, result, error }) => [
    kind,
    name,
    result ?? '-',
    error ?? why,
  ])
  const shown = table(['KIND', 'NAME', 'DONE', 'WHY'], lines)
  return applied
    ? shown
    : `${shown}\nnothing was changed; to close and remove these: volseal gc --apply`
}
