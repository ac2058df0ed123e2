import { truncateSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { isInstalled, qemuCreate, run, scratchDirectory } from '../harness/run.js'
import { blankFile, poke } from '../harness/volumes.js'
import { copyOf, judge, makeVolume, refusalOf } from './judging.js'

const directory = scratchDirectory()
const volume = makeVolume(directory, ['--type', 'luks1'])

/** Writes into a copy of the volume. */
function changed(offset: number, value: string | number): string {
  const path = copyOf(directory, volume)
  const bytes = Buffer.alloc(typeof value === 'string' ? 32 : 4)
  if (typeof value === 'string') bytes.write(value)
  else bytes.writeUInt32BE(value)
  poke(path, offset, bytes)
  return path
}

const SLOT_0 = 208
const SLOT_7 = 208 + 7 * 48

describe('a LUKS1 volume', () => {
  it('as cryptsetup made it is accepted', async () => {
    expect(await judge(volume, { provider: 'luks', keySize: 256 })).toMatchObject({
      version: 1,
      provider: 'luks',
      cipher: 'aes-xts-plain64',
      keySize: 512,
      payloadOffset: 2 * 1024 * 1024,
      keyslots: [{ number: 0, iterations: 1000 }],
    })
  })

  it('with another mode is accepted', async () => {
    const cipher = 'aes-cbc-essiv:sha256'
    const path = makeVolume(directory, ['--type', 'luks1', '--cipher', cipher])
    expect(await refusalOf(path, { cipher })).toBe('accepted')
  })

  it.skipIf(!isInstalled('qemu-img')).each([
    ['aes-256', 'xts', 'plain64', 'aes-xts-plain64'],
    ['serpent-256', 'xts', 'plain64', 'serpent-xts-plain64'],
    ['twofish-256', 'cbc', 'plain64', 'twofish-cbc-plain64'],
  ])(
    'as qemu made it with %s in %s is accepted (lacks qemu-img)',
    async (alg, mode, iv, cipher) => {
      const path = blankFile(directory, `qemu-${alg}`, 0)
      const secret = ['--object', 'secret,id=s,data=key']
      const chosen = `cipher-alg=${alg},cipher-mode=${mode},ivgen-alg=${iv}`
      const options = ['-o', `key-secret=s,iter-time=10,${chosen}`]
      qemuCreate([...secret, '-f', 'luks', ...options, path, '4M'])
      expect(await refusalOf(path, { provider: 'luks', cipher, keySize: 256 })).toBe('accepted')
    },
  )

  it('is none where LUKS2 was asked for', async () => {
    expect(await refusalOf(volume, { provider: 'luks2' })).toContain(
      'provider: expected luks2, got luks (LUKS1 on disk)',
    )
  })
})

describe('a forged LUKS1 header', () => {
  it.each([
    ['the null cipher', 8, 'cipher_null', 'segment cipher: the volume: expected an allowed cipher'],
    ['a weak mode', 40, 'ecb', 'segment cipher: the volume'],
    ['a checksum for a hash', 72, 'crc32', 'hash: the volume'],
    ['a payload in the header', 104, 1, 'segment place: expected a payload'],
    ['a payload in the keyslots', 104, 512, 'keyslot area: keyslot 1: expected 256000 bytes'],
    ['a payload behind the end', 104, 8192, 'segment place: expected a payload'],
    ['a key of no bytes', 108, 0, 'key size: the volume'],
    ['a key of gigabytes', 108, 2 ** 31, 'key size: the volume'],
    [
      'billions of iterations of the digest',
      164,
      2 ** 31,
      'key derivation: expected at most 20000000',
    ],
    ['billions of iterations', SLOT_0 + 4, 2 ** 31, 'key derivation: expected at most 100000000'],
    ['a uuid that is a path', 168, '../../../../../../etc/passwd', 'uuid: expected'],
    ['a keyslot that is half active', SLOT_7, 1, 'keyslots: keyslot 7'],
    ['no active keyslot', SLOT_0, 0xdead, 'keyslots: expected one that is active, got none'],
    ['a keyslot over another', SLOT_7 + 40, 8, 'keyslot area: keyslot 7'],
    ['a keyslot in the header', SLOT_0 + 40, 1, 'keyslot area: keyslot 0'],
    ['a keyslot in the payload', SLOT_7 + 40, 4000, 'keyslot area: keyslot 7'],
    ['stripes of one', SLOT_0 + 44, 1, 'stripes: keyslot 0: expected 4000, got 1'],
  ])('with %s is refused', async (_, offset, value, says) => {
    expect(await refusalOf(changed(offset, value))).toContain(`is not acceptable: ${says}`)
  })

  it('cut short is refused', async () => {
    const path = copyOf(directory, volume)
    truncateSync(path, 500)
    expect(await refusalOf(path)).toContain('header-damaged: ')
  })

  it('of another version is refused', async () => {
    const path = copyOf(directory, volume)
    poke(path, 6, Buffer.of(0, 9))
    expect(await refusalOf(path)).toContain('a LUKS header of the unknown version 9')
  })
})

describe('every byte of a LUKS1 header', () => {
  it('may have any value: it is accepted or refused', async () => {
    const path = copyOf(directory, volume)
    const original = run('head', ['-c', '592', path])
    for (let offset = 0; offset < 592; offset += 1) {
      const byte = original[offset] ?? 0
      poke(path, offset, Buffer.of(byte ^ 0xff))
      expect(await refusalOf(path)).toMatch(/^(?:accepted$|header-damaged: |not-found: )/)
      poke(path, offset, Buffer.of(byte))
    }
    expect(await refusalOf(path)).toBe('accepted')
  })
})
