import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import {
  createCertificate,
  createKeyPair,
  formatVolume,
  type LocalKeyManager,
  openKey,
  Secret,
  signImage,
  writeImage,
} from '../../src/index.js'
import { growDisk } from '../harness/host.js'
import { run, scratchDirectory } from '../harness/run.js'
import { freshKeyManager, hexOf, poke } from '../harness/volumes.js'

/** Runs inside the virtual machine, as root: `scripts/vm run test/guest/volumes.test.ts --disk 48M`. */
const DISK = '/dev/vdb'
const MIB = 1024 * 1024

const directory = scratchDirectory()
const image = join(directory, 'image.raw')
let manager: LocalKeyManager
let keyId: string
let certificateId: string
let properties: Awaited<ReturnType<typeof signImage>>['properties']

beforeAll(async () => {
  manager = await freshKeyManager(directory)
  keyId = await manager.createKey({ algorithm: 'aes', bitLength: 256 })
  const pair = await createKeyPair({ keyType: 'ECC_SECP384R1' })
  const key = await openKey(pair.bytes())
  const certificate = await createCertificate({ subject: 'CN=machine', key })
  const payload = new Secret(Buffer.from(certificate))
  certificateId = await manager.store({ type: 'certificate', payload })
  writeFileSync(image, randomBytes(3 * MIB))
  const signed = await signImage({ image, key, certificateId, keyManager: manager })
  properties = signed.properties
})

afterEach(() => {
  expect(mappings()).toEqual([])
})

function mappings(): string[] {
  const names = run('dmsetup', ['ls']).toString().trim().split('\n')
  return names.filter((name) => name !== 'No devices found')
}

async function write(target: string): ReturnType<typeof writeImage> {
  const encrypt = { provider: 'luks2', keyId, keyManager: manager } as const
  return await writeImage({
    image,
    properties,
    certificateId,
    keyManager: manager,
    target,
    encrypt,
  })
}

/** Opens the volume with cryptsetup, as the mapping `check`, for as long as `use` runs. */
async function opened<T>(use: (path: string) => Promise<T> | T): Promise<T> {
  const passphrase = await hexOf(manager, keyId)
  run('cryptsetup', ['open', '--key-file=-', DISK, 'check'], passphrase)
  try {
    return await use('/dev/mapper/check')
  } finally {
    run('cryptsetup', ['close', 'check'])
  }
}

describe('a volume on a disk of the machine', () => {
  it('is formatted and written through dm-crypt', async () => {
    const { encrypted } = await write(DISK)
    expect(encrypted).toMatchObject({ formatted: true, way: 'dm-crypt' })
    const content = await opened((path) => readFileSync(path).subarray(0, 3 * MIB))
    expect(content.equals(readFileSync(image))).toBe(true)
  })

  it('grows with its disk while it is open, and keeps its content', async () => {
    await opened(async (path) => {
      const size = (): number => Number(run('blockdev', ['--getsize64', path]).toString())
      const before = size()
      await growDisk(0, '56M')
      run('cryptsetup', ['resize', '--key-file=-', 'check'], await hexOf(manager, keyId))
      expect(size()).toBe(before + 8 * MIB)
      expect(
        readFileSync(path)
          .subarray(0, 3 * MIB)
          .equals(readFileSync(image)),
      ).toBe(true)
    })
  })

  it('is refused by the host when it is to shrink', async () => {
    await expect(growDisk(0, '8M')).rejects.toThrow('the host says: Error: disk 0 has')
  })
})

describe('a device with a bad place', () => {
  /** Good up to 17 MiB, then for 1 MiB only errors (dmsetup(8), target error). */
  const TABLE = `0 34816 linear ${DISK} 0\n34816 2048 error\n36864 45056 linear ${DISK} 36864\n`

  /** dmsetup leaves the names in /dev/mapper to udev, unless it is told that there is none. */
  function mapper(args: readonly string[], table = ''): void {
    run('env', ['DM_DISABLE_UDEV=1', 'dmsetup', ...args], table)
  }

  it('is an error that says where, and leaves no mapping', async () => {
    mapper(['create', 'bad'], TABLE)
    try {
      await expect(write('/dev/mapper/bad')).rejects.toMatchObject({
        code: 'io',
        message: expect.stringMatching(/cannot (?:write|flush).*is partly written$/),
      })
      expect(mappings()).toEqual([expect.stringMatching(/^bad\s/)])
    } finally {
      mapper(['remove', 'bad'])
    }
  })

  it('is not taken for blank when it cannot be read', async () => {
    mapper(['create', 'bad'], '0 81920 error\n')
    try {
      const device = '/dev/mapper/bad'
      const options = { provider: 'luks2', keyId, keyManager: manager, force: 'bad' } as const
      await expect(formatVolume({ device, ...options })).rejects.toMatchObject({ code: 'io' })
    } finally {
      mapper(['remove', 'bad'])
    }
  })
})

describe('a device that cannot be read everywhere', () => {
  /** Zero, but for a place that is behind the header and between all known signatures. */
  const BAD = `0 69632 linear ${DISK} 0\n69632 2048 error\n71680 18432 linear ${DISK} 71680\n`
  const GOOD = `0 90112 linear ${DISK} 0\n`

  beforeAll(() => {
    run('dd', ['if=/dev/zero', `of=${DISK}`, 'bs=1M', 'count=44', 'conv=fsync', 'status=none'])
  })

  async function format(evidence: 'blank' | 'vouched', scan?: 'full'): Promise<unknown> {
    const device = '/dev/mapper/bad'
    const options = { provider: 'luks2', keyId, keyManager: manager, volumeId: 'vol-1' } as const
    return await formatVolume({ device, ...options, evidence, scan })
  }

  function mapped<T>(table: string, use: () => Promise<T>): Promise<T> {
    const dm = (args: readonly string[], input = ''): unknown =>
      run('env', ['DM_DISABLE_UDEV=1', 'dmsetup', ...args], input)
    dm(['create', 'bad'], table)
    return use().finally(() => dm(['remove', 'bad']))
  }

  it('H3: is not formatted, whoever vouches for it, and is left as it is', async () => {
    const digest = (): string => run('sha256sum', [DISK]).toString()
    const before = digest()
    await mapped(BAD, async () => {
      // The mebibyte that is read begins before the bad place.
      const bad = { code: 'io', message: expect.stringContaining(`at byte ${33 * MIB + 65536}`) }
      await expect(format('blank')).rejects.toMatchObject(bad)
      await expect(format('blank', 'full')).rejects.toMatchObject(bad)
      await expect(format('vouched')).rejects.toMatchObject(bad)
    })
    expect(digest()).toBe(before)
    await mapped(GOOD, async () => {
      await expect(format('blank')).resolves.toMatchObject({ label: 'vol-1' })
    })
  })

  it('H3: is not formatted when unknown bytes lie before the bad place, either', async () => {
    run('dd', ['if=/dev/zero', `of=${DISK}`, 'bs=1M', 'count=17', 'status=none'])
    poke(DISK, 100_000, randomBytes(1000))
    await mapped(BAD, async () => {
      await expect(format('vouched')).rejects.toMatchObject({ code: 'io' })
    })
    await mapped(GOOD, async () => {
      await expect(format('vouched')).resolves.toMatchObject({ label: 'vol-1' })
    })
  })
})
