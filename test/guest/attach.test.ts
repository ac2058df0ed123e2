import { randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { withVolumeLock } from '../../src/encryptor/attach/volume-lock.js'
import { encodeMarker } from '../../src/encryptor/format/marker.js'
import {
  type AttachOptions,
  attachVolume,
  collectGarbage,
  createEncryptor,
  detachVolume,
  extendVolume,
  formatVolume,
  inspectVolume,
  type LocalKeyManager,
  Secret,
  volumeStatus,
} from '../../src/index.js'
import { growDisk } from '../harness/host.js'
import { holding } from '../harness/locks.js'
import { run, scratchDirectory } from '../harness/run.js'
import { freshKeyManager, hexOf, peek, poke } from '../harness/volumes.js'

/** Runs inside the virtual machine, as root, with disks of 48 MiB of its own. */
const MIB = 1024 * 1024
const DISK = { luks: '/dev/vdc', luks2: '/dev/vdd' } as const
const OTHER = '/dev/vde'
/** Longer than a look at all mappings takes. */
const LOOKS_MS = 5000
const BY_ID = '/dev/disk/by-id'

const directory = scratchDirectory()
let keyManager: LocalKeyManager
let keyId: string
let otherKeyId: string

beforeAll(async () => {
  keyManager = await freshKeyManager(directory)
  keyId = await keyManager.createKey({ algorithm: 'aes', bitLength: 256 })
  otherKeyId = await keyManager.createKey({ algorithm: 'aes', bitLength: 256 })
  mkdirSync(BY_ID, { recursive: true })
  for (const provider of ['luks', 'luks2'] as const) {
    await formatVolume({ device: DISK[provider], provider, keyId, keyManager })
  }
})

afterEach(async () => {
  // Each test leaves nothing open, and no link of its own.
  expect(mappings()).toEqual([])
  expect((await volumeStatus([directory])).danglingLinks).toEqual([])
})

function mappings(): string[] {
  const lines = run('dmsetup', ['ls']).toString().trim().split('\n')
  return lines
    .filter((line) => line !== 'No devices found')
    .map((line) => line.split('\t')[0] ?? '')
}

async function attach(
  device: string,
  options: Partial<AttachOptions> = {},
): ReturnType<typeof attachVolume> {
  return await attachVolume({ device, keyId, keyManager, ...options })
}

/** A link to a device, as a connector makes it. */
function linkTo(device: string, path = join(directory, 'volume')): string {
  symlinkSync(device, path)
  return path
}

function dmsetup(args: readonly string[], table = ''): void {
  run('env', ['DM_DISABLE_UDEV=1', 'dmsetup', ...args], table)
}

describe.each(['luks', 'luks2'] as const)('%s', (provider) => {
  const device = DISK[provider]

  it('is attached under the name that os-brick gives it, and detached', async () => {
    const name = `crypt-${basename(device)}`
    const attached = await attach(device)
    expect(attached).toMatchObject({
      mapping: name,
      path: `/dev/mapper/${name}`,
      link: null,
      device,
      format: provider,
      size: 48 * MIB - (provider === 'luks' ? 2 : 16) * MIB,
      adopted: false,
      formatted: false,
      warnings: [],
    })
    expect(run('cryptsetup', ['status', name]).toString()).toContain('aes-xts-plain64')
    expect(await detachVolume({ device })).toMatchObject({ mapping: name, detached: true })
    expect(await detachVolume({ device })).toMatchObject({ mapping: name, detached: false })
  })

  it('keeps what is written into it', async () => {
    const content = randomBytes(MIB)
    poke((await attach(device)).path, 0, content)
    await detachVolume({ device })
    const { path } = await attach(device)
    expect(peek(path, 0, MIB).equals(content)).toBe(true)
    await detachVolume({ device })
  })

  it('has its link swapped, is adopted when attached again (H4), and gets its link back', async () => {
    const header = peek(device, 0, MIB)
    const link = linkTo(device)
    const first = await attach(link, { link })
    expect(first).toMatchObject({ mapping: 'crypt-volume', link, device, adopted: false })
    expect(readlinkSync(link)).toBe('/dev/mapper/crypt-volume')
    poke(first.path, 0, Buffer.alloc(MIB, 'guest'))
    // The link leads to the decrypted side now. os-brick would format that.
    const firstUse = { volumeId: 'volume-1', evidence: 'vouched' } as const
    const again = await attach(link, { link, provider, firstUse })
    expect(again).toMatchObject({ mapping: 'crypt-volume', adopted: true, formatted: false })
    const inside = peek(first.path, 0, MIB)
    expect(inside.equals(Buffer.alloc(MIB, 'guest'))).toBe(true)
    expect(await detachVolume({ device: link })).toMatchObject({ link: 'restored' })
    expect(readlinkSync(link)).toBe(device)
    expect(peek(device, 0, MIB).equals(header)).toBe(true)
    unlinkSync(link)
  })

  it('is not opened by another key, and says so', async () => {
    await expect(attach(device, { keyId: otherKeyId })).rejects.toMatchObject({ code: 'wrong-key' })
  })

  it('must be what the caller says it is', async () => {
    const other = { cipher: 'aes-cbc-essiv:sha256' }
    await expect(attach(device, other)).rejects.toMatchObject({ code: 'header-damaged' })
    const stronger = { keySize: 1024 }
    await expect(attach(device, stronger)).rejects.toMatchObject({ code: 'header-damaged' })
    if (provider === 'luks') {
      const wrong = attach(device, { provider: 'luks2' })
      await expect(wrong).rejects.toMatchObject({ code: 'header-damaged' })
    }
    await attach(device, { provider, cipher: 'aes-xts-plain64', keySize: 256 })
    await detachVolume({ device })
  })

  it('is closed again when its link cannot be made', async () => {
    const link = join(directory, 'no-such-directory', 'link')
    await expect(attach(device, { link })).rejects.toMatchObject({ code: 'not-found' })
    await expect(attach(device, { link: directory })).rejects.toMatchObject({ code: 'no-device' })
  })

  it('is adopted under the names of old', async () => {
    const passphrase = await hexOf(keyManager, keyId)
    for (const name of [basename(device), '3600a0b80001']) {
      run('cryptsetup', ['open', '--key-file=-', device, name], passphrase)
      const names = { device, multipathId: '3600a0b80001' }
      const found = { mapping: name, adopted: true }
      expect(await attach(device, names)).toMatchObject({ ...found, warnings: [] })
      const { warnings } = await attach(device, { ...names, discard: true, noReadWorkqueue: true })
      expect(warnings).toEqual([
        expect.stringMatching(/without allow_discards, no_read_workqueue:/),
      ])
      expect(await detachVolume(names)).toMatchObject({ mapping: name, detached: true })
    }
  })

  it("grows with its disk, whose size the host's user learns", async () => {
    const before = await attach(device)
    const disk = provider === 'luks' ? 1 : 2
    await growDisk(disk, '56M')
    const extended = await extendVolume({ device, keyId, keyManager })
    expect(extended).toMatchObject({ size: before.size + 8 * MIB, sizeBefore: before.size })
    const blocks = Number(run('blockdev', ['--getsize64', before.path]).toString())
    expect(blocks).toBe(extended.size)
    await detachVolume({ device })
    await expect(extendVolume({ device, keyId, keyManager })).rejects.toMatchObject({
      code: 'no-device',
      message: expect.stringContaining('is not open'),
    })
  })

  it('is not closed while somebody uses it, and says who', async () => {
    const { path } = await attach(device)
    const file = openSync(path, 'r')
    // This process itself is not named: who else has it open is.
    await expect(detachVolume({ device })).rejects.toMatchObject({ code: 'busy' })
    closeSync(file)
    const reader = await holding('flock', ['-s', path, 'sleep', '600'])
    await expect(detachVolume({ device })).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringMatching(/in use by process \d+ \((?:flock|sleep)\)/),
    })
    await reader.end()
    run('mke2fs', ['-q', path])
    const place = join(directory, 'mount')
    mkdirSync(place, { recursive: true })
    run('mount', [path, place])
    await expect(detachVolume({ device })).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringContaining('in use by the mount '),
    })
    run('umount', [place])
    await detachVolume({ device })
  })

  it('passes discards only when it is told to', async () => {
    const table = (): string => run('dmsetup', ['table', `crypt-${basename(device)}`]).toString()
    await attach(device)
    expect(table()).not.toContain('allow_discards')
    await detachVolume({ device })
    await attach(device, { discard: true, noReadWorkqueue: true, noWriteWorkqueue: true })
    for (const option of ['allow_discards', 'no_read_workqueue', 'no_write_workqueue']) {
      expect(table()).toContain(option)
    }
    await detachVolume({ device })
  })
})

describe('a connection of cinder', () => {
  const device = DISK.luks2
  const link = `${BY_ID}/os-brick+dev+vdd`
  const metadata = {
    provider: 'luks2',
    control_location: 'front-end',
    cipher: 'aes-xts-plain64',
    key_size: 256,
  }

  it('is attached, detached, and attached again before its connector has been there', async () => {
    const data = { device_path: link, volume_id: 'volume-1', encrypted: true, discard: true }
    const connection = { driver_volume_type: 'iscsi', data }
    const encryption = { ...metadata, encryption_key_id: keyId }
    const encryptor = createEncryptor(connection, encryption, keyManager)
    symlinkSync(device, link)
    for (let round = 1; round <= 2; round += 1) {
      expect(await encryptor.attach()).toMatchObject({
        encrypted: true,
        mapping: 'crypt-os-brick+dev+vdd',
        link,
        device,
      })
      expect(readlinkSync(link)).toBe('/dev/mapper/crypt-os-brick+dev+vdd')
      expect(await encryptor.extend()).toMatchObject({ size: 40 * MIB, sizeBefore: 40 * MIB })
      // os-brick leaves it so for its connector.
      expect(await encryptor.detach()).toMatchObject({ detached: true, link: 'dangling' })
      expect(existsSync(link)).toBe(false)
    }
    unlinkSync(link)
  })

  it('is refused when its path is the device itself, which os-brick would replace', async () => {
    const connection = { data: { device_path: device, encrypted: true } }
    const encryption = { ...metadata, encryption_key_id: keyId }
    const encryptor = createEncryptor(connection, encryption, keyManager)
    await expect(encryptor.attach()).rejects.toMatchObject({
      code: 'no-device',
      message: expect.stringContaining('is no link'),
    })
  })
})

describe('what is in the way', () => {
  const device = DISK.luks2

  it('is a mapping of that name on another device', async () => {
    dmsetup(['create', 'crypt-vdd'], `0 2048 linear ${OTHER} 0\n`)
    await expect(attach(device)).rejects.toMatchObject({ code: 'busy' })
    await expect(detachVolume({ device })).rejects.toMatchObject({ code: 'busy' })
    dmsetup(['remove', 'crypt-vdd'])
  })

  it('is a mapping on the device that another header made, or none that encrypts', async () => {
    const { uuid } = await inspectVolume(device)
    const own = `CRYPT-LUKS2-${uuid.replaceAll('-', '')}-crypt-vdd`
    const key = 'ab'.repeat(64)
    const cases = [
      [`CRYPT-LUKS2-${'0'.repeat(32)}-crypt-vdd`, `aes-xts-plain64 ${key}`, 'uuid'],
      [own, 'cipher_null-ecb -', 'cipher'],
    ] as const
    for (const [name, cipher, what] of cases) {
      const table = `0 2048 crypt ${cipher} 0 ${device} 32768\n`
      dmsetup(['create', 'crypt-vdd', '--uuid', name], table)
      await expect(attach(device)).rejects.toMatchObject({
        code: 'busy',
        message: expect.stringContaining(what),
      })
      dmsetup(['remove', 'crypt-vdd'])
    }
  })

  it('is the volume, open under another name', async () => {
    run('cryptsetup', ['open', '--key-file=-', device, 'mine'], await hexOf(keyManager, keyId))
    await expect(attach(device)).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringContaining('/dev/mapper/mine'),
    })
    await expect(attach('/dev/mapper/mine')).rejects.toMatchObject({ code: 'busy' })
    run('cryptsetup', ['close', 'mine'])
  })

  it('is a virtual machine that has it open', async () => {
    const qemu = await holding('qemu-io', ['-f', 'raw', device])
    await expect(attach(device)).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringContaining('(qemu-io)'),
    })
    await qemu.end()
  })

  it('is who has it open for himself, which cryptsetup says without a name', async () => {
    const script = `import fcntl, os, time
os.open('${device}', os.O_RDWR | os.O_EXCL)
fcntl.flock(os.open('${directory}', os.O_RDONLY), fcntl.LOCK_EX)
time.sleep(600)`
    const holder = await holding('python3', ['-c', script])
    const hint = expect.stringMatching(/in use by process \d+ \(python3\)/)
    await expect(attach(device)).rejects.toMatchObject({ code: 'busy', hint })
    await holder.end()
    expect(await attach(device)).toMatchObject({ adopted: false })
    await detachVolume({ device })
  })

  it('is swapped on', async () => {
    run('blkdiscard', ['--zeroout', OTHER])
    run('mkswap', [OTHER])
    run('swapon', [OTHER])
    await expect(attach(OTHER)).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringContaining('swap'),
    })
    run('swapoff', [OTHER])
    run('blkdiscard', ['--zeroout', OTHER])
  })

  it('is not who locks it as udevd does while it looks at a device', async () => {
    const flock = await holding('flock', ['-s', device, 'sleep', '600'])
    expect(await attach(device)).toMatchObject({ adopted: false })
    await detachVolume({ device })
    await flock.end()
  })

  it('is a mapping that an open which was killed has left without a table', async () => {
    dmsetup(['create', 'crypt-vdd', '--notable', '--uuid', 'CRYPT-LUKS2-1-crypt-vdd'])
    expect((await collectGarbage()).garbage).toMatchObject([{ name: 'crypt-vdd' }])
    expect(await attach(device)).toMatchObject({ adopted: false })
    await detachVolume({ device })
  })

  it('is a volume that is suspended', async () => {
    await attach(device)
    run('cryptsetup', ['luksSuspend', 'crypt-vdd'])
    await expect(attach(device)).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringContaining('suspended'),
    })
    run('cryptsetup', ['close', 'crypt-vdd'])
  })

  it('is a header that was lost while the volume is open: it must not be closed', async () => {
    await attach(device)
    const header = peek(device, 0, 64 * 1024)
    poke(device, 0, Buffer.alloc(64 * 1024, 'x'))
    await expect(attach(device)).rejects.toMatchObject({
      code: 'header-damaged',
      hint: expect.stringContaining('do not close it'),
    })
    poke(device, 0, header)
    await detachVolume({ device })
  })
})

it('a volume from before Newton is known as such, and left as it is', async () => {
  const key = Buffer.concat([Buffer.of(0, 4, 0x40), randomBytes(29)])
  const payload = new Secret(key)
  const mangled = [...key].map((byte) => byte.toString(16)).join('')
  const id = await keyManager.store({ type: 'symmetric', payload })
  const cheap = ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000', '--key-file=-']
  run('cryptsetup', ['luksFormat', '-q', '--type', 'luks1', ...cheap, OTHER], mangled)
  const before = peek(OTHER, 0, 2 * MIB)
  await expect(attach(OTHER, { keyId: id })).rejects.toMatchObject({
    code: 'wrong-key',
    hint: expect.stringContaining('--repair-mangled'),
  })
  expect(peek(OTHER, 0, 2 * MIB).equals(before)).toBe(true)
  run('blkdiscard', ['--zeroout', OTHER])
})

describe('a volume that was never used', () => {
  const device = OTHER

  afterEach(() => {
    run('blkdiscard', ['--zeroout', device])
  })

  it('is formatted only when the caller says so', async () => {
    await expect(attach(device, { provider: 'luks2' })).rejects.toMatchObject({ code: 'not-found' })
    const firstUse = { volumeId: 'volume-9', evidence: 'blank' } as const
    expect(await attach(device, { provider: 'luks2', firstUse })).toMatchObject({ formatted: true })
    await detachVolume({ device })
    expect(await attach(device, { provider: 'luks2', firstUse })).toMatchObject({
      formatted: false,
    })
    await detachVolume({ device })
  })

  it('whose formatting was cut off before its last write is formatted again', async () => {
    const firstUse = { volumeId: 'volume-9', evidence: 'blank' } as const
    await attach(device, { provider: 'luks2', firstUse })
    await detachVolume({ device })
    poke(device, 0, encodeMarker({ volumeId: 'volume-9', headerBytes: 16 * MIB }))
    await expect(attach(device, { provider: 'luks2' })).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringContaining('the beginning of the LUKS volume volume-9'),
    })
    expect(await attach(device, { provider: 'luks2', firstUse })).toMatchObject({ formatted: true })
    await detachVolume({ device })
  })

  it('finds its key by its own token, if that is for this volume', async () => {
    const firstUse = { volumeId: 'volume-9', evidence: 'blank' } as const
    const { path } = await attach(device, { firstUse, sectorSize: 4096 })
    expect(run('blockdev', ['--getss', path]).toString()).toBe('4096\n')
    await detachVolume({ device })
    const options = { device, keyManager }
    expect(await attachVolume({ ...options, fromToken: 'volume-9' })).toMatchObject({ device })
    await detachVolume({ device })
    const clone = attachVolume({ ...options, fromToken: 'volume-10' })
    await expect(clone).rejects.toMatchObject({ code: 'not-found' })
  })

  it('is refused when it holds data, or cannot be read', async () => {
    poke(device, 8 * MIB, Buffer.from('data'))
    const firstUse = { volumeId: 'volume-9', evidence: 'blank' } as const
    await expect(attach(device, { firstUse })).rejects.toMatchObject({ code: 'not-blank' })
    dmsetup(['create', 'bad'], '0 81920 error\n')
    const bad = attach('/dev/mapper/bad', { firstUse })
    await expect(bad).rejects.toMatchObject({ code: 'io' })
    dmsetup(['remove', 'bad'])
  })
})

describe('plain dm-crypt', () => {
  const device = OTHER
  const settings = ['--cipher', 'aes-cbc-essiv:sha256', '--key-size', '256', '--hash', 'ripemd160']

  it('opens volumes of old, and says when it sees nothing it knows', async () => {
    const open = ['open', '--type', 'plain', ...settings, '--key-file=-', device, 'old']
    run('cryptsetup', open, await hexOf(keyManager, keyId))
    run('mke2fs', ['-q', '/dev/mapper/old'])
    run('cryptsetup', ['close', 'old'])
    expect(await attach(device, { provider: 'plain' })).toMatchObject({
      format: 'plain',
      uuid: null,
      size: 48 * MIB,
      warnings: [],
    })
    expect(await attach(device, { provider: 'plain' })).toMatchObject({ adopted: true })
    await growDisk(3, '52M')
    const extended = await extendVolume({ device, provider: 'plain', keyId, keyManager })
    expect(extended).toMatchObject({ sizeBefore: 48 * MIB, size: 52 * MIB })
    await detachVolume({ device })
    const wrong = await attach(device, { provider: 'plain', plain: { hash: 'sha256' } })
    expect(wrong.warnings).toEqual([expect.stringContaining('nothing known is to be seen')])
    await detachVolume({ device })
    run('blkdiscard', ['--zeroout', device])
  })

  it('is not what a LUKS volume is opened as, which would be written over', async () => {
    await expect(attach(DISK.luks2, { provider: 'plain' })).rejects.toMatchObject({
      code: 'header-damaged',
      message: expect.stringContaining('got a LUKS2 volume'),
    })
  })
})

describe('a path with the longest of names', () => {
  it('has a mapping, whose uuid the kernel cuts, and which is adopted all the same', async () => {
    const link = linkTo(DISK.luks2, join(directory, 'v'.repeat(121)))
    const { mapping } = await attach(link)
    expect(mapping).toHaveLength(127)
    expect(await attach(link)).toMatchObject({ mapping, adopted: true })
    expect(await detachVolume({ device: link })).toMatchObject({ detached: true })
    unlinkSync(link)
  })
})

describe('many volumes at once', () => {
  const COUNT = 10
  const names = Array.from({ length: COUNT }, (_, index) => `lv${index}`)

  beforeAll(async () => {
    await growDisk(3, '400M')
    for (const [index, name] of names.entries()) {
      dmsetup(['create', name], `0 65536 linear ${OTHER} ${index * 65_536}\n`)
      await formatVolume({ device: `/dev/mapper/${name}`, provider: 'luks2', keyId, keyManager })
    }
  })
  afterAll(() => {
    for (const name of names) dmsetup(['remove', name])
  })

  it('are all attached, shown and detached', async () => {
    try {
      const attached = await Promise.all(
        names.map(async (name) => await attach(`/dev/mapper/${name}`)),
      )
      expect(attached.map(({ mapping }) => mapping)).toEqual(names.map((name) => `crypt-${name}`))
      const { mappings: shown } = await volumeStatus()
      expect(shown.map(({ mapping, health }) => `${mapping} ${health}`).toSorted()).toEqual(
        names.map((name) => `crypt-${name} ok`),
      )
      // One volume, asked for ten times at once.
      const again = await Promise.all(names.map(async () => await attach('/dev/mapper/lv0')))
      expect(again.every(({ adopted }) => adopted)).toBe(true)
    } finally {
      await Promise.all(
        names.map(async (name) => await detachVolume({ device: `/dev/mapper/${name}` })),
      )
    }
    const racing = await Promise.all(names.map(async () => await attach('/dev/mapper/lv0')))
    expect(racing.filter(({ adopted }) => !adopted)).toHaveLength(1)
    await detachVolume({ device: '/dev/mapper/lv0' })
    for (const name of names) dmsetup(['remove', name])
    names.length = 0
  })
})

describe('a header that the storage may change', () => {
  const device = OTHER
  /** Destroys the header, both copies of it, just before the real one reads it. */
  const CHANGER = `#!/bin/sh
[ "$1" = open ] && dd if=/dev/zero of=${device} bs=64K count=1 conv=notrunc,fsync status=none
[ -x /usr/sbin/cryptsetup ] && exec /usr/sbin/cryptsetup "$@"
exec /sbin/cryptsetup "$@"
`

  beforeAll(() => {
    // All of it: what earlier tests left anywhere would be found by a sample, or not.
    run('blkdiscard', ['--zeroout', device])
  })
  afterEach(() => {
    run('blkdiscard', ['--zeroout', '--length', String(32 * MIB), device])
  })

  it('is refused when it says that nothing is encrypted', async () => {
    const cheap = ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000', '--key-file=-']
    const forged = ['luksFormat', '-q', '--type', 'luks2', '--cipher', 'cipher_null-ecb', ...cheap]
    run('cryptsetup', [...forged, device], await hexOf(keyManager, keyId))
    await expect(attach(device)).rejects.toMatchObject({ code: 'header-damaged' })
  })

  it('is opened as it was judged, whatever becomes of it in between', async () => {
    await formatVolume({ device, provider: 'luks2', keyId, keyManager })
    const content = randomBytes(MIB)
    poke((await attach(device)).path, 0, content)
    await detachVolume({ device })
    const before = peek(device, 0, 64 * 1024)
    await withProgram('cryptsetup', CHANGER, async () => {
      expect(peek((await attach(device)).path, 0, MIB).equals(content)).toBe(true)
    })
    expect(peek(device, 0, 64 * 1024).equals(Buffer.alloc(64 * 1024))).toBe(true)
    poke(device, 0, before)
    await detachVolume({ device })
  })
})

/** Runs `use` with a program before all others of its name. */
async function withProgram(name: string, text: string, use: () => Promise<void>): Promise<void> {
  const bin = join(directory, `bin-${randomBytes(4).toString('hex')}`)
  mkdirSync(bin)
  writeFileSync(join(bin, name), text, { mode: 0o755 })
  const path = process.env['PATH']
  process.env['PATH'] = `${bin}:${path}`
  try {
    await use()
  } finally {
    process.env['PATH'] = path
  }
}

describe('a volume whose reencryption is in progress', () => {
  const device = OTHER
  /** Gives what was opened another cipher at once, as a forged header would have had it opened. */
  const FORGER = `#!/bin/sh
real=/usr/sbin/cryptsetup
[ -x $real ] || real=/sbin/cryptsetup
$real "$@" || exit
[ "$1" = open ] || exit 0
export DM_DISABLE_UDEV=1
key=$(printf %0128d 1)
for part in $(dmsetup ls --target crypt | cut -f1); do
  dmsetup table "$part" | awk -v key="$key" '{ $4 = "aes-xts-plain"; $5 = key } 1' |
    dmsetup reload "$part" && dmsetup resume "$part"
done
`

  it('is opened with the header on the device, and closed again when that was changed', async () => {
    run('blkdiscard', ['--zeroout', device])
    await formatVolume({ device, provider: 'luks2', keyId, keyManager })
    const content = randomBytes(MIB)
    poke((await attach(device)).path, 0, content)
    await detachVolume({ device })
    const init = ['reencrypt', '--init-only', '-q', '--key-file=-', '--pbkdf', 'pbkdf2']
    const cheap = ['--pbkdf-force-iterations', '1000']
    run('cryptsetup', [...init, ...cheap, device], await hexOf(keyManager, keyId))

    expect(peek((await attach(device)).path, 0, MIB).equals(content)).toBe(true)
    await detachVolume({ device })
    expect(mappings()).toEqual([])

    await withProgram('cryptsetup', FORGER, async () => {
      await expect(attach(device)).rejects.toMatchObject({
        code: 'header-damaged',
        message: expect.stringContaining('expected aes-xts-plain64, got aes-xts-plain'),
      })
    })
    expect(mappings()).toEqual([])
    expect(peek((await attach(device)).path, 0, MIB).equals(content)).toBe(true)
    await detachVolume({ device })
  })
})

describe('what is left behind', () => {
  const device = DISK.luks2

  it('is shown, and then closed; what is in use or has its link stays', async () => {
    const link = linkTo(device)
    await attach(link, { link })
    const { path } = await attach(DISK.luks)
    const dangling = `${BY_ID}/os-brick+dev+vdz`
    symlinkSync('/dev/mapper/crypt-vdz', dangling)
    const places = [directory]
    const shown = await collectGarbage({ places })
    const expected = [
      { kind: 'mapping', name: 'crypt-vdc' },
      { kind: 'link', name: dangling },
    ]
    expect(shown).toMatchObject({ applied: false, garbage: expected })
    const file = openSync(path, 'r')
    expect((await collectGarbage({ places })).garbage).toMatchObject([expected[1]])
    closeSync(file)
    expect(existsSync(path)).toBe(true)
    const { applied, garbage } = await collectGarbage({ apply: true, places })
    expect(applied).toBe(true)
    expect(garbage).toMatchObject(expected.map((each) => ({ ...each, result: 'removed' })))
    expect(mappings()).toEqual(['crypt-volume'])
    await detachVolume({ device: link })
    rmSync(link)
  })

  it('stays when it came into use while it was waited for', async () => {
    const { mapping, path } = await attach(device)
    let file = -1
    // It makes its list, and then waits for the lock that we hold, which nobody can see.
    const collecting = await withVolumeLock(mapping, undefined, async () => {
      const working = collectGarbage({ apply: true })
      await sleep(LOOKS_MS)
      file = openSync(path, 'r')
      return { working }
    })
    expect((await collecting.working).garbage).toMatchObject([
      { name: mapping, result: 'failed', error: `${mapping} came into use meanwhile` },
    ])
    closeSync(file)
    expect(mappings()).toEqual([mapping])
    await detachVolume({ device })
  })
})
