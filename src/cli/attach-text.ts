import type { Attached, Detached, Extended, NotEncrypted } from '../face/attach.js'
import { counted, indent, printable, rows } from './text.js'

/** What the three verbs have done, for people. */

const BARE = 'the volume is not encrypted: nothing to do'

export function describeAttached(result: Attached | NotEncrypted): string {
  if (!('mapping' in result)) return BARE
  const { path, link, device, format, uuid, size, adopted, formatted, warnings } = result
  const done = adopted ? 'was attached already' : formatted ? 'formatted and attached' : 'attached'
  const details = rows([
    ['device', device],
    ['format', uuid === null ? format : `${format}, ${uuid}`],
    ['size', `${size} bytes`],
    ...(link === null ? [] : [['link', link] as const]),
    ...warnings.map((warning) => ['warning', printable(warning)] as const),
  ])
  return `${path}: ${done}\n${indent(details)}`
}

export function describeDetached(result: Detached | NotEncrypted): string {
  if (!('mapping' in result)) return BARE
  const { mapping, detached, link } = result
  const done = detached ? 'detached' : 'was detached already'
  return link === null ? `${mapping}: ${done}` : `${mapping}: ${done}, link ${link}`
}

export function describeExtended(result: Extended | NotEncrypted): string {
  if (!('mapping' in result)) return BARE
  const { path, size, sizeBefore } = result
  const grown = size - sizeBefore
  return `${path}: ${size} bytes${grown === 0 ? ', as before' : `, ${counted(grown, 'byte')} more`}`
}
