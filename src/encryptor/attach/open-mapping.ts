import { VolsealError } from '../../core/errors.js'
import type { Secret } from '../../core/secret.js'
import { closeMapping } from '../close-mapping.js'
import { cryptsetup } from '../cryptsetup.js'
import type { Device } from '../device.js'
import { withHeader } from '../header-copy.js'
import type { JudgedHeader } from '../judge-header.js'
import { findMapping, type Mapping, numberOf } from '../mapper.js'
import { requireUdev, WITHOUT_UDEV } from '../udev.js'
import { type Activation, activationArgs } from './activation.js'
import { openPlainArgs, type PlainSettings } from './plain.js'

export interface MappingToOpen {
  readonly device: Device
  /** Name of the mapping to make. */
  readonly name: string
  readonly passphrase: Secret
  readonly activation: Activation
  readonly signal?: AbortSignal | undefined
}

/**
 * Opens a LUKS volume by the header that was judged: cryptsetup reads our copy, which the storage
 * cannot change any more. While a volume is being encrypted anew, cryptsetup must write to its
 * header, and reads the one on the device.
 *
 * @throws {VolsealError} `wrong-key`, `busy` when the name is taken, `unavailable`
 */
export async function openLuks(opening: MappingToOpen, header: JudgedHeader): Promise<Mapping> {
  const { device, name, activation } = opening
  const type = ['--type', `luks${header.version}`, '--key-file=-', ...activationArgs(activation)]
  return await withHeader(header, async (path) => {
    const where = path === undefined ? [] : ['--header', path]
    return await runOpen(opening, ['open', ...type, ...where, device.realPath, name])
  })
}

export async function openPlain(opening: MappingToOpen, settings: PlainSettings): Promise<Mapping> {
  const { device, name, activation } = opening
  return await runOpen(opening, openPlainArgs(device.realPath, name, settings, activation))
}

async function runOpen(opening: MappingToOpen, args: readonly string[]): Promise<Mapping> {
  const { device, name, passphrase, signal } = opening
  await requireUdev(device)
  try {
    await cryptsetup(args, `cannot open ${device.path}`, { passphrase, signal })
    return await requireOn(device, name)
  } catch (error) {
    // Interrupted in the middle, it may have made the mapping already. A name that was taken, or a
    // key that does not fit, made none.
    if (!isRefusal(error)) await closeMapping(name, WITHOUT_UDEV)
    throw error
  }
}

const REFUSALS: ReadonlySet<string> = new Set(['busy', 'wrong-key'])

function isRefusal(error: unknown): boolean {
  return error instanceof VolsealError && REFUSALS.has(error.code)
}

/** Another device may have taken the path between our look and cryptsetup's. */
async function requireOn(device: Device, name: string): Promise<Mapping> {
  const mapping = await findMapping(name)
  const below = await Promise.all((mapping?.slaves ?? []).map(numberOf))
  // With integrity there is a mapping of cryptsetup's own between the two.
  const isHere =
    below.includes(device.number) || mapping?.slaves.some((each) => each.startsWith('dm-'))
  if (mapping !== undefined && isHere === true) return mapping
  throw new VolsealError('io', `/dev/mapper/${name} does not lie on ${device.path} as it should`, {
    hint: 'its device was replaced just now; it was closed again',
  })
}
