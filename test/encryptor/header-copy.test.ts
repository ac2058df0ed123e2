import { randomBytes } from 'node:crypto'
import { readdirSync, readlinkSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { withHeader, withHeaderCopy } from '../../src/encryptor/header/header-copy.js'
import { editLuks2, field } from '../harness/edit-luks2.js'
import { run, scratchDirectory } from '../harness/run.js'
import { poke, sha256 } from '../harness/volumes.js'
import { copyOf, cryptsetupOpens, judge, makeVolume, SMALL } from './judging.js'

const directory = scratchDirectory()
const MIB = 1024 * 1024
const VOLUMES = {
  LUKS1: makeVolume(directory, ['--type', 'luks1']),
  LUKS2: makeVolume(directory, [...SMALL, '--label', 'original']),
  'LUKS2 with large metadata': makeVolume(
    directory,
    ['--type', 'luks2', '--luks2-metadata-size', '1m'],
    40 * MIB,
  ),
}

function dump(path: string): string {
  return run('cryptsetup', ['luksDump', path]).toString()
}

describe.each(Object.entries(VOLUMES))('a copy of the header of %s', (name, volume) => {
  it('opens the volume with its key, and with no other', async () => {
    const path = copyOf(directory, volume)
    const before = sha256(path)
    const judged = await judge(path)
    await withHeaderCopy(judged, async (copy) => {
      expect(cryptsetupOpens(path, 'key', copy)).toBe(true)
      expect(cryptsetupOpens(path, 'other', copy)).toBe(false)
      expect(dump(copy)).toContain(judged.uuid)
    })
    expect(sha256(path)).toBe(before)
  })

  it('shows nothing of what is done to the device afterwards', async () => {
    const path = copyOf(directory, volume)
    const judged = await judge(path)
    poke(path, 0, randomBytes(judged.payloadOffset))
    expect(cryptsetupOpens(path)).toBe(false)
    await withHeaderCopy(judged, async (copy) => {
      expect(cryptsetupOpens(path, 'key', copy)).toBe(true)
    })
  })

  it('is in memory, has no name, and is gone afterwards', async () => {
    const shared = readdirSync('/dev/shm')
    let place = ''
    await withHeaderCopy(await judge(volume), async (copy) => {
      place = copy
      expect(readlinkSync(copy)).toMatch(/^\/(?:dev\/shm|run)\/.* \(deleted\)$/)
      expect(run('stat', ['-L', '-c', '%h %a %s', copy]).toString().trim()).toBe(
        `0 600 ${(await judge(volume)).payloadOffset}`,
      )
    })
    expect(() => readlinkSync(place)).toThrow('ENOENT')
    expect(readdirSync('/dev/shm')).toEqual(shared)
    const failing = withHeaderCopy(await judge(volume), async () => {
      throw new Error(`of ${name}`)
    })
    await expect(failing).rejects.toThrow(`of ${name}`)
  })
})

describe('the copy of a LUKS2 header', () => {
  it('has no token, which cryptsetup would try before the passphrase', async () => {
    const path = copyOf(directory, VOLUMES.LUKS2)
    run('cryptsetup', ['token', 'add', '--key-description', 'whatever', path])
    expect(dump(path)).toContain('luks2-keyring')
    await withHeaderCopy(await judge(path), async (copy) => {
      expect(dump(copy)).not.toContain('luks2-keyring')
      expect(cryptsetupOpens(path, 'key', copy)).toBe(true)
    })
  })

  it('has no flags, which would let discards through unasked', async () => {
    const path = copyOf(directory, VOLUMES.LUKS2)
    editLuks2(path, { json: { 'config.flags': ['allow-discards'] } })
    expect(dump(path)).toMatch(/^Flags:\s+allow-discards/m)
    await withHeaderCopy(await judge(path), async (copy) => {
      expect(dump(copy)).not.toContain('allow-discards')
      expect(cryptsetupOpens(path, 'key', copy)).toBe(true)
    })
  })

  it.each([
    ['is torn', (path: string) => poke(path, 5000, Buffer.of(1))],
    ['is older', (path: string) => editLuks2(path, { copy: 'second', binary: newer })],
  ])('holds the second one where the first %s, and mends nothing', async (_, edit) => {
    const path = copyOf(directory, VOLUMES.LUKS2)
    editLuks2(path, { copy: 'second', binary: field.label('second') })
    edit(path)
    const before = sha256(path)
    await withHeaderCopy(await judge(path), async (copy) => {
      expect(dump(copy)).toMatch(/^Label:\s+second$/m)
      expect(cryptsetupOpens(path, 'key', copy)).toBe(true)
    })
    expect(sha256(path)).toBe(before)
  })

  it('is written anew: what a forger hides behind a checksum of their own is not in it', async () => {
    const path = copyOf(directory, VOLUMES.LUKS2)
    // Behind the fields, where the format has nothing.
    editLuks2(path, { binary: (binary) => binary.fill(0xab, 600, 4096) })
    await withHeaderCopy(await judge(path), async (copy) => {
      expect(run('head', ['-c', '4096', copy]).includes('\xab'.repeat(8), 0, 'latin1')).toBe(false)
      expect(cryptsetupOpens(path, 'key', copy)).toBe(true)
    })
  })
})

describe('a volume whose reencryption is in progress', () => {
  it('is opened with the header on the device', async () => {
    const path = makeVolume(directory, ['--type', 'luks2'], 40 * MIB)
    const cost = ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000']
    run('cryptsetup', ['reencrypt', '-q', '--key-file=-', '--init-only', ...cost, path], 'key')
    const places: (string | undefined)[] = []
    for (const volume of [path, VOLUMES.LUKS2]) {
      await withHeader(await judge(volume), async (header) => {
        places.push(header)
      })
    }
    expect(places).toEqual([undefined, expect.stringMatching(/^\/proc\/\d+\/fd\/\d+$/)])
  })
})

function newer(binary: Buffer): void {
  field.label('second')(binary)
  field.sequence(99n)(binary)
}
