import { randomBytes } from 'node:crypto'
import { mkdirSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  type FormatOptions,
  formatVolume,
  inspectVolume,
  Secret,
  VolsealError,
} from '../../src/index.js'
import { holding } from '../harness/locks.js'
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

const MIB = 1024 * 1024
const directory = scratchDirectory()
const keyManager = await freshKeyManager(directory)
const keyId = await keyManager.createKey({ algorithm: 'aes', bitLength: 256 })
const passphrase = await hexOf(keyManager, keyId)
let files = 0

function blank(size = 40 * MIB): string {
  files += 1
  return blankFile(directory, `volume-${files}`, size)
}

async function format(device: string, options: Partial<FormatOptions> = {}): Promise<string> {
  try {
    await formatVolume({ device, provider: 'luks2', keyId, keyManager, ...options })
    return 'formatted'
  } catch (error) {
    return error instanceof VolsealError ? error.code : String(error)
  }
}

describe.each([
  ['luks', 1, 2 * MIB],
  ['luks2', 2, 16 * MIB],
] as const)('%s', (provider, version, payloadOffset) => {
  it('is a volume that cryptsetup opens with the hex of the key, and with nothing else', async () => {
    const device = blank()
    const report = await formatVolume({ device, provider, keyId, keyManager })
    expect(report).toMatchObject({
      keyId,
      provider,
      version,
      cipher: 'aes-xts-plain64',
      keySize: 512,
      effectiveCipher: 'AES-256-XTS',
      sectorSize: 512,
      payloadOffset,
      payloadSize: 40 * MIB - payloadOffset,
      keyslots: [{ number: 0, pbkdf: 'pbkdf2', hash: 'sha256', iterations: 1000, memory: null }],
    })
    expect(opensWith(device, passphrase)).toBe(true)
    expect(opensWith(device, passphrase.toUpperCase())).toBe(false)
    expect(opensWith(device, `${passphrase}\n`)).toBe(false)
    const dump = run('cryptsetup', ['luksDump', device]).toString()
    expect(dump).toContain(report.uuid)
    expect(run('cryptsetup', ['luksUUID', device]).toString().trim()).toBe(report.uuid)
    expect(statSync(device).size).toBe(40 * MIB)
  })

  it('has the header that cryptsetup would have made on the device itself', async () => {
    const ours = blank()
    const theirs = blank()
    await formatVolume({ device: ours, provider, keyId, keyManager })
    cryptsetupFormat(theirs, `luks${version}`, passphrase)
    const [a, b] = [await inspectVolume(ours), await inspectVolume(theirs)]
    expect({ ...a, device: '', uuid: '', keySize: 0, effectiveCipher: '', sectorSize: 0 }).toEqual({
      ...b,
      device: '',
      uuid: '',
      keySize: 0,
      effectiveCipher: '',
      sectorSize: 0,
    })
  })

  it('takes another cipher and key size', async () => {
    const device = blank()
    const options = { cipher: 'aes-cbc-essiv:sha256', keySize: 256 }
    const report = await formatVolume({ device, provider, keyId, keyManager, ...options })
    expect(report).toMatchObject({
      cipher: options.cipher,
      keySize: 256,
      effectiveCipher: 'AES-256-CBC',
    })
  })

  it('is not made with a cipher that would not be opened, nor is the device written to', async () => {
    const device = blank()
    const before = statSync(device)
    const making = formatVolume({ device, provider, keyId, keyManager, cipher: 'aes-ecb' })
    await expect(making).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringMatching(/^a volume with aes-ecb would not be opened: .*cipher/),
    })
    expect(statSync(device).mtimeMs).toBe(before.mtimeMs)
  })
})

describe('the sectors', () => {
  it('of LUKS2 are as large as they are told to be', async () => {
    const device = blank()
    const report = await formatVolume({
      device,
      provider: 'luks2',
      keyId,
      keyManager,
      sectorSize: 4096,
    })
    expect(report).toMatchObject({ sectorSize: 4096 })
    expect(opensWith(device, passphrase)).toBe(true)
  })

  it('of LUKS1 are 512 bytes, and no others than cryptsetup has', async () => {
    expect(await format(blank(), { provider: 'luks', sectorSize: 512 })).toBe('formatted')
    expect(await format(blank(), { provider: 'luks', sectorSize: 4096 })).toBe('usage')
    expect(await format(blank(), { sectorSize: 8192 })).toBe('usage')
  })
})

async function put(payload: Buffer, type: 'symmetric' | 'passphrase'): Promise<string> {
  return await keyManager.store({ type, payload: new Secret(payload) })
}

describe('the key derivation', () => {
  it('is fast for a stored key only at the word of the caller', async () => {
    const stored = await put(randomBytes(32), 'symmetric')
    expect(await format(blank(), { keyId: stored, pbkdf: 'fast' })).toBe('usage')
    const device = blank()
    expect(await format(device, { keyId: stored, keyIsRandom: true })).toBe('formatted')
    expect((await inspectVolume(device)).keyslots).toMatchObject([{ iterations: 1000 }])
  })

  it('is slow for a passphrase, whatever is said about it', async () => {
    const typed = await put(Buffer.from('correct horse battery staple, and more'), 'passphrase')
    const device = blank()
    expect(await format(device, { keyId: typed, keyIsRandom: true })).toBe('formatted')
    const [slot] = (await inspectVolume(device)).keyslots
    expect(slot?.pbkdf).toBe('argon2id')
    expect(slot?.memory).toBeGreaterThan(16 * MIB)
    expect(opensWith(device, 'correct horse battery staple, and more')).toBe(true)
  })

  it('of a passphrase can be that of nova, which takes it as hex too', async () => {
    const typed = await put(Buffer.from('secret'), 'passphrase')
    const device = blank()
    const options = {
      keyId: typed,
      passphraseEncoding: 'hex',
      pbkdf: 'pbkdf2',
      provider: 'luks',
    } as const
    expect(await format(device, options)).toBe('formatted')
    expect(opensWith(device, Buffer.from('secret').toString('hex'))).toBe(true)
  })

  it('of LUKS1 cannot be Argon2', async () => {
    expect(await format(blank(), { provider: 'luks', pbkdf: 'argon2id' })).toBe('usage')
  })
})

/** Each is a way to hold data; the device must be the same afterwards, byte for byte. */
const HELD: readonly (readonly [string, (path: string) => void, string])[] = [
  ['an ext4 file system', (path) => run('mke2fs', ['-q', '-F', '-t', 'ext4', path]), 'not-blank'],
  [
    'the second partition table of a GPT',
    (path) => poke(path, 40 * MIB - 512, Buffer.from('EFI PART')),
    'not-blank',
  ],
  ['a byte in the first sector', (path) => poke(path, 3, Buffer.of(1)), 'not-blank'],
  ['a byte at 15 MiB', (path) => poke(path, 15 * MIB + 77, Buffer.of(1)), 'not-blank'],
  ['a byte at 20 MB', (path) => poke(path, 20_000_001, Buffer.of(1)), 'not-blank'],
  ['the last byte', (path) => poke(path, 40 * MIB - 1, Buffer.of(1)), 'not-blank'],
  [
    'a byte where btrfs has its second superblock',
    (path) => {
      truncateSync(path, 600 * MIB)
      poke(path, 64 * MIB + 64, Buffer.of(1))
    },
    'not-blank',
  ],
  ['data behind 16 MiB', (path) => poke(path, 20 * MIB, randomBytes(8 * MIB)), 'not-blank'],
  ['a LUKS1 volume', (path) => cryptsetupFormat(path, 'luks1', 'x'), 'not-blank'],
  ['a LUKS2 volume', (path) => cryptsetupFormat(path, 'luks2', 'x'), 'not-blank'],
  [
    'a LUKS2 volume whose first header is destroyed',
    (path) => {
      cryptsetupFormat(path, 'luks2', 'x')
      poke(path, 0, Buffer.alloc(4096))
    },
    'header-damaged',
  ],
  [
    'a LUKS1 volume whose first sector is destroyed',
    (path) => {
      cryptsetupFormat(path, 'luks1', 'x')
      poke(path, 0, Buffer.alloc(512))
    },
    'not-blank',
  ],
  [
    'LUKS of an unknown version',
    (path) => poke(path, 0, Buffer.from('4c554b53babe0007', 'hex')),
    'header-damaged',
  ],
]

describe.each(HELD)('a device with %s', (_, fill, expected) => {
  it('is refused and left as it is, until its name is repeated', async () => {
    const device = blank()
    fill(device)
    const before = sha256(device)
    expect(await format(device)).toBe(expected)
    expect(await format(device, { force: 'another' })).toBe('usage')
    expect(sha256(device)).toBe(before)
    const name = device.slice(device.lastIndexOf('/') + 1)
    expect(await format(device, { force: name })).toBe('formatted')
    expect(opensWith(device, passphrase)).toBe(true)
    expect(
      run('sh', ['-c', `blkid -p -s TYPE -o value ${device}`])
        .toString()
        .trim(),
    ).toBe('crypto_LUKS')
  })
})

describe('a file that is in use', () => {
  it('as the disk of a running qemu is refused', async () => {
    const device = blank()
    const qemu = await holding('qemu-io', ['-f', 'raw', device])
    expect(await format(device)).toBe('busy')
    await qemu.end()
    expect(await format(device)).toBe('formatted')
  })

  it('is told from one that is locked by whoever looks at it, as udevd does', async () => {
    const device = blank()
    const flock = await holding('flock', ['-s', device, 'sleep', '600'])
    expect(await format(device)).toBe('formatted')
    await flock.end()
  })
})

describe('what cannot be formatted', () => {
  it('is told apart', async () => {
    mkdirSync(join(directory, 'folder'))
    expect(await format(join(directory, 'nowhere'))).toBe('no-device')
    expect(await format(join(directory, 'folder'))).toBe('usage')
    expect(await format('/dev/null')).toBe('usage')
    expect(await format(blank(0))).toBe('too-small')
    expect(await format(blank(16 * MIB))).toBe('too-small')
    expect(await format(blank(2 * MIB), { provider: 'luks' })).toBe('too-small')
    expect(await format(blank(), { keyId: '5df14c2b-f221-4a02-948e-48a61edd3f5b' })).toBe(
      'not-found',
    )
    expect(await format(blank(17 * MIB))).toBe('formatted')
  })

  it('stays blank when the work is refused or interrupted', async () => {
    const device = blank(16 * MIB)
    const before = sha256(device)
    expect(await format(device)).toBe('too-small')
    expect(sha256(device)).toBe(before)
    const other = blank()
    const controller = new AbortController()
    setTimeout(() => {
      controller.abort(new VolsealError('interrupted', 'interrupted'))
    }, 30)
    expect(await format(other, { signal: controller.signal })).toBe('interrupted')
    expect(sha256(other)).toBe(sha256(blank()))
    expect(await format(other)).toBe('formatted')
  })
})
