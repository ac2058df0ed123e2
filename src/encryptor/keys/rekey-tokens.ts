import type { Device } from '../device.js'
import { tokenJson, type VolumeToken } from '../header/volume-token.js'
import { type NumberedToken, putToken, removeToken, tokensOf } from './keyslots.js'

/**
 * What a LUKS2 header says of a replacement. While it goes on there are two tokens: that of the old
 * key as it was, and one of the new key in the phase `adding`. LUKS1 has no tokens.
 */

export interface TokenFacts {
  readonly device: Device
  readonly oldKeyId: string
  readonly newKeyId: string
  readonly encoding: VolumeToken['encoding']
}

/** @throws {VolsealError} `header-damaged`: better before the first change than in the middle */
export async function requireReadableTokens(device: Device): Promise<void> {
  await tokensOf(device)
}

/** The new key's slot is there; nobody has taken it over yet. */
export async function announceKey(facts: TokenFacts, keyslots: readonly number[]): Promise<void> {
  const { device } = facts
  const tokens = await tokensOf(device)
  if (tokens === undefined) return
  if (findNew(tokens, facts) !== undefined) return
  await putToken(device, tokenOf(facts, tokens, keyslots, 'adding'))
}

/** The new key's token becomes the volume's; what says something of keys that are gone is removed. */
export async function settleTokens(
  facts: TokenFacts,
  keyslots: readonly number[],
  beforeChange: () => Promise<void> = async () => {},
): Promise<void> {
  const { device } = facts
  const tokens = await tokensOf(device)
  if (tokens === undefined) return
  const there = findNew(tokens, facts)
  const wanted = tokenOf(facts, tokens, keyslots, 'ready')
  const stale = tokens.filter((candidate) => candidate !== there && isStale(candidate, facts))
  const isWritten = there !== undefined && isSame(there.token, wanted)
  if (isWritten && stale.length === 0) return
  await beforeChange()
  if (!isWritten) await putToken(device, wanted, there?.number)
  for (const { number } of stale) await removeToken(device, number)
}

/** The new key is gone again, and so is its token. */
export async function withdrawKey(
  facts: TokenFacts,
  beforeChange: () => Promise<void>,
): Promise<void> {
  const { device } = facts
  const tokens = (await tokensOf(device)) ?? []
  const ofNew = tokens.filter(({ token }) => token.keyId === facts.newKeyId)
  if (ofNew.length > 0) await beforeChange()
  for (const { number } of ofNew) await removeToken(device, number)
}

function findNew(
  tokens: readonly NumberedToken[],
  { newKeyId }: TokenFacts,
): NumberedToken | undefined {
  return tokens.find(({ token }) => token.keyId === newKeyId)
}

/** cryptsetup takes a slot that it removes out of all tokens: one without any opens nothing. */
function isStale({ token }: NumberedToken, { oldKeyId }: TokenFacts): boolean {
  return token.keyId === oldKeyId || token.keyslots.length === 0
}

function tokenOf(
  { oldKeyId, newKeyId, encoding }: TokenFacts,
  tokens: readonly NumberedToken[],
  keyslots: readonly number[],
  phase: VolumeToken['phase'],
): VolumeToken {
  const source =
    tokens.find(({ token }) => token.keyId === newKeyId) ??
    tokens.find(({ token }) => token.keyId === oldKeyId)
  return { keyslots, keyId: newKeyId, volumeId: source?.token.volumeId ?? null, encoding, phase }
}

function isSame(one: VolumeToken, other: VolumeToken): boolean {
  return tokenJson(one) === tokenJson(other)
}
