import { truncateSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { lookAtDevice } from '../../src/encryptor/device.js'
import { judgeHeader } from '../../src/encryptor/header/judge-header.js'
import { editLuks2, field, type Luks2Edit } from '../harness/edit-luks2.js'
import { run, scratchDirectory } from '../harness/run.js'
import { copyOf, cryptsetupOpens, judge, makeVolume, refusalOf, SMALL } from './judging.js'

const directory = scratchDirectory()
const volume = twoSlots()

function twoSlots(): string {
  const path = makeVolume(directory, SMALL)
  const pbkdf = ['--pbkdf', 'argon2id', '--pbkdf-force-iterations', '4', '--pbkdf-memory', '64']
  run('sh', ['-c', `printf key >${directory}/key; printf other >${directory}/other`])
  const keys = ['--key-file', `${directory}/key`, path, `${directory}/other`]
  run('cryptsetup', ['luksAddKey', '-q', ...pbkdf, ...keys])
  return path
}

function changed(edit: Luks2Edit): string {
  const path = copyOf(directory, volume)
  editLuks2(path, edit)
  return path
}

it('a volume as cryptsetup made it is accepted', async () => {
  expect(await judge(volume)).toMatchObject({ version: 2, cipher: 'aes-xts-plain64', warnings: [] })
})

/** What somebody may write into the JSON, and what of it is refused. */
const FORGED: readonly (readonly [name: string, json: Record<string, unknown>, says: string])[] = [
  [
    'a segment with the null cipher',
    { 'segments.0.encryption': 'cipher_null-ecb' },
    'segment cipher: segment 0: expected an allowed cipher such as aes-xts-plain64, got "cipher_null-ecb"',
  ],
  [
    'a segment with the null cipher in an allowed mode',
    { 'segments.0.encryption': 'cipher_null-xts-plain64' },
    'segment cipher: segment 0',
  ],
  ['a weak mode', { 'segments.0.encryption': 'aes-ecb' }, 'segment cipher: segment 0'],
  [
    'a mode that encrypts each sector with the same stream',
    { 'segments.0.encryption': 'aes-ctr-plain64' },
    'segment cipher: segment 0',
  ],
  [
    'the kernel’s own spelling of the null cipher',
    { 'segments.0.encryption': 'capi:ecb(cipher_null)-plain64' },
    'segment cipher: segment 0',
  ],
  [
    'a keyslot that is stored as it is',
    { 'keyslots.0.area.encryption': 'cipher_null-ecb' },
    'keyslot cipher: keyslot 0',
  ],
  ['a linear segment', { 'segments.0.type': 'linear' }, 'segment type: segment 0: expected crypt'],
  [
    'a second, linear segment',
    { 'segments.1': { type: 'linear', offset: '3145728', size: '512' } },
    'segment place: expected one segment, with the number 0, got 2',
  ],
  ['no segment', { segments: {}, 'digests.0.segments': [] }, 'segment place: expected one segment'],
  [
    'huge memory for Argon2',
    { 'keyslots.1.kdf.memory': 100 * 1024 * 1024 },
    'key derivation: expected at most 1048576 KiB of memory for Argon2, got 104857600',
  ],
  ['many threads', { 'keyslots.1.kdf.cpus': 64 }, 'key derivation: expected at most 4 threads'],
  [
    'billions of passes',
    { 'keyslots.1.kdf.time': 4_000_000_000 },
    'key derivation: expected at most 268435456 KiB times passes',
  ],
  [
    'billions of iterations',
    { 'keyslots.0.kdf.iterations': 4_000_000_000 },
    'key derivation: expected at most 100000000 iterations for all keyslots, got 4000000000',
  ],
  [
    'billions of iterations of the digest',
    { 'digests.0.iterations': 4_000_000_000 },
    'key derivation: expected at most 20000000 iterations for a digest',
  ],
  [
    'a requirement that nobody knows',
    { 'config.requirements': { mandatory: ['be-careful'] } },
    'requirements: expected none but online-reencrypt, online-reencrypt-v2, online-reencrypt-v3, got "be-careful"',
  ],
  [
    'a reencryption that left no trace',
    { 'config.requirements': { mandatory: ['online-reencrypt-v2'] } },
    'keyslots: expected a keyslot that says how far a reencryption is',
  ],
  [
    'overlapping keyslots',
    { 'keyslots.1.area.offset': '36864' },
    'keyslot area: keyslot 1: expected at least 256000 bytes of its own between byte 290816',
  ],
  ['a keyslot in the header', { 'keyslots.0.area.offset': '4096' }, 'keyslot area: keyslot 0'],
  ['a keyslot in the payload', { 'keyslots.1.area.offset': '1966080' }, 'keyslot area: keyslot 1'],
  ['a keyslot too small', { 'keyslots.1.area.size': '4096' }, 'keyslot area: keyslot 1'],
  ['keyslots of a gigabyte', { 'config.keyslots_size': '1073741824' }, 'segment place: segment 0'],
  ['keyslots of no whole pages', { 'config.keyslots_size': '1000000' }, 'keyslot area: expected'],
  ['a segment in the keyslots', { 'segments.0.offset': '65536' }, 'segment place: segment 0'],
  ['a segment behind the end', { 'segments.0.offset': '4194304' }, 'segment place: segment 0'],
  ['a segment over the end', { 'segments.0.size': '4194304' }, 'segment place: segment 0'],
  ['half a sector', { 'segments.0.size': '1048832' }, 'segment place: segment 0'],
  ['a sector size of 8192', { 'segments.0.sector_size': 8192 }, 'sector size: segment 0'],
  ['shifted IVs', { 'segments.0.iv_tweak': '1' }, 'iv offset: segment 0: expected 0, got 1'],
  ['stripes of one', { 'keyslots.0.af.stripes': 1 }, 'stripes: keyslot 0: expected 4000, got 1'],
  ['a checksum for a hash', { 'keyslots.0.kdf.hash': 'crc32' }, 'hash: keyslot 0'],
  ['a checksum for a digest', { 'digests.0.hash': 'crc32' }, 'hash: digest 0'],
  [
    'a key that the cipher does not know',
    { 'segments.0.encryption': 'aes-cbc-essiv:sha256' },
    'key size: keyslot 0: expected a key of 128 or 192 or 256 bits for aes-cbc-essiv:sha256, got 512',
  ],
  [
    'a short key of a keyslot',
    { 'keyslots.0.area.key_size': 8 },
    'key size: keyslot 0: expected a key of 256 or 384 or 512 bits',
  ],
  ['a segment without a digest', { 'digests.0.segments': [] }, 'digest: segment 0'],
  ['a segment without a keyslot', { 'digests.0.keyslots': [] }, 'keyslots: segment 0'],
  [
    'authenticated encryption without its tags',
    { 'segments.0.encryption': 'aes-gcm-random' },
    'segment cipher: segment 0',
  ],
  [
    'an integrity of nothing',
    { 'segments.0.integrity': integrity('none') },
    'segment cipher: segment 0: expected an allowed cipher such as aes-xts-plain64, got "aes-xts-plain64" with the integrity "none"',
  ],
  [
    'an integrity whose key is not there',
    { 'segments.0.integrity': integrity('hmac(sha512)') },
    'key size: keyslot 0: expected a key of 768 or 896 or 1024 bits',
  ],
  [
    'an integrity named as something that every object has',
    { 'segments.0.integrity': integrity('constructor') },
    'segment cipher: segment 0',
  ],
]

function integrity(type: string): Record<string, string> {
  return { type, journal_encryption: 'none', journal_integrity: 'none' }
}

describe('a forged header', () => {
  it.each(FORGED)('with %s is refused', async (_, json, says) => {
    const path = changed({ json })
    expect(await refusalOf(path)).toContain(
      `header-damaged: the LUKS header on ${path} is not acceptable: ${says}`,
    )
  })

  it('is one that cryptsetup opens without complaint: the content would not be encrypted', () => {
    expect(cryptsetupOpens(changed({ json: { 'segments.0.encryption': 'cipher_null-ecb' } }))).toBe(
      true,
    )
  })

  it.each([
    ['is a path', '../../../../../../etc/passwd'],
    ['holds a slash', '036c9d06-c252-42fa-8bb7-5aa7cbd7/489'],
    ['holds a line break', '036c9d06-c252-42fa-8bb7-5aa7cbd7\n489'],
    ['is in upper case', '036C9D06-C252-42FA-8BB7-5AA7CBD73489'],
    ['is empty', ''],
  ])('whose uuid %s is refused', async (_, uuid) => {
    const says = await refusalOf(changed({ binary: field.uuid(uuid) }))
    expect(says).toContain('not acceptable: uuid: expected a uuid in lower case, got "')
    expect(says).toMatch(/^[ -~]*$/)
  })
})

/** JSON that is not as it should be, or that two readers would not read alike. */
const MALFORMED: readonly (readonly [string, (text: string) => string | Buffer, string])[] = [
  ['is none', () => 'luks', 'does not begin with {'],
  ['is an array', (text) => `[${text}]`, 'does not begin with {'],
  ['ends early', (text) => text.slice(0, -1), 'expected JSON'],
  ['ends in a string', (text) => `${text.slice(0, -1)},"a`, 'ends within a string'],
  [
    'has a key twice',
    (text) => text.replace('"encryption"', '"encryption":"cipher_null-ecb","encryption"'),
    'has the key "encryption" twice',
  ],
  [
    'has a key twice, spelled in two ways',
    (text) => text.replace('"encryption"', '"encr\\u0079ption":"cipher_null-ecb","encryption"'),
    'has the key "encryption" twice',
  ],
  [
    'has a key that ends at a NUL for a reader in C',
    (text) => text.replace('"iv_tweak"', '"encryption\\u0000":"cipher_null-ecb","iv_tweak"'),
    'has a NUL character',
  ],
  ['has a comment', (text) => text.replace(',', ',/* */'), 'expected JSON'],
  [
    'is nested too deep',
    (text) => text.replace('"tokens"', `"x":${'['.repeat(40)}${']'.repeat(40)},"tokens"`),
    'nested deeper than 32',
  ],
  [
    'is followed by something',
    (text) => Buffer.concat([Buffer.from(text), Buffer.from([0]), Buffer.from('x')]),
    'data follows the JSON',
  ],
  ['is not UTF-8', (text) => Buffer.concat([Buffer.from(text), Buffer.of(0xff)]), 'not UTF-8'],
  ['fills its area', (text) => text.padEnd(16384 - 4096), 'without a zero byte'],
  ['has a number for a string', (text) => text.replace(/"offset":"\d+"/, '"offset":1'), 'offset'],
  ['has a string for a number', (text) => text.replace('"key_size":64', '"key_size":"64"'), 'key_'],
  ['has a fraction', (text) => text.replace('"key_size":64', '"key_size":64.5'), 'key_size'],
  [
    'has an offset that no number holds',
    (text) => text.replace(/"offset":"\d+"/, `"offset":"${'9'.repeat(25)}"`),
    'offset',
  ],
  [
    'has a keyslot 01',
    (text) => text.replace('"keyslots":{"0"', '"keyslots":{"01"'),
    'number of a keyslot',
  ],
  [
    'has a keyslot of another type',
    (text) => text.replace('"type":"luks2"', '"type":"luks3"'),
    'keyslot 0, type',
  ],
  [
    'refers to what is not there',
    (text) => text.replace('"segments":["0"]', '"segments":["7"]'),
    'none of the number 7',
  ],
  [
    'has no keyslots',
    (text) => text.replace('"keyslots"', '"keyslot"'),
    'keyslots: expected an object',
  ],
  [
    'has a salt that is not base64',
    (text) => text.replace(/"salt":"./, '"salt":"!'),
    'expected base64',
  ],
  ['says that its area is larger', (text) => text.replace('"12288"', '"28672"'), 'but says 28672'],
  [
    'has a __proto__',
    (text) => text.replace('"keyslots":{', '"keyslots":{"__proto__":{},'),
    'number of a keyslot',
  ],
  [
    'has 33 tokens',
    (text) => text.replace('"tokens":{}', `"tokens":{${tokens(33)}}`),
    '33 tokens, where 32',
  ],
]

function tokens(count: number): string {
  return Array.from({ length: count }, (_, n) => `"${n}":{"type":"x","keyslots":[]}`).join(',')
}

describe('a header whose JSON', () => {
  it.each(MALFORMED)('%s is refused', async (_, text, says) => {
    const refusal = await refusalOf(changed({ text }))
    expect(refusal).toMatch(/^header-damaged: .* holds a damaged LUKS header: /)
    expect(refusal).toContain(says)
  })
})

describe('a volume cut short', () => {
  it.each([2 * 1024 * 1024, 1024 * 1024, 40_000, 32_768, 32_000, 20_000, 5000, 4096, 600, 100, 6])(
    'to %d bytes is refused',
    async (size) => {
      const path = copyOf(directory, volume)
      truncateSync(path, size)
      expect(await refusalOf(path)).toMatch(/^header-damaged: /)
    },
  )

  it('to nothing is no volume', async () => {
    const path = copyOf(directory, volume)
    truncateSync(path, 0)
    expect(await refusalOf(path)).toMatch(/^not-found: /)
  })
})

describe('a device that cannot be read to its end', () => {
  it('is neither blank nor damaged, but unreadable', async () => {
    const path = copyOf(directory, volume)
    const device = await lookAtDevice(path)
    for (const size of [0, 4000, 20_000, 100_000]) {
      truncateSync(path, size)
      const file = await open(path)
      try {
        const judging = judgeHeader(file, device, {})
        await expect(judging).rejects.toMatchObject({ code: 'io' })
      } finally {
        await file.close()
      }
    }
  })
})

describe('what the metadata says of a volume', () => {
  it.each([
    [{ provider: 'luks2', cipher: 'aes-xts-plain64', keySize: 256 }, 'accepted'],
    [{ keySize: 512 }, 'accepted'],
    [{ keySize: 1024 }, 'key size: expected at least 1024 bits, got 512'],
    [
      { cipher: 'serpent-xts-plain64' },
      'cipher: expected serpent-xts-plain64, got "aes-xts-plain64"',
    ],
    [{ provider: 'luks' }, 'accepted'],
  ] as const)('as %o: %s', async (expected, says) => {
    expect(await refusalOf(volume, expected)).toContain(says)
  })

  it('as luks, which os-brick once made LUKS2, is a warning', async () => {
    const { warnings } = await judge(volume, { provider: 'luks' })
    expect(warnings).toEqual(['the volume is LUKS2 on disk, where luks (LUKS1) was expected'])
  })
})

/** Most of these cryptsetup makes only where the kernel has them. */
describe('the cipher', () => {
  it.each([
    ['serpent-xts-plain64', 64],
    ['twofish-xts-plain', 48],
    ['camellia-cbc-plain64', 24],
    ['aes-cbc-plain', 16],
    ['xchacha20,aes-adiantum-plain64', 32],
  ])('%s with %d bytes is accepted', async (encryption, keySize) => {
    const json = { 'segments.0.encryption': encryption, ...bothKeys(keySize) }
    expect(await judge(changed({ json }))).toMatchObject({ cipher: encryption })
  })
})

function bothKeys(keySize: number): Record<string, number> {
  return { 'keyslots.0.key_size': keySize, 'keyslots.1.key_size': keySize }
}

describe('a volume with integrity', () => {
  it.each([
    ['aes-xts-plain64', 'hmac(sha256)', 96],
    ['aes-gcm-random', 'aead', 32],
    ['chacha20-random', 'poly1305', 32],
    ['aegis128-random', 'aead', 16],
  ])('%s and %s is accepted', async (encryption, type, keySize) => {
    const path = changed({
      json: {
        'segments.0.encryption': encryption,
        'segments.0.integrity': integrity(type),
        // Room for a key of 96 bytes.
        'keyslots.0.area.size': '385024',
        'keyslots.1.area.offset': '417792',
        'keyslots.1.area.size': '385024',
        ...bothKeys(keySize),
      },
    })
    expect(await judge(path)).toMatchObject({ integrity: type, keySize: keySize * 8 })
  })
})
