import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { lookAtDevice } from '../../src/encryptor/device.js'
import { withHeaderCopy } from '../../src/encryptor/header/header-copy.js'
import { judgeDevice } from '../../src/encryptor/header/judge-header.js'
import {
  abortRekey,
  checkVolumeKey,
  reencryptVolume,
  rekeyVolume,
  tuneVolume,
  VolsealError,
} from '../../src/index.js'
import { editLuks2 } from '../harness/edit-luks2.js'
import { putKeyIntoKeyring } from '../harness/keyring.js'
import { CLI, run, scratchDirectory } from '../harness/run.js'
import {
  blankFile,
  cryptsetupFormat,
  freshKeyManager,
  hexOf,
  opensWith,
  sha256,
} from '../harness/volumes.js'

/**
 * cryptsetup tries a header's tokens before the passphrase. Who can write to the storage, and knows
 * of a key in the keyring of a host, can add a token that makes any key seem to open the volume: a
 * check then says yes to the wrong key, and a rekey removes the right one.
 */

const LONG = { timeout: 120_000 }
const MIB = 1024 * 1024
const directory = scratchDirectory()
const keyManager = await freshKeyManager(directory)
const keyId = await keyManager.createKey({ algorithm: 'aes', bitLength: 256 })
const wrongId = await keyManager.createKey({ algorithm: 'aes', bitLength: 256 })
const passphrase = await hexOf(keyManager, keyId)
const wrong = await hexOf(keyManager, wrongId)
const description = `volseal-test-${randomBytes(8).toString('hex')}`
const hasKeyring = putKeyIntoKeyring(description, passphrase)
let files = 0

function volume(): string {
  files += 1
  const path = blankFile(directory, `volume-${files}`, 18 * MIB)
  cryptsetupFormat(path, 'luks2', passphrase)
  return path
}

function volumeWithToken(): string {
  const path = volume()
  run('cryptsetup', ['token', 'add', '--key-description', description, path])
  return path
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  return await work.then(
    () => 'ok',
    (error: unknown) => (error instanceof VolsealError ? error.code : String(error)),
  )
}

/** All that asks whether a key opens a volume, and changes its header then. */
const CHANGES = { rekeyVolume, abortRekey, tuneVolume, reencryptVolume } as const
const NAMES = ['rekeyVolume', 'abortRekey', 'tuneVolume', 'reencryptVolume'] as const

describe.skipIf(!hasKeyring)('a forged luks2-keyring token (lacks a kernel keyring)', () => {
  it('makes cryptsetup itself accept a wrong key', LONG, () => {
    expect(opensWith(volume(), wrong)).toBe(false)
    expect(opensWith(volumeWithToken(), wrong)).toBe(true)
  })

  it('does not make a check accept it', LONG, async () => {
    const device = volumeWithToken()
    const check = await checkVolumeKey({ device, keyId: wrongId, keyManager })
    expect(check).toMatchObject({ opens: false, form: null, keyslots: [], others: [0] })
    const right = await checkVolumeKey({ device, keyId, keyManager })
    expect(right).toMatchObject({ opens: true, keyslots: [0], others: [] })
  })

  it.each(NAMES)('does not make %s accept it', LONG, async (name) => {
    const device = volumeWithToken()
    const before = sha256(device)
    const options = { device, keyId: wrongId, keyManager, backup: 'none' } as const
    expect(await codeOf(CHANGES[name](options))).toBe('wrong-key')
    expect(sha256(device)).toBe(before)
  })

  it('does not hide from a rekey which slots are whose', LONG, async () => {
    const device = volumeWithToken()
    const result = await rekeyVolume({ device, keyId, keyManager, backup: 'none' })
    expect(result).toMatchObject({ state: 'replaced', keyslots: [1], removed: [0], others: [] })
    const check = await checkVolumeKey({ device, keyId, keyManager })
    expect(check).toMatchObject({ opens: false, others: [1] })
  })

  it('is not tried while a reencryption is in progress either', LONG, async () => {
    const device = volume()
    const init = ['reencrypt', '--init-only', '-q', '--force-offline-reencrypt', '--key-file=-']
    run('cryptsetup', [...init, device], passphrase)
    const options = { device, keyManager, backup: 'none' } as const
    expect(await checkVolumeKey({ ...options, keyId: wrongId })).toMatchObject({ opens: false })
    expect(await checkVolumeKey({ ...options, keyId })).toMatchObject({ opens: true })
    editLuks2(device, {
      json: {
        'tokens.0': { type: 'luks2-keyring', keyslots: ['0'], key_description: description },
      },
    })
    expect(await codeOf(checkVolumeKey({ ...options, keyId: wrongId }))).toBe('header-damaged')
    expect(await codeOf(reencryptVolume({ ...options, keyId: wrongId }))).toBe('header-damaged')
  })
})

it('a token does not get into the copy that a key is tried on', LONG, async () => {
  const path = volumeWithToken()
  const dump = ['luksDump', '--dump-json-metadata']
  expect(run('cryptsetup', [...dump, path]).toString()).toContain(description)
  await withHeaderCopy(await judgeDevice(await lookAtDevice(path)), async (copy) => {
    expect(run('cryptsetup', [...dump, copy]).toString()).not.toContain(description)
    await Promise.resolve()
  })
})

describe('a header that is not acceptable', () => {
  function forged(): string {
    const path = volume()
    editLuks2(path, { json: { 'segments.0.encryption': 'cipher_null-ecb' } })
    return path
  }

  it.each(NAMES)('is refused by %s, and left as it is', LONG, async (name) => {
    const device = forged()
    const before = sha256(device)
    const options = { device, keyId, keyManager, backup: 'none' } as const
    expect(await codeOf(CHANGES[name](options))).toBe('header-damaged')
    expect(sha256(device)).toBe(before)
  })

  it('is refused by luks check with code 24', LONG, async () => {
    const device = forged()
    expect(await codeOf(checkVolumeKey({ device, keyId, keyManager }))).toBe('header-damaged')
    const env = { ...process.env, HOME: directory }
    const volseal = (...args: string[]): ReturnType<typeof spawnSync> =>
      spawnSync('node', [CLI, ...args], { env, encoding: 'utf8' })
    const id = String(volseal('secret', 'create').stdout).trim()
    const { status, stderr } = volseal('luks', 'check', device, '--key-id', id)
    expect(status).toBe(24)
    expect(stderr).toContain(`the LUKS header on ${device} is not acceptable: segment cipher`)
  })
})
