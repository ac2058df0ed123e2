import { createDecipheriv, randomBytes } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import {
  backupHeader,
  checkVolumeKey,
  reencryptVolume,
  rekeyVolume,
  restoreHeader,
  VolsealError,
} from '../../src/index.js'
import { run, scratchDirectory } from '../harness/run.js'
import { blankFile, freshKeyManager, hexOf, opensWith, poke, sha256 } from '../harness/volumes.js'

const LONG = { timeout: 300_000 }
const MIB = 1024 * 1024
const PAYLOAD_AT = 16 * MIB
const directory = scratchDirectory()
const keyManager = await freshKeyManager(directory)
const keyId = await keyManager.createKey({ algorithm: 'aes', bitLength: 256 })
const passphrase = await hexOf(keyManager, keyId)
const place = { directory: join(directory, 'backups'), keep: 5 }

function volume(name: string, type: 'luks1' | 'luks2', size: number): string {
  const path = blankFile(directory, name, size)
  const cheap = ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000', '--key-file=-']
  const sectors = type === 'luks2' ? ['--sector-size', '512'] : []
  run('cryptsetup', ['luksFormat', '-q', '--type', type, ...sectors, ...cheap, path], passphrase)
  return path
}

/** Content of the volume, decrypted by hand: XTS with the sector's number as tweak (plain64). */
function contentAt(path: string, sector: number, count: number): Buffer {
  const keyFile = join(directory, `volume-key-${randomBytes(4).toString('hex')}`)
  const dump = ['luksDump', '-q', '--dump-volume-key', '--volume-key-file', keyFile]
  run('cryptsetup', [...dump, '--key-file=-', path], passphrase)
  const key = run('cat', [keyFile])
  const cipher = `aes-${key.length * 4}-xts`
  const file = openSync(path, 'r')
  const sectors = Array.from({ length: count }, (_, index) => {
    const bytes = Buffer.alloc(512)
    readSync(file, bytes, 0, 512, PAYLOAD_AT + (sector + index) * 512)
    const tweak = Buffer.alloc(16)
    tweak.writeUInt32LE(sector + index)
    return createDecipheriv(cipher, key, tweak).update(bytes)
  })
  closeSync(file)
  return Buffer.concat(sectors)
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  return await work.then(
    () => 'ok',
    (error: unknown) => (error instanceof VolsealError ? error.code : String(error)),
  )
}

it(
  'another volume key encrypts the same content anew, and outdates old headers',
  LONG,
  async () => {
    const device = volume('volume', 'luks2', 40 * MIB)
    poke(device, PAYLOAD_AT, randomBytes(MIB))
    poke(device, 40 * MIB - 4096, randomBytes(4096))
    const last = (24 * MIB - 4096) / 512
    const content = [contentAt(device, 0, 64), contentAt(device, last, 8)]
    const before = sha256(device)
    const old = join(directory, 'old.header')
    await backupHeader({ device, out: old, keyManager })

    const seen: number[] = []
    const onProgress = (bytes: number): unknown => seen.push(bytes)
    const options = { device, keyId, keyManager, backup: place, onProgress }
    const result = await reencryptVolume(options)
    expect(result).toMatchObject({ state: 'reencrypted', keyslots: [expect.any(Number)] })
    expect(seen.at(-1)).toBe(24 * MIB)
    expect(sha256(device)).not.toBe(before)
    expect(opensWith(device, passphrase)).toBe(true)
    const now = [contentAt(device, 0, 64), contentAt(device, last, 8)]
    expect(now.every((bytes, index) => content[index]?.equals(bytes))).toBe(true)
    expect(await codeOf(restoreHeader({ file: old, device, keyManager }))).toBe('not-blank')
    // The key itself can be replaced as before.
    const { newKeyId } = await rekeyVolume(options)
    expect(opensWith(device, await hexOf(keyManager, newKeyId ?? ''))).toBe(true)
  },
)

it('interrupted at any time it stays usable, and the same call goes on', LONG, async () => {
  const device = volume('large', 'luks2', 400 * MIB)
  const controller = new AbortController()
  const onProgress = (): void => controller.abort(new VolsealError('interrupted', 'interrupted'))
  const options = { device, keyId, keyManager, backup: 'none' } as const
  const first = reencryptVolume({ ...options, onProgress, signal: controller.signal })
  // A fast machine may have come to the end before the signal was heard.
  expect(['interrupted', 'ok']).toContain(await codeOf(first))
  expect(opensWith(device, passphrase)).toBe(true)
  await reencryptVolume(options)
  expect(run('cryptsetup', ['luksDump', device]).toString()).not.toContain('online-reencrypt')
})

it('that is in progress keeps the volume usable, and the same call ends it', LONG, async () => {
  const device = volume('begun', 'luks2', 40 * MIB)
  poke(device, 39 * MIB, randomBytes(4096))
  const last = (23 * MIB) / 512
  const content = contentAt(device, last, 8)
  const backup = join(directory, 'before.header')
  await backupHeader({ device, out: backup, keyManager })
  const options = { device, keyId, keyManager, backup: 'none' } as const
  // As a run leaves it that is killed before its first block.
  const init = ['reencrypt', '--init-only', '-q', '--force-offline-reencrypt', '--key-file=-']
  run('cryptsetup', [...init, device], passphrase)

  expect(run('cryptsetup', ['luksDump', device]).toString()).toContain('online-reencrypt')
  expect(opensWith(device, passphrase)).toBe(true)
  const before = sha256(device)
  expect(await codeOf(restoreHeader({ file: backup, device, keyManager }))).toBe('not-blank')
  expect(await codeOf(rekeyVolume(options))).toBe('busy')
  expect(await checkVolumeKey(options)).toMatchObject({ opens: true, form: 'rule', keyslots: [] })
  const wrongId = await keyManager.createKey({ algorithm: 'aes', bitLength: 256 })
  const wrong = { ...options, keyId: wrongId }
  expect(await checkVolumeKey(wrong)).toMatchObject({ opens: false, form: null })
  expect(await codeOf(reencryptVolume(wrong))).toBe('wrong-key')
  expect(sha256(device)).toBe(before)

  await reencryptVolume(options)
  expect(run('cryptsetup', ['luksDump', device]).toString()).not.toContain('online-reencrypt')
  expect(contentAt(device, last, 8).equals(content)).toBe(true)
})

it('is refused where keys or content would be lost', LONG, async () => {
  const luks1 = volume('luks1', 'luks1', 20 * MIB)
  expect(await codeOf(reencryptVolume({ device: luks1, keyId, keyManager, backup: 'none' }))).toBe(
    'usage',
  )
  const device = volume('shared', 'luks2', 20 * MIB)
  const cheap = ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000']
  const sizes = ['--key-file=-', '--keyfile-size', String(passphrase.length)]
  run('cryptsetup', ['luksAddKey', '-q', ...sizes, ...cheap, device, '-'], `${passphrase}escrow`)
  const before = sha256(device)
  const options = { device, keyManager, backup: 'none' } as const
  expect(await codeOf(reencryptVolume({ ...options, keyId }))).toBe('usage')
  const other = await keyManager.createKey({ algorithm: 'aes', bitLength: 256 })
  expect(await codeOf(reencryptVolume({ ...options, keyId: other }))).toBe('wrong-key')
  expect(sha256(device)).toBe(before)
})
