import { throwIfAborted, VolsealError } from '../../core/errors.js'
import { consume, Secret } from '../../core/secret.js'
import { cryptsetup, PBKDF_OPTIONS, type Pbkdf, testArgs } from '../cryptsetup.js'
import { type Device, withReading } from '../device.js'
import type { KeyslotReport } from '../header/describe-header.js'
import { withHeader } from '../header/header-copy.js'
import { readHeader } from '../header/read-header.js'
import { parseToken, tokenJson, type VolumeToken } from '../header/volume-token.js'
import { type Opening, testPassphrase } from '../open-volume.js'

/**
 * What changes the keyslots of a header. Each of these is one cryptsetup that is not ended by us
 * (`mustEnd`): it goes on when we are killed, and neither can it wait for us, since both keys are in
 * the pipe that is its standard input (a FIFO would keep it waiting for a writer for ever). When the
 * pipe is cut short it refuses before it changes anything. It prints nothing unless it has failed,
 * so that it does not die of SIGPIPE in the middle either.
 */

/**
 * Those of the slots that the passphrase opens; each is tried by its number. What is tried is the
 * header that was judged, not the device: there, somebody's token could open any slot.
 */
export async function slotsOpenedBy(
  { device, header, passphrase, signal }: Opening,
  slots: readonly KeyslotReport[] = header.keyslots,
): Promise<number[]> {
  return await withHeader(header, async (path) => {
    const opened: number[] = []
    for (const { number } of slots) {
      throwIfAborted(signal)
      const args = [...testArgs(device.realPath, path), '--key-slot', String(number)]
      const trying = cryptsetup(args, `cannot try ${device.path}`, { passphrase, signal })
      if (await isRight(trying)) opened.push(number)
    }
    return opened
  })
}

/** Whether the passphrase opens any slot; tries only, changes nothing. */
export async function opensVolume(opening: Opening): Promise<boolean> {
  return await isRight(testPassphrase(opening))
}

async function isRight(trying: Promise<unknown>): Promise<boolean> {
  try {
    await trying
    return true
  } catch (error) {
    if (error instanceof VolsealError && error.code === 'wrong-key') return false
    throw error
  }
}

/**
 * Adds a slot for `added`, which cryptsetup chooses.
 *
 * @throws {VolsealError} `too-small` when no slot is free
 */
export async function addKey(
  device: Device,
  existing: Secret,
  added: Secret,
  pbkdf: Pbkdf,
): Promise<void> {
  if (existing.length === 0 || added.length === 0) {
    // A size of 0 means "to the end", and the two would run into each other.
    throw new VolsealError('usage', 'a key without any bytes opens no volume')
  }
  const both = new Secret(Buffer.concat([existing.bytes(), added.bytes()]))
  const args = [
    'luksAddKey',
    '--batch-mode',
    '--key-file=-',
    '--keyfile-size',
    String(existing.length),
    '--new-keyfile-size',
    String(added.length),
    ...PBKDF_OPTIONS[pbkdf],
    device.realPath,
    '-',
  ]
  await consume(both, async (passphrase) => {
    await change(device, 'cannot add a key to', args, passphrase)
  })
}

/**
 * Removes a slot, provided that `remaining` opens another one: cryptsetup itself tries that first, so
 * that whatever else is wrong, a volume that `remaining` opens is left.
 */
export async function killSlot(device: Device, slot: number, remaining: Secret): Promise<void> {
  const args = ['luksKillSlot', '--batch-mode', '--key-file=-', device.realPath, String(slot)]
  await change(device, `cannot remove keyslot ${slot} of`, args, remaining)
}

/** Lets the tokens of a LUKS2 slot, also those of others, be those of another one of the same key. */
export async function moveTokens(device: Device, from: number, to: number): Promise<void> {
  const found = await withReading(device, async (file) => await readHeader(file, device))
  if (found.version === 1) return
  for (const { number, keyslots, content } of found.header.metadata.tokens) {
    if (!keyslots.includes(from)) continue
    const moved = new Set(keyslots.map((slot) => (slot === from ? to : slot)))
    const json = JSON.stringify({ ...content, keyslots: [...moved].map(String) })
    await importToken(device, json, number)
  }
}

/** What cryptsetup says when there is no slot, or no place for its key material, and what we say. */
const NO_ROOM: readonly (readonly [string, string])[] = [
  ['All key slots full', 'all keyslots are full'],
  ['No space for new keyslot', 'there is no room for the key material of another keyslot'],
]

async function change(
  device: Device,
  what: string,
  args: readonly string[],
  passphrase?: Secret,
): Promise<void> {
  try {
    await cryptsetup(args, `${what} ${device.path}`, { passphrase, mustEnd: true })
  } catch (error) {
    const said = error instanceof VolsealError ? error.message : ''
    const full = NO_ROOM.find(([words]) => said.includes(words))
    if (full !== undefined) {
      throw new VolsealError('too-small', `${device.path}: ${full[1]}`, {
        hint: 'nothing was changed; remove one that is not needed: cryptsetup luksKillSlot',
        cause: error,
      })
    }
    throw error
  }
}

/** One of our tokens and its number in the header. */
export interface NumberedToken {
  readonly number: number
  readonly token: VolumeToken
}

/**
 * Our tokens in a LUKS2 header; undefined for LUKS1, which has none.
 *
 * @throws {VolsealError} `header-damaged` for a token of ours that is not as it should be
 */
export async function tokensOf(device: Device): Promise<NumberedToken[] | undefined> {
  const found = await withReading(device, async (file) => await readHeader(file, device))
  if (found.version === 1) return undefined
  return found.header.metadata.tokens.flatMap(({ number, content }) => {
    const token = parseToken(content)
    return token === undefined ? [] : [{ number, token }]
  })
}

/** Puts a token into the header, in the place of the one with that number if one is given. */
export async function putToken(device: Device, token: VolumeToken, number?: number): Promise<void> {
  await importToken(device, tokenJson(token), number)
}

async function importToken(
  device: Device,
  json: string,
  number: number | undefined,
): Promise<void> {
  const place = number === undefined ? [] : ['--token-id', String(number), '--token-replace']
  const args = ['token', 'import', ...place, '--json-file', '-', device.realPath]
  await change(device, 'cannot write a token to', args, new Secret(Buffer.from(json)))
}

export async function removeToken(device: Device, number: number): Promise<void> {
  const args = ['token', 'remove', '--token-id', String(number), device.realPath]
  await change(device, `cannot remove token ${number} of`, args)
}
