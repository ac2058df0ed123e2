import { resolve } from 'node:path'
import { VolsealError } from '../../core/errors.js'
import { type Device, lookAtDevice } from '../device.js'
import { kernelNameOf, listMappings, type Mapping, numberOf } from '../mapper.js'
import { linkTarget, ownedLinkDevice } from './device-link.js'
import { isCrypt, mappingOf, possibleNames, type VolumeNames } from './mapping-name.js'

/** Where a volume lies, and the mapping that is open on it, if any. */
export interface Located {
  /** The encrypted side. */
  readonly device: Device
  readonly mapping: Mapping | undefined
}

/**
 * Finds the encrypted side of a volume. A link that leads to the decrypted side already is followed
 * down again: os-brick takes that for the volume, finds no LUKS header on it, and formats the guest's
 * data (H4).
 *
 * @throws {VolsealError} `no-device`, `busy`
 */
export async function locateVolume(names: VolumeNames): Promise<Located> {
  const mappings = listMappings()
  const seen = await lookAtConnected(names.path)
  const decrypted = mappings.find((mapping) => mapping.number === seen.number && isCrypt(mapping))
  if (decrypted === undefined) {
    return { device: seen, mapping: mappingOf(names, mappings) }
  }
  if (isItself(names.path, decrypted) || !possibleNames(names).includes(decrypted.name)) {
    throw new VolsealError(
      'busy',
      `${names.path} is the decrypted side of an open volume, /dev/mapper/${decrypted.name}`,
      { hint: 'name the device that holds the volume' },
    )
  }
  return { device: await deviceBelow(decrypted, mappings), mapping: decrypted }
}

/** Whether the path is the mapping's own, and no link that was swapped to it. */
function isItself(path: string, { name, kernelName }: Mapping): boolean {
  return [`/dev/mapper/${name}`, `/dev/${kernelName}`].includes(resolve(path))
}

/** A link of os-brick's that dangles since a detach still says which device it was made for. */
async function lookAtConnected(path: string): Promise<Device> {
  const device = await lookAtDevice(path).catch(async (error: unknown) => {
    const owned = ownedLinkDevice(path)
    if (owned !== undefined) return await lookAtDevice(owned)
    throw await explainDangling(path, error)
  })
  if (device.kind === 'block') return device
  throw new VolsealError('no-device', `${path}: expected a block device, got a file`, {
    hint: `make it one: losetup --find --show ${path}`,
  })
}

async function explainDangling(path: string, error: unknown): Promise<unknown> {
  if (!(error instanceof VolsealError) || error.code !== 'no-device') return error
  const target = await linkTarget(path)
  if (target === undefined) return error
  return new VolsealError('no-device', `${path} leads to ${target}, which does not exist`, {
    hint: 'connect the volume again, or name its device',
    cause: error,
  })
}

/** Follows a mapping down to what is not cryptsetup's own: integrity puts a second one between. */
export async function deviceBelow(mapping: Mapping, mappings: readonly Mapping[]): Promise<Device> {
  const [below] = mapping.slaves
  if (below === undefined) {
    throw new VolsealError('no-device', `/dev/mapper/${mapping.name} lies on no device`, {
      hint: `an open that was killed may have left it: dmsetup remove ${mapping.name}`,
    })
  }
  const number = numberOf(below)
  const next = mappings.find((each) => each.number === number && isCrypt(each))
  if (next !== undefined) return await deviceBelow(next, mappings)
  return await lookAtDevice(`/dev/${(number && kernelNameOf(number)) ?? below}`)
}
