import type { FileHandle } from 'node:fs/promises'
import type { Device } from '../device.js'
import { MARKER_MAGIC } from './marker.js'
import { BTRFS_MIRRORS, readArea } from './scan.js'

const KIB = 1024

/** Bytes from the start, or before the end of the device when its size is rounded down so far. */
type Place = number | { readonly beforeEnd: number; readonly rounded: number }

/** By what a kind of content is known. */
interface Signature {
  readonly name: string
  readonly places: readonly Place[]
  /** One of these, in latin1. */
  readonly magics: readonly string[]
  /** Where a place stands for several, so many with so many bytes from one to the next. */
  readonly repeated?: { readonly times: number; readonly bytes: number }
  /** Of LUKS: what the beginning of a volume, too, leaves behind its marker. */
  readonly luks?: true
}

export interface FoundSignature {
  readonly name: string
  readonly at: number
  readonly luks: boolean
}

const beforeEnd = (bytes: number, rounded = 1): Place => ({ beforeEnd: bytes, rounded })
const times = (count: number, step: number): number[] =>
  Array.from({ length: count }, (_, index) => index * step)

export const LUKS_MAGIC = 'LUKS\xba\xbe'
export const LUKS2_SECOND_MAGIC = 'SKUL\xba\xbe'
/** Where a second LUKS2 header can lie (LUKS2 On-Disk Format §2.3, table 1). */
export const LUKS2_SECOND_PLACES: readonly number[] = times(9, 1).map((n) => 16 * KIB * 2 ** n)

const LABEL_ZFS = 256 * KIB
const MIRRORS = [64 * KIB, ...BTRFS_MIRRORS]
const PAGES = [4, 8, 16, 32, 64].map((kib) => kib * KIB)

/**
 * What is never formatted over, whoever vouches for it. Sources: libblkid's probes (util-linux),
 * the formats' own documents, and `mkfs` of each that Debian has. The checksums behind the magics
 * are not looked at: what is damaged is still somebody's.
 */
const SIGNATURES: readonly Signature[] = [
  // LUKS, also where the magic itself is gone.
  {
    name: 'a LUKS header',
    places: [0, ...LUKS2_SECOND_PLACES],
    magics: [LUKS_MAGIC, LUKS2_SECOND_MAGIC],
    luks: true,
  },
  {
    // LUKS1 On-Disk Format 1.2.3 §2.4: eight key slots of 48 bytes, enabled or disabled.
    name: 'the remains of a LUKS1 header',
    places: times(8, 48).map((offset) => 208 + offset),
    magics: ['\x00\xac\x71\xf3', '\x00\x00\xde\xad'],
    luks: true,
  },
  {
    // The metadata of either header begin 4096 bytes behind its magic.
    name: 'the remains of a LUKS2 header',
    places: [0, ...LUKS2_SECOND_PLACES].map((offset) => offset + 4 * KIB),
    magics: ['{"keyslots":'],
    luks: true,
  },
  {
    name: 'a damaged mark of a formatting that volseal began',
    places: [0],
    magics: [MARKER_MAGIC.toString('latin1')],
    luks: true,
  },
  // File systems.
  { name: 'ext2, ext3 or ext4', places: [1080], magics: ['\x53\xef'] },
  { name: 'xfs', places: [0], magics: ['XFSB'] },
  { name: 'btrfs', places: MIRRORS.map((offset) => offset + 64), magics: ['_BHRfS_M'] },
  { name: 'ntfs', places: [3], magics: ['NTFS    '] },
  { name: 'exfat', places: [3], magics: ['EXFAT   '] },
  { name: 'fat', places: [54], magics: ['FAT12   ', 'FAT16   ', 'FAT     '] },
  { name: 'fat', places: [82], magics: ['FAT32   '] },
  { name: 'iso9660', places: [32769], magics: ['CD001'] },
  { name: 'udf', places: [32769, 34817, 36865], magics: ['BEA01', 'NSR02', 'NSR03'] },
  { name: 'squashfs', places: [0], magics: ['hsqs', 'sqsh'] },
  { name: 'f2fs', places: [1024, 5120], magics: ['\x10\x20\xf5\xf2'] },
  { name: 'jfs', places: [32 * KIB], magics: ['JFS1'] },
  {
    name: 'reiserfs',
    places: [8 * KIB + 52, 64 * KIB + 52],
    magics: ['ReIsErFs', 'ReIsEr2Fs', 'ReIsEr3Fs'],
  },
  { name: 'reiser4', places: [64 * KIB], magics: ['ReIsEr4'] },
  { name: 'erofs', places: [1024], magics: ['\xe2\xe1\xf5\xe0'] },
  { name: 'apfs', places: [32], magics: ['NXSB'] },
  { name: 'hfs', places: [1024], magics: ['BD', 'H+', 'HX'] },
  { name: 'nilfs2', places: [1024 + 6, beforeEnd(4 * KIB - 6, 512)], magics: ['\x34\x34'] },
  { name: 'gfs', places: [64 * KIB], magics: ['\x01\x16\x19\x70'] },
  { name: 'ocfs2', places: [1024, 2048, 4096, 8192], magics: ['OCFSV2'] },
  { name: 'bcachefs', places: [4096 + 24], magics: [fromHex('c68573f666ce90a9d96a60cf803df7ef')] },
  { name: 'vmfs', places: [1024 * KIB], magics: ['\x0d\xd0\x01\xc0'] },
  { name: 'vmfs', places: [2048 * KIB], magics: ['\x5e\xf1\xab\x2f'] },
  // Volume managers, RAID, caches, swap.
  {
    name: 'zfs',
    places: [
      0,
      LABEL_ZFS,
      beforeEnd(2 * LABEL_ZFS, LABEL_ZFS),
      beforeEnd(LABEL_ZFS, LABEL_ZFS),
    ].map((place) => shifted(place, 128 * KIB)),
    magics: [fromHex('0cb1ba0000000000'), fromHex('0000000000bab10c')],
    repeated: { times: 128, bytes: KIB },
  },
  { name: 'LVM2', places: times(4, 512), magics: ['LABELONE'] },
  {
    name: 'linux raid',
    places: [0, 4096, beforeEnd(64 * KIB, 64 * KIB), beforeEnd(8 * KIB, 4 * KIB)],
    magics: ['\xfc\x4e\x2b\xa9', '\xa9\x2b\x4e\xfc'],
  },
  { name: 'ddf raid', places: [beforeEnd(512)], magics: ['\xde\x11\xde\x11', '\x11\xde\x11\xde'] },
  { name: 'intel raid', places: [beforeEnd(1024)], magics: ['Intel Raid ISM Cfg Sig. '] },
  { name: 'bcache', places: [4096 + 24], magics: [fromHex('c68573f64e1a45ca8265f57f48ba6d81')] },
  {
    name: 'drbd',
    places: [beforeEnd(4096 - 60)],
    magics: ['\x83\x74\x02\x6b', '\x83\x74\x02\x6c', '\x83\x74\x02\x6d'],
  },
  {
    name: 'ceph bluestore',
    places: [0, ...[1, 10, 100, 1000].map((gib) => gib * KIB ** 3)],
    magics: ['bluestore block device'],
  },
  { name: 'stratis', places: [516, 4612], magics: ['!Stra0tis\x86\xff\x02^Arh'] },
  { name: 'bitlocker', places: [3], magics: ['-FVE-FS-'] },
  { name: 'dm-integrity', places: [0], magics: ['integrt\0'] },
  { name: 'dm-verity', places: [0], magics: ['verity\0\0'] },
  {
    name: 'swap',
    places: PAGES.map((page) => page - 10),
    magics: ['SWAPSPACE2', 'SWAP-SPACE', 'S1SUSPEND\0', 'S2SUSPEND\0', 'ULSUSPEND\0', 'LINHIB0001'],
  },
  // Partition tables.
  { name: 'GPT', places: [512, 4096, beforeEnd(512), beforeEnd(4096)], magics: ['EFI PART'] },
  { name: 'MBR or boot sector', places: [510], magics: ['\x55\xaa'] },
  // Images of disks.
  { name: 'qcow2 image', places: [0], magics: ['QFI\xfb'] },
  { name: 'vmdk image', places: [0], magics: ['KDMV', 'COWD', '# Disk DescriptorFile'] },
  { name: 'vhd image', places: [0, beforeEnd(512), beforeEnd(511)], magics: ['conectix'] },
  { name: 'vhdx image', places: [0], magics: ['vhdxfile'] },
  { name: 'vdi image', places: [64], magics: ['\x7f\x10\xda\xbe'] },
]

function fromHex(hex: string): string {
  return Buffer.from(hex, 'hex').toString('latin1')
}

function shifted(place: Place, bytes: number): Place {
  if (typeof place === 'number') return place + bytes
  return { ...place, beforeEnd: place.beforeEnd - bytes }
}

/**
 * The first known signature on a device, in the order of the table.
 *
 * @throws {VolsealError} `io` when a place cannot be read
 */
export async function findSignature(
  file: FileHandle,
  device: Device,
  { luks = true }: { readonly luks?: boolean } = {},
): Promise<FoundSignature | undefined> {
  for (const signature of SIGNATURES) {
    if (signature.luks === true && !luks) continue
    for (const place of signature.places) {
      const at = await findAt(file, device, signature, offsetOf(place, device.size))
      if (at !== undefined) return { name: signature.name, at, luks: signature.luks === true }
    }
  }
  return undefined
}

function offsetOf(place: Place, size: number): number {
  return typeof place === 'number' ? place : size - (size % place.rounded) - place.beforeEnd
}

async function findAt(
  file: FileHandle,
  device: Device,
  { magics, repeated = { times: 1, bytes: 0 } }: Signature,
  start: number,
): Promise<number | undefined> {
  if (start < 0) return undefined
  const longest = Math.max(...magics.map((magic) => magic.length))
  const length = (repeated.times - 1) * repeated.bytes + longest
  const area = (await readArea(file, device, start, length)).toString('latin1')
  const step = times(repeated.times, repeated.bytes).find((offset) =>
    magics.some((magic) => area.startsWith(magic, offset)),
  )
  return step === undefined ? undefined : start + step
}
