import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  abortRekey,
  checkVolumeKey,
  inspectVolume,
  type RekeyOptions,
  rekeyVolume,
  Secret,
  tuneVolume,
  VolsealError,
} from '../../src/index.js'
import { run, scratchDirectory } from '../harness/run.js'
import {
  blankFile,
  cryptsetupFormat,
  freshKeyManager,
  hexOf,
  opensWith,
  sha256,
} from '../harness/volumes.js'

const LONG = { timeout: 120_000 }
const MIB = 1024 * 1024
const directory = scratchDirectory()
const keyManager = await freshKeyManager(directory)
const keyId = await newKey()
const passphrase = await hexOf(keyManager, keyId)
const place = { directory: join(directory, 'backups'), keep: 5 }
let files = 0

type Type = 'luks1' | 'luks2'

async function newKey(): Promise<string> {
  return await keyManager.createKey({ algorithm: 'aes', bitLength: 256 })
}

function volume(type: Type): string {
  files += 1
  const path = blankFile(directory, `volume-${files}`, 18 * MIB)
  cryptsetupFormat(path, type, passphrase)
  return path
}

function addSlot(device: string, added: string, ...options: string[]): void {
  const sizes = ['--keyfile-size', String(passphrase.length)]
  const cheap = ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000']
  const args = ['luksAddKey', '-q', '--key-file=-', ...sizes, ...cheap, ...options, device, '-']
  run('cryptsetup', args, passphrase + added)
}

async function rekey(
  device: string,
  options: Partial<RekeyOptions> = {},
): ReturnType<typeof rekeyVolume> {
  return await rekeyVolume({ device, keyId, keyManager, backup: 'none', ...options })
}

async function failure(work: Promise<unknown>): Promise<VolsealError> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof VolsealError) return error
  throw new Error(`expected a refusal, got ${String(error)}`)
}

describe.each(['luks1', 'luks2'] as const)('a rekey of %s', (type) => {
  it('replaces the key by one that it makes, and leaves other slots alone', LONG, async () => {
    const device = volume(type)
    addSlot(device, 'escrow')
    const result = await rekey(device, { backup: place })
    expect(result).toMatchObject({ state: 'replaced', keyslots: [2], removed: [0], others: [1] })
    const made = result.newKeyId ?? ''
    expect(opensWith(device, passphrase)).toBe(false)
    expect(opensWith(device, await hexOf(keyManager, made))).toBe(true)
    expect(opensWith(device, 'escrow')).toBe(true)
    const { name, metadata } = await keyManager.describe(made)
    expect(name).toBe(`key of volume ${result.uuid}`)
    expect(metadata).toMatchObject({ replaces: keyId })
    expect(result.backup?.file).toContain(join(place.directory, result.uuid))
    const { keyslots } = await inspectVolume(device)
    expect(keyslots).toMatchObject([
      { number: 1 },
      { number: 2, pbkdf: 'pbkdf2', iterations: 1000 },
    ])
  })

  it('removes the old key only when the new one was taken over', LONG, async () => {
    const device = volume(type)
    const newKeyId = await newKey()
    const newHex = await hexOf(keyManager, newKeyId)
    const seen: unknown[] = []
    const result = await rekey(device, {
      newKeyId,
      commit: async (key) => {
        seen.push(key, opensWith(device, passphrase), opensWith(device, newHex))
      },
    })
    expect(seen).toEqual([{ newKeyId, oldKeyId: keyId, uuid: result.uuid }, true, true])
    expect([opensWith(device, passphrase), opensWith(device, newHex)]).toEqual([false, true])
  })

  it('that was not taken over is gone on with, or aborted', LONG, async () => {
    const device = volume(type)
    const refuse = async (): Promise<void> => await Promise.reject(new Error('no database'))
    const error = await failure(rekey(device, { commit: refuse }))
    expect(error.code).toBe('unavailable')
    expect(error.message).toContain('no database')
    expect(error.hint).toContain('both keys open the volume')
    expect(opensWith(device, passphrase)).toBe(true)

    const aborted = await abortRekey({ device, keyId, keyManager, backup: 'none' })
    expect(aborted).toMatchObject({ state: 'aborted', keyslots: [0], removed: [1] })
    const newHex = await hexOf(keyManager, aborted.newKeyId ?? '')
    expect([opensWith(device, passphrase), opensWith(device, newHex)]).toEqual([true, false])
    const again = await abortRekey({ device, keyId, keyManager, backup: 'none' })
    expect(again).toMatchObject({ state: 'nothing-to-abort', removed: [] })

    await failure(rekey(device, { commit: refuse }))
    const result = await rekey(device)
    expect(result).toMatchObject({ state: 'resumed', removed: [0] })
    expect(await rekey(device)).toMatchObject({ state: 'already', newKeyId: result.newKeyId })
    const late = await failure(abortRekey({ device, keyId, keyManager, backup: 'none' }))
    expect(late.code).toBe('wrong-key')
    expect(late.message).toContain('any more')
  })

  it('with a wrong key changes nothing and makes no key', LONG, async () => {
    const device = volume(type)
    const before = sha256(device)
    const wrong = await newKey()
    const count = (await keyManager.list()).length
    const options = { keyId: wrong, backup: place }
    expect((await failure(rekey(device, options))).code).toBe('wrong-key')
    const newKeyId = await newKey()
    expect((await failure(rekey(device, { ...options, newKeyId }))).code).toBe('wrong-key')
    const abort = abortRekey({ device, keyManager, ...options })
    expect((await failure(abort)).code).toBe('wrong-key')
    expect(sha256(device)).toBe(before)
    expect((await keyManager.list()).length).toBe(count + 1)
  })

  it('refuses a new key that is the old one', LONG, async () => {
    const device = volume(type)
    const before = sha256(device)
    const { payload } = await keyManager.get(keyId)
    const clone = await keyManager.store({ type: 'symmetric', payload })
    expect((await failure(rekey(device, { newKeyId: keyId }))).message).toContain('the same key')
    expect((await failure(rekey(device, { newKeyId: clone }))).message).toContain('same bytes')
    expect(sha256(device)).toBe(before)
  })

  it('with all keyslots full says so, and makes no key', LONG, async () => {
    const device = volume(type)
    for (let slot = 1; slot < (type === 'luks1' ? 8 : 32); slot += 1) addSlot(device, `key ${slot}`)
    const before = sha256(device)
    const count = (await keyManager.list()).length
    const error = await failure(rekey(device))
    expect(error.code).toBe('too-small')
    expect(error.message).toContain('all keyslots are full')
    expect(sha256(device)).toBe(before)
    expect((await keyManager.list()).length).toBe(count)
    expect(opensWith(device, passphrase)).toBe(true)
  })

  it('changes nothing when the header cannot be kept', LONG, async () => {
    const device = volume(type)
    const before = sha256(device)
    const nowhere = { directory: join(device, 'nowhere'), keep: 5 }
    expect((await failure(rekey(device, { backup: nowhere }))).code).toBe('not-found')
    expect(sha256(device)).toBe(before)
  })

  it('that is interrupted before its first change leaves the volume as it was', LONG, async () => {
    const device = volume(type)
    const before = sha256(device)
    const signal = AbortSignal.abort(new VolsealError('interrupted', 'interrupted'))
    expect((await failure(rekey(device, { signal }))).code).toBe('interrupted')
    expect(sha256(device)).toBe(before)
  })

  it('that is interrupted while it is being taken over keeps both keys', LONG, async () => {
    const device = volume(type)
    const controller = new AbortController()
    const commit = async (): Promise<void> => {
      controller.abort(new VolsealError('interrupted', 'interrupted'))
      await Promise.resolve()
    }
    const error = await failure(rekey(device, { signal: controller.signal, commit }))
    expect(error.code).toBe('interrupted')
    expect(error.hint).toContain('both keys open the volume')
    expect(opensWith(device, passphrase)).toBe(true)
    expect((await inspectVolume(device)).keyslots).toHaveLength(2)
  })
})

/** A token that somebody else may have written, as if it were ours. */
function putToken(device: string, token: Record<string, unknown>): void {
  const json = JSON.stringify({ type: 'volseal', volume_id: null, encoding: 'hex', ...token })
  run('cryptsetup', ['token', 'import', '--json-file', '-', device], json)
}

it.each(['ready', 'adding'])(
  'tokens in the phase %s decide nothing about a rekey',
  LONG,
  async (phase) => {
    const newKeyId = await newKey()
    const [before, between] = [volume('luks2'), volume('luks2')]
    addSlot(between, await hexOf(keyManager, newKeyId))
    for (const [device, state] of [
      [before, 'replaced'],
      [between, 'resumed'],
    ] as const) {
      for (const key_id of [keyId, newKeyId]) putToken(device, { key_id, keyslots: ['0'], phase })
      expect(await rekey(device, { newKeyId })).toMatchObject({
        state,
        removed: [0],
        keyslots: [1],
      })
      expect(opensWith(device, passphrase)).toBe(false)
      const { token } = await inspectVolume(device)
      expect(token).toMatchObject({ keyId: newKeyId, keyslots: [1], phase: 'ready' })
    }
    // The same lie afterwards, when only the new key is left.
    putToken(before, { key_id: keyId, keyslots: ['1'], phase })
    expect(await rekey(before, { newKeyId })).toMatchObject({ state: 'already', keyslots: [1] })
  },
)

it('a rekey to a passphrase makes it dear to guess', LONG, async () => {
  const device = volume('luks2')
  const typed = new Secret(Buffer.from('correct horse battery staple'))
  const newKeyId = await keyManager.store({ type: 'passphrase', payload: typed })
  await rekey(device, { newKeyId })
  expect(opensWith(device, 'correct horse battery staple')).toBe(true)
  const [slot] = (await inspectVolume(device)).keyslots
  expect(slot?.pbkdf === 'argon2id' || (slot?.iterations ?? 0) > 1000).toBe(true)
  const tuning = tuneVolume({
    device,
    keyId: newKeyId,
    keyManager,
    backup: 'none',
    keyIsRandom: true,
  })
  expect((await failure(tuning)).code).toBe('usage')
})

it('damaged tokens are found before anything is changed', LONG, async () => {
  const device = volume('luks2')
  const token = '{"type":"volseal","keyslots":["0"],"key_id":7}'
  run('cryptsetup', ['token', 'import', '--json-file', '-', device], token)
  const before = sha256(device)
  expect((await failure(rekey(device))).code).toBe('header-damaged')
  expect(sha256(device)).toBe(before)
})

describe.each(['luks1', 'luks2'] as const)('tuning %s', (type) => {
  function dear(): string {
    files += 1
    const path = blankFile(directory, `volume-${files}`, 18 * MIB)
    const cost = ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '200000']
    run(
      'cryptsetup',
      ['luksFormat', '-q', '--type', type, ...cost, '--key-file=-', path],
      passphrase,
    )
    return path
  }

  it('makes the slot of a random key cheap, and leaves the others', LONG, async () => {
    const device = dear()
    addSlot(device, 'escrow', '--pbkdf-force-iterations', '50000')
    const result = await tuneVolume({ device, keyId, keyManager, backup: place })
    expect(result).toMatchObject({
      state: 'tuned',
      before: { keyslots: [{ number: 0, iterations: 200_000 }] },
      after: { keyslots: [{ pbkdf: 'pbkdf2', iterations: 1000 }] },
      others: [{ number: 1, iterations: 50_000 }],
    })
    expect(result.backup).not.toBe(null)
    expect([opensWith(device, passphrase), opensWith(device, 'escrow')]).toEqual([true, true])
    const { keyslots } = await inspectVolume(device)
    expect(keyslots.find(({ number }) => number === 1)).toMatchObject({ iterations: 50_000 })
    const again = await tuneVolume({ device, keyId, keyManager, backup: place })
    expect(again).toMatchObject({ state: 'already', backup: null, others: [{ number: 1 }] })
  })

  it(
    'is refused for a key of unknown origin, unless its owner says that it is random',
    LONG,
    async () => {
      const device = volume(type)
      const { payload } = await keyManager.get(keyId)
      const stored = await keyManager.store({ type: 'symmetric', payload })
      const options = { device, keyId: stored, keyManager, backup: 'none' } as const
      expect((await failure(tuneVolume(options))).code).toBe('usage')
      expect(await tuneVolume({ ...options, keyIsRandom: true })).toMatchObject({
        state: 'already',
      })
      const other = { ...options, keyId: await newKey() }
      expect((await failure(tuneVolume(other))).code).toBe('wrong-key')
    },
  )
})

describe('the check of a key', () => {
  it('names the form in which it opens the volume', LONG, async () => {
    const key = Buffer.from('00041020304050607080900a0b0c0d0e', 'hex')
    const symmetric = await keyManager.store({ type: 'symmetric', payload: new Secret(key) })
    const typed = await keyManager.store({
      type: 'passphrase',
      payload: new Secret(Buffer.from('secret')),
    })
    const forms: readonly (readonly [string, string, 'hex' | undefined, string | null])[] = [
      [symmetric, key.toString('hex'), undefined, 'rule'],
      [symmetric, [...key].map((byte) => byte.toString(16)).join(''), undefined, 'mangled'],
      [symmetric, 'something else', undefined, null],
      [typed, 'secret', undefined, 'rule'],
      [typed, Buffer.from('secret').toString('hex'), undefined, 'hex'],
      [typed, Buffer.from('secret').toString('hex'), 'hex', 'rule'],
      [typed, 'secret', 'hex', 'verbatim'],
    ]
    for (const [id, content, passphraseEncoding, form] of forms) {
      files += 1
      const device = blankFile(directory, `volume-${files}`, 18 * MIB)
      cryptsetupFormat(device, 'luks1', content)
      const before = sha256(device)
      const check = await checkVolumeKey({ device, keyId: id, keyManager, passphraseEncoding })
      expect(check).toMatchObject({ form, opens: form === 'rule' })
      expect(sha256(device)).toBe(before)
    }
  })
})
