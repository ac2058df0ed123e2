import { VolsealError } from '../../core/errors.js'
import type { Device } from '../device.js'
import type { JudgedHeader } from '../header/judge-header.js'
import { cryptTables, listMappings, type Mapping } from '../mapper.js'
import { deviceBelow } from './locate-volume.js'
import { plainSettings } from './plain.js'
import { judgeVolume, type VolumeRequest } from './volume-request.js'

/** Whether an open that was killed has left it: with a table, which is not in use yet. */
export function isUnfinished({ size }: Pick<Mapping, 'size'>): boolean {
  return size === 0
}

/**
 * Makes sure that a mapping which is there already is this volume's, opened as its header says, and
 * gives that header; undefined for plain dm-crypt, which has none.
 *
 * @throws {VolsealError} `busy` naming what does not match; `header-damaged`
 */
export async function requireOwnMapping(
  request: VolumeRequest,
  device: Device,
  mapping: Mapping,
): Promise<JudgedHeader | undefined> {
  requireRunning(mapping)
  await requireOn(mapping, device)
  if (request.format === 'plain') {
    requireUuid(mapping, device, `CRYPT-PLAIN-${mapping.name}`)
    await requireTable(mapping, device, { ...plainSettings(request), payloadOffset: 0 })
    return undefined
  }
  const header = await judgeVolume(request, device).catch((error: unknown) => {
    throw keepOpen(error, mapping)
  })
  const uuid = header.uuid.replaceAll('-', '')
  requireUuid(mapping, device, `CRYPT-LUKS${header.version}-${uuid}-${mapping.name}`)
  // While it is being encrypted anew, it lies on mappings of cryptsetup's own.
  if (!header.reencrypting) await requireTable(mapping, device, header)
  return header
}

/** The key in the kernel is then all that there is: closed, the volume is lost. */
function keepOpen(error: unknown, { name }: Mapping): unknown {
  if (!(error instanceof VolsealError)) return error
  if (error.code !== 'header-damaged' && error.code !== 'not-found') return error
  return new VolsealError('header-damaged', error.message, {
    hint: `the volume is still open as /dev/mapper/${name}: do not close it; copy its content, or restore a header backup`,
    cause: error,
  })
}

function requireRunning({ name, suspended }: Mapping): void {
  if (!suspended) return
  throw new VolsealError('busy', `/dev/mapper/${name} is suspended`, {
    hint: `let it go on: cryptsetup luksResume ${name}`,
  })
}

/** While a volume is being encrypted anew, cryptsetup's own mappings lie between the two. */
async function requireOn(mapping: Mapping, device: Device): Promise<void> {
  const below = await deviceBelow(mapping, listMappings())
  if (below.identity === device.identity) return
  throw mismatch(mapping, device, 'device', below.realPath, device.realPath)
}

/** The kernel keeps 128 bytes of it (DM_UUID_LEN); a longer one is cut off. */
const UUID_BYTES = 128

function requireUuid(mapping: Mapping, device: Device, expected: string): void {
  const isCut = mapping.uuid.length >= UUID_BYTES - 1 && expected.startsWith(mapping.uuid)
  if (mapping.uuid === expected || isCut) return
  throw mismatch(mapping, device, 'uuid', mapping.uuid, expected)
}

async function requireTable(
  mapping: Mapping,
  device: Device,
  { cipher, payloadOffset }: Pick<JudgedHeader, 'cipher' | 'payloadOffset'>,
): Promise<void> {
  const [table, more] = (await cryptTables(mapping.name)) ?? []
  if (table === undefined || more !== undefined) {
    throw mismatch(mapping, device, 'table', 'not one piece of dm-crypt', 'one')
  }
  const expected = { device: device.number, offset: payloadOffset, cipher }
  for (const each of ['device', 'offset', 'cipher'] as const) {
    if (table[each] !== expected[each]) {
      throw mismatch(mapping, device, each, `${table[each]}`, `${expected[each]}`)
    }
  }
}

function mismatch(
  { name }: Mapping,
  { path }: Device,
  what: string,
  found: string,
  expected: string,
): VolsealError {
  return new VolsealError(
    'busy',
    `there is a mapping ${name} already, and it is not that of ${path}: expected the ${what} ${expected}, got ${found}`,
    { hint: `nothing was changed; see volseal status, and dmsetup table ${name}` },
  )
}
