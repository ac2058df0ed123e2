import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  backupHeader,
  checkHeaderBackup,
  formatVolume,
  inspectVolume,
  rekeyVolume,
  restoreHeader,
  VolsealError,
} from '../../src/index.js'
import { run, scratchDirectory } from '../harness/run.js'
import {
  blankFile,
  cryptsetupFormat,
  freshKeyManager,
  hexOf,
  opensWith,
  poke,
  sha256,
} from '../harness/volumes.js'

const LONG = { timeout: 120_000 }
const MIB = 1024 * 1024
const directory = scratchDirectory()
const keyManager = await freshKeyManager(directory)
const keyId = await keyManager.createKey({ algorithm: 'aes', bitLength: 256 })
const passphrase = await hexOf(keyManager, keyId)
const otherKeyId = await keyManager.createKey({ algorithm: 'aes', bitLength: 256 })
let files = 0

type Type = 'luks1' | 'luks2'

function fresh(name: string): string {
  files += 1
  return join(directory, `${name}-${files}`)
}

function volume(type: Type): string {
  const path = blankFile(directory, fresh('volume').slice(directory.length + 1), 20 * MIB)
  cryptsetupFormat(path, type, passphrase)
  return path
}

async function backupOf(device: string): Promise<string> {
  const out = fresh('header')
  await backupHeader({ device, out, keyManager })
  return out
}

async function outcome(work: Promise<unknown>): Promise<string> {
  try {
    await work
    return 'ok'
  } catch (error) {
    return error instanceof VolsealError ? error.code : String(error)
  }
}

async function restore(file: string, device: string, force?: string): Promise<string> {
  return await outcome(restoreHeader({ file, device, keyManager, force }))
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

describe.each(['luks1', 'luks2'] as const)('the header backup of a %s volume', (type) => {
  it('brings a header back that was overwritten in any way', LONG, async () => {
    const device = volume(type)
    const whole = sha256(device)
    const backup = await backupOf(device)
    expect(statSync(backup).mode & 0o777).toBe(0o600)
    expect(readFileSync(backup).includes(Buffer.from('LUKS\xba\xbe', 'latin1'))).toBe(false)
    const wounds: readonly (readonly [number, number, boolean])[] = [
      [0, 16 * MIB, true],
      [0, 4096, type === 'luks1'],
      [40_000, 200_000, false],
    ]
    for (const [at, length, needsForce] of wounds) {
      poke(device, at, Buffer.alloc(length))
      if (type === 'luks1' && length === 16 * MIB) truncateSync(device, 20 * MIB)
      // LUKS2 has a second header, which cryptsetup takes then.
      expect(opensWith(device, passphrase)).toBe(type === 'luks2' && length === 4096)
      if (needsForce) {
        expect(await restore(backup, device)).toBe('not-blank')
        expect(await restore(backup, device, 'another')).toBe('usage')
        expect(await restore(backup, device, nameOf(device))).toBe('ok')
      } else expect(await restore(backup, device)).toBe('ok')
      expect(sha256(device)).toBe(whole)
    }
    expect(opensWith(device, passphrase)).toBe(true)
  })

  it('is made of the header that it replaces, where that can be read', LONG, async () => {
    const device = volume(type)
    const before = sha256(device)
    const file = await backupOf(device)
    const keep = { directory: fresh('kept') }
    const restoring = { file, device, keyManager, keep }
    const { replaced } = await restoreHeader(restoring)
    expect(replaced).toMatchObject({ uuid: expect.any(String) })
    expect(await restore(replaced?.file ?? '', device)).toBe('ok')
    expect(sha256(device)).toBe(before)
    poke(device, 0, Buffer.alloc(16 * MIB))
    const forced = await restoreHeader({ ...restoring, force: nameOf(device) })
    expect(forced.replaced).toBe(null)
  })

  it(
    'is made of a header that is formatted over, and brings the old volume back',
    LONG,
    async () => {
      const device = volume(type)
      const before = sha256(device)
      const [keep, force] = [{ directory: fresh('kept') }, nameOf(device)]
      const provider = type === 'luks1' ? 'luks' : 'luks2'
      const formatting = { device, provider, keyId: otherKeyId, keyManager, keep } as const
      await expect(formatVolume(formatting)).rejects.toMatchObject({ code: 'not-blank' })
      expect(existsSync(keep.directory)).toBe(false)
      const { replaced, uuid } = await formatVolume({ ...formatting, force })
      expect(replaced?.uuid).not.toBe(uuid)
      expect(opensWith(device, passphrase)).toBe(false)
      expect(await restore(replaced?.file ?? '', device, force)).toBe('ok')
      expect(opensWith(device, passphrase)).toBe(true)
      // Behind LUKS1 the signatures of the old content are wiped, too: here that was zero.
      expect(sha256(device)).toBe(before)
    },
  )

  it('is made first, or neither format nor restore changes a header', LONG, async () => {
    const device = volume(type)
    const file = await backupOf(device)
    const before = sha256(device)
    const force = nameOf(device)
    const provider = type === 'luks1' ? 'luks' : 'luks2'
    const volumeToBe = { device, provider, keyId, keyManager, force } as const
    const asFile = fresh('file')
    writeFileSync(asFile, '')
    for (const place of ['/proc/headers', join(asFile, 'headers')]) {
      const keep = { directory: place }
      const hint = expect.stringContaining('--backup-dir')
      await expect(formatVolume({ ...volumeToBe, keep })).rejects.toMatchObject({ hint })
      const restoring = restoreHeader({ file, device, keyManager, keep })
      await expect(restoring).rejects.toMatchObject({ hint })
    }
    expect(sha256(device)).toBe(before)
    const { replaced } = await formatVolume({ ...volumeToBe, keep: 'none' })
    expect(replaced).toBe(null)
  })

  it('is none of a damaged header, which is formatted over all the same', LONG, async () => {
    const device = volume(type)
    poke(device, type === 'luks1' ? 100 : 0, Buffer.alloc(32 * 1024))
    const [keep, force] = [{ directory: fresh('kept') }, nameOf(device)]
    const provider = type === 'luks1' ? 'luks' : 'luks2'
    const done = await formatVolume({ device, provider, keyId, keyManager, force, keep })
    expect(done.replaced).toBe(null)
    expect(opensWith(device, passphrase)).toBe(true)
  })

  it('is made of one that volseal would not open, but cryptsetup does', LONG, async () => {
    const device = volume(type)
    const cipher = ['--cipher', 'aes-cbc-benbi', '--key-size', '256']
    const cheap = ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000', '--key-file=-']
    run('cryptsetup', ['luksFormat', '-q', '--type', type, ...cipher, ...cheap, device], passphrase)
    expect((await inspectVolume(device)).findings).not.toEqual([])
    const [keep, force] = [{ directory: fresh('kept') }, nameOf(device)]
    const provider = type === 'luks1' ? 'luks' : 'luks2'
    const { replaced } = await formatVolume({ device, provider, keyId, keyManager, force, keep })
    expect(await restore(replaced?.file ?? '', device, force)).toBe('ok')
    expect(opensWith(device, passphrase)).toBe(true)
  })

  it('is the header that cryptsetup itself keeps', LONG, async () => {
    const device = volume(type)
    const theirs = fresh('theirs')
    run('cryptsetup', ['luksHeaderBackup', device, '--header-backup-file', theirs])
    const { headerBytes } = await backupHeader({ device, out: fresh('header'), keyManager })
    const ours = readFileSync(device).subarray(0, headerBytes)
    expect(ours.subarray(0, statSync(theirs).size).equals(readFileSync(theirs))).toBe(true)
    expect(headerBytes).toBeGreaterThanOrEqual(statSync(theirs).size)
  })

  it('is refused when a byte of it was changed, and nothing is written', LONG, async () => {
    const device = volume(type)
    const backup = await backupOf(device)
    const whole = readFileSync(backup)
    const before = sha256(device)
    const headEnd = whole.indexOf('}') + 1
    const inHead = Array.from({ length: 24 }, (_, index) => Math.floor((index * headEnd) / 24))
    const behind = [headEnd, headEnd + 11, headEnd + 12, headEnd + MIB, whole.length - 16]
    for (const at of [...inHead, ...behind, whole.length - 1]) {
      const changed = Buffer.from(whole)
      changed[at] = (changed[at] ?? 0) ^ 1
      const file = fresh('changed')
      writeFileSync(file, changed)
      // A changed key id names a key that is not there, or is no id at all.
      const code = await restore(file, device, nameOf(device))
      expect(['header-damaged', 'not-found', 'usage'], `byte ${at}`).toContain(code)
    }
    for (const length of [0, 10, 26, headEnd, headEnd + 20, whole.length - 1]) {
      const file = fresh('short')
      writeFileSync(file, whole.subarray(0, length))
      expect(await restore(file, device), `${length} bytes`).toBe('header-damaged')
    }
    expect(sha256(device)).toBe(before)
  })

  it('belongs on its own volume', LONG, async () => {
    const device = volume(type)
    const other = volume(type)
    const backup = await backupOf(device)
    const before = sha256(other)
    expect(await restore(backup, other)).toBe('not-blank')
    const blank = blankFile(directory, nameOf(fresh('blank')), 20 * MIB)
    expect(await restore(backup, blank)).toBe('not-blank')
    const small = blankFile(directory, nameOf(fresh('small')), 1 * MIB)
    expect(await restore(backup, small, nameOf(small))).toBe('too-small')
    expect(await restore(backup, join(directory, 'nowhere'))).toBe('no-device')
    expect(sha256(other)).toBe(before)
    const { uuid } = await checkHeaderBackup({ file: backup, keyManager })
    expect(await restore(backup, other, uuid)).toBe('ok')
    expect(run('cryptsetup', ['luksUUID', other]).toString().trim()).toBe(uuid)
  })

  it('is not put back where the volume key was changed since', LONG, async () => {
    const device = volume(type)
    const backup = await backupOf(device)
    const { uuid } = await checkHeaderBackup({ file: backup, keyManager })
    // Formatted anew with the same UUID: another volume key.
    const cheap = ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000', '--key-file=-']
    const again = ['luksFormat', '-q', '--type', type, '--uuid', uuid, ...cheap, device]
    run('cryptsetup', again, passphrase)
    const before = sha256(device)
    expect(await restore(backup, device)).toBe('not-blank')
    expect(sha256(device)).toBe(before)
  })

  it('is not put onto a volume that is in use', LONG, async () => {
    const device = volume(type)
    const backup = await backupOf(device)
    const qemu = spawn('qemu-io', ['-f', 'raw', device], { stdio: ['pipe', 'pipe', 'ignore'] })
    try {
      await once(qemu.stdout, 'data')
      expect(await restore(backup, device)).toBe('busy')
    } finally {
      qemu.stdin.end('quit\n')
      await once(qemu, 'exit')
    }
  })

  it('says whether a key opens what is in it', LONG, async () => {
    const backup = await backupOf(volume(type))
    const other = await keyManager.createKey({ algorithm: 'aes', bitLength: 256 })
    const right = await checkHeaderBackup({ file: backup, keyManager, keyId })
    expect(right.key).toMatchObject({ opens: true, keyslots: [0] })
    const wrong = await checkHeaderBackup({ file: backup, keyManager, keyId: other })
    expect(wrong.key).toMatchObject({ opens: false, form: null })
  })

  it('needs its own key', LONG, async () => {
    const device = volume(type)
    const backup = await backupOf(device)
    const { keyId: own } = await checkHeaderBackup({ file: backup, keyManager })
    expect((await keyManager.describe(own)).name).toContain('header backup of volume')
    await keyManager.delete(own)
    expect(await restore(backup, device)).toBe('not-found')
  })
})

it('a header with one torn copy is kept and put back as it is', LONG, async () => {
  const device = volume('luks2')
  poke(device, 5000, Buffer.of(1))
  const torn = sha256(device)
  const backup = await backupOf(device)
  for (const copy of [0, 16_384]) poke(device, copy + 5000, Buffer.of(2))
  expect(opensWith(device, passphrase)).toBe(false)
  expect(await restore(backup, device)).toBe('ok')
  expect(sha256(device)).toBe(torn)
  expect(opensWith(device, passphrase)).toBe(true)
})

describe('what cannot be backed up', () => {
  it('is refused, and leaves neither file nor key', LONG, async () => {
    const count = (await keyManager.list()).length
    const damaged = volume('luks2')
    for (const copy of [0, 16_384]) poke(damaged, copy + 5000, Buffer.of(1))
    const blank = blankFile(directory, nameOf(fresh('blank')), 20 * MIB)
    const there = await backupOf(volume('luks1'))
    const out = fresh('header')
    expect(await outcome(backupHeader({ device: damaged, out, keyManager }))).toBe('header-damaged')
    expect(await outcome(backupHeader({ device: blank, out, keyManager }))).toBe('not-found')
    const device = volume('luks1')
    expect(await outcome(backupHeader({ device, out: there, keyManager }))).toBe('usage')
    const nowhere = join(directory, 'nowhere', 'header')
    expect(await outcome(backupHeader({ device, out: nowhere, keyManager }))).toBe('not-found')
    expect((await keyManager.list()).length).toBe(count + 1)
    expect(readdirSync(directory)).not.toContain(nameOf(out))
  })
})

describe('the backups before a change', () => {
  it('are as many as are to be kept, and their keys too', LONG, async () => {
    const place = { directory: join(directory, 'state', 'backups'), keep: 2 }
    const device = volume('luks1')
    const foreign = join(place.directory, 'something-else')
    let current = keyId
    const made: (string | undefined)[] = []
    for (let round = 0; round < 4; round += 1) {
      const result = await rekeyVolume({ device, keyId: current, keyManager, backup: place })
      current = result.newKeyId ?? ''
      made.push(result.backup?.file)
      if (round === 0) {
        writeFileSync(foreign, '')
        // Who can write here names a volume's key instead of a backup's: it must not be deleted.
        forgeOldBackup(result.backup?.file ?? '', keyId)
      }
    }
    expect(statSync(place.directory).mode & 0o777).toBe(0o700)
    const left = readdirSync(place.directory).toSorted()
    expect(left).toEqual(
      [...made.slice(2).map((path) => nameOf(path ?? '')), 'something-else'].toSorted(),
    )
    const ofVolume = (await keyManager.list()).filter(
      ({ metadata }) =>
        metadata['volseal-purpose'] === 'header-backup' &&
        metadata['volume-uuid'] === nameOf(made[0] ?? '').split('_')[0],
    )
    // Two that are kept, and that of the file that was forged over its own id.
    expect(ofVolume).toHaveLength(3)
    expect(await outcome(keyManager.get(keyId))).toBe('ok')
    expect(await restore(made[3] ?? '', device)).toBe('ok')
  })
})

function forgeOldBackup(file: string, id: string): void {
  const content = readFileSync(file)
  const at = content.indexOf('"keyId":"') + '"keyId":"'.length
  content.write(id, at, 'latin1')
  writeFileSync(file, content)
}
