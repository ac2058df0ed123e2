import { VolsealError } from '../../core/errors.js'
import type { Secret } from '../../core/secret.js'
import { closeMapping } from '../close-mapping.js'
import { type CryptsetupOptions, cryptsetup } from '../cryptsetup.js'
import type { Device } from '../device.js'
import { withHeader } from '../header/header-copy.js'
import type { JudgedHeader } from '../header/judge-header.js'
import { cryptCiphers, listMappings, type Mapping } from '../mapper.js'
import { WITHOUT_UDEV, whileUdevAnswers } from '../udev.js'
import { type Activation, activationArgs } from './activation.js'
import { deviceBelow } from './locate-volume.js'
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
  return await withHeader(header, async (path) => {
    const args = openLuksArgs(device.realPath, name, { version: header.version, path }, activation)
    if (path !== undefined) return await runOpen(opening, args)
    // It may go on with what was being encrypted anew, and write to the header: never killed in that.
    const mapping = await runOpen(opening, args, { mustEnd: true })
    await requireCipher(mapping, header)
    return mapping
  })
}

/** `cryptsetup open`, the passphrase on standard input; `path` is that of the header's copy. */
export function openLuksArgs(
  device: string,
  mapping: string,
  { version, path }: { readonly version: 1 | 2; readonly path?: string | undefined },
  activation: Activation,
): string[] {
  const where = path === undefined ? [] : ['--header', path]
  const options = ['--type', `luks${version}`, '--key-file=-', ...activationArgs(activation)]
  return ['open', ...options, ...where, device, mapping]
}

export async function openPlain(opening: MappingToOpen, settings: PlainSettings): Promise<Mapping> {
  const { device, name, activation } = opening
  return await runOpen(opening, openPlainArgs(device.realPath, name, settings, activation))
}

async function runOpen(
  opening: MappingToOpen,
  args: readonly string[],
  how: Pick<CryptsetupOptions, 'mustEnd'> = {},
): Promise<Mapping> {
  const { device, name, passphrase, signal } = opening
  const open = async (until?: AbortSignal): Promise<unknown> =>
    await cryptsetup(args, `cannot open ${device.path}`, { passphrase, signal: until, ...how })
  try {
    await (how.mustEnd === true ? open() : whileUdevAnswers(device, signal, open))
    return await requireOn(device, name)
  } catch (error) {
    // Interrupted in the middle, it may have made the mapping already. A name that was taken, or a
    // key that does not fit, made none; and nobody else makes one of that name (attach's lock).
    if (!isRefusal(error)) await closeMapping(name, WITHOUT_UDEV).catch(() => undefined)
    throw error
  }
}

const REFUSALS: ReadonlySet<string> = new Set(['busy', 'wrong-key'])

function isRefusal(error: unknown): boolean {
  return error instanceof VolsealError && REFUSALS.has(error.code)
}

/** Another device may have taken the path between our look and cryptsetup's. */
async function requireOn(device: Device, name: string): Promise<Mapping> {
  const mappings = listMappings()
  const mapping = mappings.find((each) => each.name === name)
  const below = mapping && (await deviceBelow(mapping, mappings))
  if (mapping !== undefined && below?.identity === device.identity) return mapping
  throw new VolsealError('io', `/dev/mapper/${name} does not lie on ${device.path} as it should`, {
    hint: 'its device was replaced just now; it was closed again',
  })
}

/**
 * A volume that is being encrypted anew was opened by the header on the device, which may have changed
 * since it was judged: what the kernel was told must still be what was judged.
 */
async function requireCipher(mapping: Mapping, { cipher, uuid }: JudgedHeader): Promise<void> {
  const own = `CRYPT-LUKS2-${uuid.replaceAll('-', '')}`
  const parts = listMappings().filter((each) => each.uuid.startsWith(own))
  for (const part of parts.length === 0 ? [mapping] : parts) {
    const found = await cryptCiphers(part.name)
    if (found.every((each) => each === cipher)) continue
    await closeMapping(mapping.name, WITHOUT_UDEV)
    throw new VolsealError(
      'header-damaged',
      `the header changed while the volume was opened: expected ${cipher}, got ${found.join(', ')}`,
      { hint: 'it was closed again; somebody may be forging the header' },
    )
  }
}
