import { basename } from 'node:path'
import { VolsealError } from '../../core/errors.js'
import type { Mapping } from '../mapper.js'

/**
 * What a volume's mapping is called: `crypt-` and the last part of the path that it is connected at
 * (os_brick/encryptors/luks.py; without the prefix it clashed with the names of multipath devices).
 */
export function mappingName(path: string): string {
  const name = `crypt-${basename(path)}`
  // libdevmapper would mangle other characters, and the kernel takes 127 bytes (DM_NAME_LEN).
  if (/^crypt-[0-9A-Za-z#+.:=@_-]{1,121}$/.test(name)) return name
  throw new VolsealError(
    'usage',
    `${JSON.stringify(path)} gives no name for a mapping: expected letters, digits and #+-.:=@_, at most 121`,
    { hint: 'make a link with such a name, and name that' },
  )
}

/** How a volume is asked for. */
export interface VolumeNames {
  /** Path that the volume is connected at. */
  readonly path: string
  /** WWN of a multipath device. */
  readonly multipathId?: string | undefined
}

/** All names that the mapping of a volume may have, the one of today first. */
export function possibleNames({ path, multipathId }: VolumeNames): string[] {
  const old = [basename(path), ...(multipathId === undefined ? [] : [multipathId])]
  return [mappingName(path), ...old]
}

/** What cryptsetup calls its own: only these are ever adopted or closed. */
export function isCrypt({ uuid }: Mapping): boolean {
  return uuid.startsWith('CRYPT-')
}

/** The encrypted mapping of a volume among those that there are. */
export function mappingOf(names: VolumeNames, mappings: readonly Mapping[]): Mapping | undefined {
  for (const name of possibleNames(names)) {
    const found = mappings.find((mapping) => mapping.name === name)
    // Without the prefix the name may be a multipath device's.
    if (found !== undefined && (isCrypt(found) || name === mappingName(names.path))) return found
  }
  return undefined
}
