import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { NO_KEY_ID, tokenWarnings } from '../../src/encryptor/attach/token-warnings.js'
import { type JudgedHeader, judgeDevice, lookAtDevice } from '../../src/encryptor/index.js'
import { accessVolume } from '../../src/face/volume-access.js'
import { formatVolume } from '../../src/index.js'
import type { SecretSource } from '../../src/keyfile/index.js'
import { scratchDirectory } from '../harness/run.js'
import { blankFile, cryptsetupFormat, freshKeyManager, hexOf } from '../harness/volumes.js'

const MIB = 1024 * 1024
const directory = scratchDirectory()
const keyManager = await freshKeyManager(directory)
const keyId = await keyManager.createKey({ algorithm: 'aes', bitLength: 256 })

const path = blankFile(directory, 'volume', 20 * MIB)
await formatVolume({ device: path, provider: 'luks2', keyId, keyManager, volumeId: 'vol-1' })
const header = await headerOf(path)

async function headerOf(file: string): Promise<JudgedHeader> {
  return await judgeDevice(await lookAtDevice(file))
}

/** The key manager, and whether somebody has asked it for a key. */
function watched(): { asked: string[]; source: SecretSource } {
  const asked: string[] = []
  const fetch: SecretSource['fetch'] = async (id) => {
    asked.push(id)
    return await keyManager.fetch(id)
  }
  return { asked, source: { fetch, describe: async (id) => await keyManager.describe(id) } }
}

describe('what the token of an opened volume says', () => {
  it.each<[string, string, string | undefined, readonly RegExp[]]>([
    ['the key and the volume that were meant', keyId, 'vol-1', []],
    ['the key, of a volume that nobody named', keyId, undefined, []],
    [
      'another key',
      'another',
      'vol-1',
      [/^the header names another key, .*; the one that was given/],
    ],
    ['another volume', keyId, 'vol-2', [/^the header names another volume, vol-1, as .* clone/]],
    ['another key and another volume', 'another', 'vol-2', [/another key/, /another volume/]],
  ])('is %s', (_, openedBy, volumeId, warnings) => {
    const found = tokenWarnings(header, { keyId: openedBy, hasOpened: true }, volumeId)
    expect(found).toHaveLength(warnings.length)
    for (const [index, warning] of warnings.entries()) expect(found[index]).toMatch(warning)
    if (openedBy !== keyId) expect(found[0]).toContain(keyId)
  })

  it('is told of a volume that was open already, whose key is not tried', () => {
    const named = { keyId: 'another', hasOpened: false }
    expect(tokenWarnings(header, named, undefined)).toEqual([
      `the header names another key, ${keyId}; another was not tried`,
    ])
  })

  it('is nothing to a key from a file, which has no id', () => {
    expect(tokenWarnings(header, { keyId: NO_KEY_ID, hasOpened: true }, 'vol-1')).toEqual([])
  })

  it('is nothing where there is no token', async () => {
    const bare = blankFile(directory, 'bare', 20 * MIB)
    cryptsetupFormat(bare, 'luks2', 'passphrase')
    expect(tokenWarnings(await headerOf(bare), { keyId: 'any', hasOpened: true }, 'vol-1')).toEqual(
      [],
    )
  })
})

describe('--from-token', () => {
  it('takes the key that the token names, for the volume that was meant', async () => {
    const { asked, source } = watched()
    const access = await accessVolume({ keyManager: source, fromToken: 'vol-1' }, 'luks2', header)
    expect([access.keyId, access.encoding, asked]).toEqual([keyId, 'hex', [keyId]])
    expect(access.passphrase.bytes().toString()).toBe(await hexOf(keyManager, keyId))
  })

  it("does not take a clone's token, and asks for no key", async () => {
    const clone = join(directory, 'clone')
    copyFileSync(path, clone)
    const { asked, source } = watched()
    const cloned = await headerOf(clone)
    const access = accessVolume({ keyManager: source, fromToken: 'vol-2' }, 'luks2', cloned)
    await expect(access).rejects.toMatchObject({
      code: 'not-found',
      message: `the header's token is that of another volume: expected vol-2, got "vol-1"`,
      hint: expect.stringContaining('say --key-id ID'),
    })
    expect(asked).toEqual([])
  })

  it.each([
    ['without a token', 'luks2'],
    ['of LUKS1, which has none', 'luks1'],
  ] as const)('finds no key in a header %s', async (_, type) => {
    const bare = blankFile(directory, `bare-${type}`, 20 * MIB)
    cryptsetupFormat(bare, type, 'passphrase')
    const { asked, source } = watched()
    const found = await headerOf(bare)
    const access = accessVolume({ keyManager: source, fromToken: 'vol-1' }, 'luks2', found)
    await expect(access).rejects.toMatchObject({ code: 'not-found' })
    expect(asked).toEqual([])
  })

  it('is not needed where a key is named, whatever the token says', async () => {
    const named = await keyManager.createKey({ algorithm: 'aes', bitLength: 256 })
    const access = await accessVolume({ keyManager, keyId: named }, 'luks2', header)
    expect(access.keyId).toBe(named)
    expect(tokenWarnings(header, { keyId: access.keyId, hasOpened: true }, undefined)).toHaveLength(
      1,
    )
  })
})
