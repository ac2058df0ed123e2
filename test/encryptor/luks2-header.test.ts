import { readFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { lookAtDevice } from '../../src/encryptor/device.js'
import { readHeader } from '../../src/encryptor/header/read-header.js'
import { editLuks2, field } from '../harness/edit-luks2.js'
import { run, scratchDirectory } from '../harness/run.js'
import { poke } from '../harness/volumes.js'
import { copyOf, judge, makeVolume, refusalOf, SMALL } from './judging.js'

const directory = scratchDirectory()
const volume = makeVolume(directory, [...SMALL, '--label', 'as made'])
const COPY = 16_384
const MIB = 1024 * 1024

function changed(...edits: ((path: string) => void)[]): string {
  const path = copyOf(directory, volume)
  for (const edit of edits) edit(path)
  return path
}

/** The label says which copy was taken. */
function cryptsetupLabel(path: string): string {
  return /^Label:\s+(.*)$/m.exec(run('cryptsetup', ['luksDump', path]).toString())?.[1] ?? ''
}

const tear = (offset: number) => (path: string) => poke(path, offset + 5000, Buffer.of(1))
const zero = (offset: number) => (path: string) => poke(path, offset, Buffer.alloc(4096))

function relabel(copy: 'first' | 'second', label: string, sequence: bigint) {
  return (path: string) => {
    editLuks2(path, {
      copy,
      binary: (binary) => {
        field.label(label)(binary)
        field.sequence(sequence)(binary)
      },
    })
  }
}

describe('of the two copies of a header', () => {
  it.each([
    ['is whole', [], 'as made', undefined],
    ['torn second one', [tear(COPY)], 'as made', 'its second copy has a wrong checksum'],
    ['missing second one', [zero(COPY)], 'as made', 'its second copy is not there'],
    ['torn first one', [tear(0)], 'as made', 'its first copy has a wrong checksum; the second'],
    [
      'older second one',
      [relabel('first', 'newer', 9n)],
      'newer',
      'its second copy is older than the first one',
    ],
    [
      'newer second one',
      [relabel('second', 'newer', 9n)],
      'newer',
      'its first copy is older than the second one, which is used',
    ],
  ] as const)('%s: that is taken which cryptsetup takes', async (_, edits, label, warning) => {
    const path = changed(...edits)
    const judged = await judge(path)
    expect(judged.label).toBe(label)
    expect(judged.warnings.join()).toContain(warning ?? '')
    expect(judged.warnings).toHaveLength(warning === undefined ? 0 : 1)
    // Afterwards, since it repairs.
    expect(cryptsetupLabel(path)).toBe(label)
  })

  it.each([
    [
      'both are torn',
      [tear(0), tear(COPY)],
      'its first copy has a wrong checksum, and there is no',
    ],
    ['the first is overwritten', [zero(0)], 'the second LUKS2 header at byte 16384, but not the'],
    [
      'they differ and are of the same age',
      [relabel('second', 'other', 3n)],
      'its two copies differ, although they say that they are of the same age',
    ],
    [
      'the second is newer, and of another volume',
      [
        (path: string) =>
          editLuks2(path, {
            copy: 'second',
            binary: (binary) => {
              field.uuid('00000000-0000-4000-8000-000000000000')(binary)
              field.sequence(9n)(binary)
            },
          }),
      ],
      'its second copy is newer than the first one, and of another volume',
    ],
    [
      'the second is newer, and forged',
      [
        (path: string) =>
          editLuks2(path, {
            copy: 'second',
            json: { 'segments.0.encryption': 'cipher_null-ecb' },
            binary: field.sequence(9n),
          }),
      ],
      'segment cipher: segment 0',
    ],
    [
      'the first is torn, and the second forged',
      [
        tear(0),
        (path: string) =>
          editLuks2(path, {
            copy: 'second',
            json: { 'segments.0.encryption': 'cipher_null-ecb' },
          }),
      ],
      'segment cipher: segment 0',
    ],
  ] as const)('%s: neither is taken', async (_, edits, says) => {
    const refusal = await refusalOf(changed(...edits))
    expect(refusal).toMatch(/^header-damaged: /)
    expect(refusal).toContain(says)
  })
})

describe('the size that a header says', () => {
  it.each([0n, 1n, 4096n, 16_385n, 8n * 1024n * 1024n, 2n ** 63n, 2n ** 64n - 1n])(
    '%d is none, and the second copy is used',
    async (size) => {
      const path = changed((volumePath) => {
        editLuks2(volumePath, { copy: 'first', binary: field.size(size) })
      })
      const { warnings } = await judge(path)
      expect(warnings).toEqual([
        `of the header, its first copy says that it has ${size} bytes; the second one is used: cryptsetup repair mends that`,
      ])
    },
  )

  it('larger than it is takes in the second copy, and is refused', async () => {
    const path = changed((volumePath) => {
      editLuks2(volumePath, { copy: 'first', binary: field.size(32_768n) })
    })
    expect(await refusalOf(path)).toContain('data follows the JSON')
  })
})

describe('every byte of the binary header', () => {
  it('is guarded: a changed one is refused, or the second copy used', async () => {
    const whole = changed()
    const alone = changed(zero(COPY))
    const original = readFileSync(whole).subarray(0, 4096)
    for (let offset = 0; offset < 4096; offset += offset < 512 ? 1 : 97) {
      const byte = Buffer.of(original[offset] ?? 0)
      const other = Buffer.of((byte[0] ?? 0) ^ (1 + (offset % 255)))
      for (const path of [whole, alone]) poke(path, offset, other)
      expect(await refusalOf(alone)).toMatch(/^(?:header-damaged|not-found): /)
      expect(await refusalOf(whole)).toMatch(offset < 8 ? /^header-damaged: / : /^accepted$/)
      for (const path of [whole, alone]) poke(path, offset, byte)
    }
    expect(await refusalOf(whole)).toBe('accepted')
  })
})

/** Volumes as cryptsetup makes them. */
const VOLUMES: readonly (readonly [string, readonly string[]])[] = [
  ['small', SMALL],
  ['default', ['--type', 'luks2']],
  ['large metadata', ['--type', 'luks2', '--luks2-metadata-size', '1m']],
  ['the largest metadata', ['--type', 'luks2', '--luks2-metadata-size', '4m']],
  ['label and subsystem', [...SMALL, '--label', 'volume ü', '--subsystem', 'volseal']],
  ['4K sectors', [...SMALL, '--sector-size', '4096']],
  ['another cipher', [...SMALL, '--cipher', 'aes-cbc-essiv:sha256', '--key-size', '256']],
  ['another hash', [...SMALL, '--hash', 'sha512']],
]

describe('a volume made by cryptsetup', () => {
  it.each(VOLUMES)('(%s) is read as cryptsetup reads it, and accepted', async (_, options) => {
    await expectSame(makeVolume(directory, options, 40 * MIB))
  })

  it('(argon2id and tokens) is read as cryptsetup reads it, and accepted', async () => {
    const path = makeVolume(directory, SMALL)
    const key = `${directory}/key`
    run('sh', ['-c', `printf key >${key}`])
    const cost = ['--pbkdf-force-iterations', '4', '--pbkdf-memory', '65536']
    const convert = ['luksConvertKey', '-q', '--pbkdf', 'argon2id', ...cost, '--key-file', key]
    run('cryptsetup', [...convert, path])
    run('cryptsetup', ['token', 'add', '--key-description', 'x', path])
    const token = {
      type: 'other',
      keyslots: ['0'],
      number: 1.5,
      text: 'ü"\\\n',
      list: [null, true],
    }
    run('cryptsetup', ['token', 'import', '--json-file', '-', path], JSON.stringify(token))
    run('cryptsetup', ['config', '--priority', 'prefer', '--key-slot', '0', path])
    await expectSame(path)
  })

  it('(a reencryption in progress) is read as cryptsetup reads it, and accepted', async () => {
    const path = makeVolume(directory, ['--type', 'luks2'], 40 * MIB)
    startReencryption(path)
    await expectSame(path)
    expect(await judge(path)).toMatchObject({
      reencrypting: true,
      requirements: ['online-reencrypt-v2'],
    })
  })
})

function startReencryption(path: string): void {
  const cost = ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000']
  run('cryptsetup', ['reencrypt', '-q', '--key-file=-', '--init-only', ...cost, path], 'key')
}

async function expectSame(path: string): Promise<void> {
  const file = await open(path)
  try {
    const found = await readHeader(file, await lookAtDevice(path))
    if (found.version !== 2) throw new Error('it is not LUKS2')
    const dump = run('cryptsetup', ['luksDump', '--dump-json-metadata', path]).toString()
    expect(found.header.metadata.json).toEqual(JSON.parse(dump))
    expect(found.header.uuid).toBe(run('cryptsetup', ['luksUUID', path]).toString().trim())
    expect(found.header.label || '(no label)').toBe(cryptsetupLabel(path))
    expect(found.header.warnings).toEqual([])
  } finally {
    await file.close()
  }
  expect(await refusalOf(path)).toBe('accepted')
}

describe('a reencryption in progress', () => {
  const reencrypting = makeVolume(directory, ['--type', 'luks2'], 40 * MIB)
  startReencryption(reencrypting)

  it('is accepted in the state that a kill in the middle leaves', async () => {
    const crypt = { type: 'crypt', encryption: 'aes-xts-plain64', sector_size: 4096 }
    const part = (mib: number, size: number | 'dynamic', flags?: string[]) => ({
      ...crypt,
      offset: String(mib * MIB),
      size: size === 'dynamic' ? size : String(size * MIB),
      iv_tweak: String(((mib - 16) * MIB) / 512),
      ...(flags === undefined ? {} : { flags }),
    })
    const path = copyOf(directory, reencrypting)
    editLuks2(path, {
      json: {
        segments: {
          0: part(16, 8),
          1: part(24, 4, ['in-reencryption']),
          2: part(28, 'dynamic'),
          3: part(16, 'dynamic', ['backup-previous']),
          4: part(16, 'dynamic', ['backup-final']),
        },
        'digests.0.segments': ['2', '3'],
        'digests.1.segments': ['0', '1', '4'],
      },
    })
    expect(await judge(path)).toMatchObject({ reencrypting: true, payloadSize: 24 * MIB })
    // It is a header that cryptsetup reads.
    expect(run('cryptsetup', ['luksDump', path]).toString()).toContain('online-reencrypt-v2')
  })

  it.each([
    ['a linear segment', { 'segments.0.type': 'linear' }, 'segment type: segment 0'],
    ['a linear segment to go back to', { 'segments.1.type': 'linear' }, 'segment type: segment 1'],
    [
      'the null cipher',
      { 'segments.2.encryption': 'cipher_null-ecb' },
      'segment cipher: segment 2',
    ],
    [
      'decryption',
      { 'keyslots.2.mode': 'decrypt' },
      'requirements: expected a reencryption from key to key, got one that is to decrypt',
    ],
    [
      'encryption',
      { 'keyslots.2.mode': 'encrypt' },
      'requirements: expected a reencryption from key to key, got one that is to encrypt',
    ],
    [
      'a token that cryptsetup would try first',
      { 'tokens.0': { type: 'luks2-keyring', keyslots: ['0'], key_description: 'x' } },
      'tokens: token 0: expected none but volseal',
    ],
    ['no requirement', { 'config.requirements': undefined }, 'keyslots: expected a keyslot that'],
  ])('with %s is refused', async (_, json, says) => {
    const path = copyOf(directory, reencrypting)
    editLuks2(path, { json })
    expect(await refusalOf(path)).toContain(`is not acceptable: ${says}`)
  })
})
