import { open } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { type FoundSignature, findSignature } from '../../src/encryptor/format/signatures.js'
import { lookAtDevice } from '../../src/encryptor/index.js'
import { run, scratchDirectory } from '../harness/run.js'
import { blankFile, cryptsetupFormat, poke } from '../harness/volumes.js'

const MIB = 1024 * 1024
const GIB = 1024 * MIB
const SIZE = 320 * MIB
const directory = scratchDirectory()
let files = 0

function blank(size = SIZE): string {
  files += 1
  return blankFile(directory, `device-${files}`, size)
}

async function found(path: string): Promise<FoundSignature | undefined> {
  const file = await open(path, 'r')
  try {
    return await findSignature(file, await lookAtDevice(path))
  } finally {
    await file.close()
  }
}

/** What libblkid calls the content; undefined for what it does not know. */
function blkid(path: string): string | undefined {
  const output = run('sh', ['-c', 'blkid --probe --output export "$0" || test $? = 2', path])
  return /^(?:TYPE|PTTYPE)=(.+)$/m.exec(output.toString())?.[1]
}

/** Programs that make the real thing, and what both call it. */
const MADE: readonly (readonly [string, (path: string) => void, string, string | undefined])[] = [
  [
    'mke2fs',
    (path) => run('mke2fs', ['-q', '-F', '-t', 'ext4', path]),
    'ext2, ext3 or ext4',
    'ext4',
  ],
  ['mkswap', (path) => run('mkswap', [path]), 'swap', 'swap'],
  ['mkswap, 64 KiB pages', (path) => run('mkswap', ['-p', '65536', path]), 'swap', 'swap'],
  [
    'veritysetup',
    (path) => run('veritysetup', ['format', blank(4 * MIB), path]),
    'dm-verity',
    'DM_verity_hash',
  ],
  ['LUKS1', (path) => cryptsetupFormat(path, 'luks1', 'x'), 'a LUKS header', 'crypto_LUKS'],
  ['LUKS2', (path) => cryptsetupFormat(path, 'luks2', 'x'), 'a LUKS header', 'crypto_LUKS'],
  ...(['qcow2', 'vmdk', 'vdi', 'vhdx'] as const).map(
    (format) =>
      [
        format,
        (path: string) => run('qemu-img', ['create', '-q', '-f', format, path, '64M']),
        `${format} image`,
        undefined,
      ] as const,
  ),
  [
    'vpc',
    (path) => run('qemu-img', ['create', '-q', '-f', 'vpc', path, '64M']),
    'vhd image',
    undefined,
  ],
  [
    'vpc, fixed',
    (path) => run('qemu-img', ['create', '-q', '-f', 'vpc', '-o', 'subformat=fixed', path, '64M']),
    'vhd image',
    undefined,
  ],
]

describe.each(MADE)('what %s makes', (_, make, name, known) => {
  it('is known', async () => {
    const path = blank()
    make(path)
    expect(await found(path)).toMatchObject({ name })
    expect(blkid(path)).toBe(known)
  })
})

const end = (back: number): number => SIZE - back
const le64 = (value: number): string => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes.toString('latin1')
}
const hex = (digits: string): string => Buffer.from(digits, 'hex').toString('latin1')
/** An MD superblock of version 1 says where it lies, in sectors at byte 144 (linux/raid/md_p.h). */
const md1 = (offset: number): string =>
  `\xfc\x4e\x2b\xa9\x01${'\0'.repeat(139)}${le64(offset / 512)}`

/**
 * The bytes alone, made by hand after the sources that `signatures.ts` names: offset, bytes, our
 * name, and blkid's where it is content with them. Undefined: it wants checksums, too, or more, or
 * does not know the kind. Those of Debian's file systems were also found in what their mkfs makes.
 */
const BYTES: readonly (readonly [number, string, string, string?])[] = [
  [0, 'XFSB', 'xfs'],
  [65536 + 64, '_BHRfS_M', 'btrfs', 'btrfs'],
  [64 * MIB + 64, '_BHRfS_M', 'btrfs'],
  [3, 'NTFS    ', 'ntfs'],
  [3, 'EXFAT   ', 'exfat', 'exfat'],
  [54, 'FAT12   ', 'fat'],
  [54, 'FAT16   ', 'fat'],
  [82, 'FAT32   ', 'fat'],
  [32769, 'CD001', 'iso9660'],
  [32769, 'BEA01', 'udf'],
  [34817, 'NSR03', 'udf'],
  [0, 'hsqs', 'squashfs', 'squashfs3'],
  [0, 'sqsh', 'squashfs', 'squashfs3'],
  [1024, '\x10\x20\xf5\xf2', 'f2fs', 'f2fs'],
  [5120, '\x10\x20\xf5\xf2', 'f2fs'],
  [32768, 'JFS1', 'jfs'],
  [65536 + 52, 'ReIsEr2Fs', 'reiserfs'],
  [8192 + 52, 'ReIsErFs', 'reiserfs'],
  [65536, 'ReIsEr4', 'reiser4', 'reiser4'],
  [1024, '\xe2\xe1\xf5\xe0', 'erofs', 'erofs'],
  [32, 'NXSB', 'apfs'],
  [1024, 'H+', 'hfs'],
  [1030, '\x34\x34', 'nilfs2'],
  [65536, '\x01\x16\x19\x70', 'gfs'],
  [4096, 'OCFSV2', 'ocfs2', 'ocfs2'],
  [4096 + 24, hex('c68573f666ce90a9d96a60cf803df7ef'), 'bcachefs'],
  [4096 + 24, hex('c68573f64e1a45ca8265f57f48ba6d81'), 'bcache'],
  [MIB, '\x0d\xd0\x01\xc0', 'vmfs', 'VMFS_volume_member'],
  [2 * MIB, '\x5e\xf1\xab\x2f', 'vmfs', 'VMFS'],
  // The four labels, each with slots for 128 uberblocks; blkid wants four of them.
  [128 * 1024, hex('0cb1ba0000000000'), 'zfs'],
  [384 * 1024 + 4096, hex('0cb1ba0000000000'), 'zfs'],
  [end(384 * 1024) + 127 * 1024, hex('0cb1ba0000000000'), 'zfs'],
  [end(128 * 1024), hex('0000000000bab10c'), 'zfs'],
  [128 * 1024, `${hex('0cb1ba0000000000')}${'\0'.repeat(1016)}`.repeat(4), 'zfs', 'zfs_member'],
  ...[0, 512, 1024, 1536].map((offset) => [offset, 'LABELONE', 'LVM2'] as const),
  [end(65536), '\xfc\x4e\x2b\xa9', 'linux raid', 'linux_raid_member'],
  [end(8192), md1(end(8192)), 'linux raid', 'linux_raid_member'],
  [0, md1(0), 'linux raid', 'linux_raid_member'],
  [4096, md1(4096), 'linux raid', 'linux_raid_member'],
  [end(512), '\xde\x11\xde\x11', 'ddf raid', 'ddf_raid_member'],
  [end(1024), 'Intel Raid ISM Cfg Sig. ', 'intel raid', 'isw_raid_member'],
  [end(4036), '\x83\x74\x02\x6b', 'drbd', 'drbd'],
  [end(4036), '\x83\x74\x02\x6d', 'drbd', 'drbd'],
  [0, 'bluestore block device', 'ceph bluestore', 'ceph_bluestore'],
  [516, '!Stra0tis\x86\xff\x02^Arh', 'stratis'],
  [4612, '!Stra0tis\x86\xff\x02^Arh', 'stratis'],
  [3, '-FVE-FS-', 'bitlocker'],
  [0, 'integrt\0', 'dm-integrity'],
  [4086, 'SWAP-SPACE', 'swap', 'swap'],
  [4086, 'S1SUSPEND\0', 'swap', 'swsuspend'],
  [65526, 'SWAPSPACE2', 'swap'],
  [512, 'EFI PART', 'GPT'],
  [4096, 'EFI PART', 'GPT'],
  [end(512), 'EFI PART', 'GPT'],
  [end(4096), 'EFI PART', 'GPT'],
  [510, '\x55\xaa', 'MBR or boot sector', 'dos'],
  [0, 'COWD', 'vmdk image'],
  [0, '# Disk DescriptorFile', 'vmdk image'],
  [end(512), 'conectix', 'vhd image'],
  // LUKS, in all places and in what is left of it.
  ...[16, 32, 64, 128, 256, 512, 1024, 2048, 4096].map(
    (kib) => [kib * 1024, 'SKUL\xba\xbe\0\x02', 'a LUKS header', 'crypto_LUKS'] as const,
  ),
  [16384, 'LUKS\xba\xbe\0\x02', 'a LUKS header'],
  [544, '\x00\x00\xde\xad', 'the remains of a LUKS1 header'],
  [208, '\x00\xac\x71\xf3', 'the remains of a LUKS1 header'],
  [4096, '{"keyslots":{', 'the remains of a LUKS2 header'],
  [16384 + 4096, '{"keyslots":{', 'the remains of a LUKS2 header'],
  [0, 'volseal: begun\r\n', 'a damaged mark of a formatting that volseal began'],
]

describe('the signature', () => {
  const rows = BYTES.map(([at, bytes, name, known]) => ({ at, bytes, name, known }))

  it.each(rows)('at byte $at is that of $name', async ({ at, bytes, name, known }) => {
    const path = blank()
    poke(path, at, Buffer.from(bytes, 'latin1'))
    expect(await found(path)).toMatchObject({ name })
    expect(blkid(path)).toBe(known)
  })

  it.each([
    { at: 256 * GIB + 64, bytes: '_BHRfS_M', name: 'btrfs' },
    { at: 100 * GIB, bytes: 'bluestore block device', name: 'ceph bluestore' },
  ])('at byte $at of a large disk is found, too', async ({ at, bytes, name }) => {
    const path = blank(300 * GIB)
    poke(path, at, Buffer.from(bytes))
    expect(await found(path)).toMatchObject({ name, at })
  })

  it('is looked for where the size is rounded down to', async () => {
    const path = blank(SIZE + 3 * 512)
    poke(path, SIZE - 65536, Buffer.from('\xfc\x4e\x2b\xa9', 'latin1'))
    expect(await found(path)).toMatchObject({ name: 'linux raid', at: SIZE - 65536 })
    expect(blkid(path)).toBe('linux_raid_member')
  })

  it('is in nothing that is blank, however small', async () => {
    for (const size of [0, 1, 511, 512, 4096, MIB, SIZE])
      expect(await found(blank(size))).toBe(undefined)
  })
})
