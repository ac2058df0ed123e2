import { existsSync } from 'node:fs'
import { truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { isUnsafe } from '../../src/inspect/index.js'
import { codes, cryptsetup, inspectFile, qemuImg, qemuSize, scratchDirectory } from './images.js'

let directory: string
beforeAll(async () => {
  directory = await scratchDirectory()
  await writeFile(join(directory, 'base.raw'), 'base')
  await truncate(join(directory, 'base.raw'), 64 * 1024 * 1024)
})

/** Images that qemu-img makes and that are safe: arguments, name for `-f`, what the report says. */
const SAFE = [
  ['qcow2 version 2', '-f qcow2 -o compat=0.10 a 5G', 'qcow2', { version: 2 }],
  ['qcow2 version 3', '-f qcow2 a 100M', 'qcow2', { version: 3, clusterSize: 65536 }],
  ['qcow2, small clusters', '-f qcow2 -o cluster_size=512 a 64M', 'qcow2', { clusterSize: 512 }],
  ['qcow2, large clusters', '-f qcow2 -o cluster_size=2M a 1T', 'qcow2', { clusterSize: 2 ** 21 }],
  ['qcow2, zstd', '-f qcow2 -o compression_type=zstd a 64M', 'qcow2', { version: 3 }],
  ['qcow2, lazy refcounts', '-f qcow2 -o lazy_refcounts=on a 64M', 'qcow2', { version: 3 }],
  ['qcow2, refcounts of 64 bits', '-f qcow2 -o refcount_bits=64 a 64M', 'qcow2', { version: 3 }],
  ['qcow2, allocated', '-f qcow2 -o preallocation=metadata a 64M', 'qcow2', { version: 3 }],
  ['qcow2 of odd size', '-f qcow2 a 66048', 'qcow2', {}],
  ['qcow2 of no size', '-f qcow2 a 0', 'qcow2', {}],
  ['vmdk', '-f vmdk a 64M', 'vmdk', { subformat: 'monolithicSparse', clusterSize: 65536 }],
  ['vmdk, large', '-f vmdk a 500G', 'vmdk', { subformat: 'monolithicSparse' }],
  [
    'vmdk, stream',
    '-f vmdk -o subformat=streamOptimized a 64M',
    'vmdk',
    { subformat: 'streamOptimized' },
  ],
  ['vhd', '-f vpc a 64M', 'vpc', { subformat: 'dynamic', clusterSize: 2 ** 21 }],
  ['vhd of exact size', '-f vpc -o force_size=on a 65M', 'vpc', { subformat: 'dynamic' }],
  ['vhd, large', '-f vpc a 1500G', 'vpc', { subformat: 'dynamic' }],
  ['vhd, fixed', '-f vpc -o subformat=fixed a 16M', 'vpc', { subformat: 'fixed' }],
  [
    'vhd, fixed, of exact size',
    '-f vpc -o subformat=fixed,force_size=on a 17M',
    'vpc',
    { subformat: 'fixed' },
  ],
  ['vhdx', '-f vhdx a 64M', 'vhdx', { version: 1, subformat: 'dynamic' }],
  ['vhdx, fixed', '-f vhdx -o subformat=fixed a 16M', 'vhdx', { subformat: 'fixed' }],
  ['vdi', '-f vdi a 64M', 'vdi', { subformat: 'dynamic', clusterSize: 2 ** 20 }],
  ['vdi of odd size', '-f vdi a 66048', 'vdi', { subformat: 'dynamic' }],
  ['vdi, fixed', '-f vdi -o static=on a 16M', 'vdi', { subformat: 'fixed' }],
  ['raw', '-f raw a 64M', 'raw', {}],
] as const

describe('safe images of qemu-img', () => {
  test.each(SAFE)('%s', async (name, argv, qemuName, details) => {
    const file = `${name}.img`
    const words = argv.split(' ').map((word) => (word === 'a' ? file : word))
    await qemuImg(directory, 'create', '-q', ...words)
    const report = await inspectFile(join(directory, file))
    expect(report.format).toBe(qemuName === 'vpc' ? 'vhd' : qemuName)
    expect(report.details).toMatchObject(details)
    expect(report.virtualSize).toBe(await qemuSize(directory, qemuName, file))
    expect(codes(report)).toEqual([])
    expect(isUnsafe(report)).toBe(false)
  })
})

describe('images with content, as qemu-img converts them', () => {
  test.each([
    ['qcow2', 'qcow2', '-c'],
    ['vmdk', 'vmdk', '-o', 'subformat=monolithicSparse'],
    ['vmdk', 'vmdk', '-o', 'subformat=streamOptimized'],
    ['vpc', 'vhd', '-o', 'subformat=dynamic'],
    ['vhdx', 'vhdx', '-o', 'subformat=dynamic'],
    ['vdi', 'vdi', '-p'],
  ])('%s', async (qemuName, format, ...argv) => {
    const file = `converted.${argv.join('')}`
    await qemuImg(directory, 'convert', '-f', 'raw', '-O', qemuName, ...argv, 'base.raw', file)
    const report = await inspectFile(join(directory, file))
    expect(report).toMatchObject({ format, findings: [] })
    expect(report.virtualSize).toBe(await qemuSize(directory, qemuName, file))
  })
})

/** Images that qemu-img makes and that must not be opened. */
const UNSAFE = [
  ['qcow2 with a backing file', '-f qcow2 -b base.raw -F raw a', 'qcow2', 'backing-file'],
  ['qcow2 with a data file', '-f qcow2 -o data_file=b.data a 1M', 'qcow2', 'data-file'],
  ['vmdk, flat', '-f vmdk -o subformat=monolithicFlat a 1M', 'vmdk', 'names-other-files'],
  ['vmdk, split', '-f vmdk -o subformat=twoGbMaxExtentSparse a 1M', 'vmdk', 'names-other-files'],
  ['vmdk, split flat', '-f vmdk -o subformat=twoGbMaxExtentFlat a 1M', 'vmdk', 'names-other-files'],
  ['vmdk with a parent', '-f vmdk -b parent.vmdk -F vmdk a', 'vmdk', 'backing-file'],
  ['qcow', '-f qcow a 1M', 'qcow', 'unsupported-format'],
  ['qed', '-f qed a 1M', 'qed', 'unsupported-format'],
  ['parallels', '-f parallels a 1M', 'parallels', 'unsupported-format'],
] as const

describe('unsafe images of qemu-img', () => {
  beforeAll(async () => {
    await qemuImg(directory, 'create', '-q', '-f', 'vmdk', 'parent.vmdk', '1M')
  })
  test.each(UNSAFE)('%s', async (name, argv, format, code) => {
    const file = `${name.replaceAll(/\W/g, '-')}.img`
    const words = argv.split(' ').map((word) => (word === 'a' ? file : word))
    await qemuImg(directory, 'create', '-q', ...words)
    const report = await inspectFile(join(directory, file))
    expect(report.format).toBe(format)
    expect(codes(report)).toContain(code)
    expect(isUnsafe(report)).toBe(true)
  })
})

describe('images that are safe with a warning', () => {
  test('extended L2 entries', async () => {
    await qemuImg(directory, 'create', '-q', '-f', 'qcow2', '-o', 'extended_l2=on', 'l2', '64M')
    const report = await inspectFile(join(directory, 'l2'))
    expect(codes(report)).toEqual([])
    expect(codes(report, 'warning')).toEqual(['openstack-refuses'])
  })
  test('internal snapshots', async () => {
    await qemuImg(directory, 'create', '-q', '-f', 'qcow2', 'snapshots', '1M')
    await qemuImg(directory, 'snapshot', '-c', 'one', 'snapshots')
    const report = await inspectFile(join(directory, 'snapshots'))
    expect(codes(report)).toEqual([])
    expect(codes(report, 'warning')).toEqual(['snapshots'])
  })
})

describe('volumes of cryptsetup', () => {
  const FAST = ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000']
  async function volume(name: string, ...argv: string[]): Promise<string> {
    const path = join(directory, name)
    await writeFile(path, '')
    await truncate(path, 32 * 1024 * 1024)
    await cryptsetup('luksFormat', ...argv, ...FAST, path, '-')
    return path
  }
  test('LUKS1', async () => {
    const path = await volume('luks1', '--type', 'luks1')
    const report = await inspectFile(path)
    expect(report).toMatchObject({ format: 'luks', details: { version: 1 }, findings: [] })
    expect(report.virtualSize).toBe(await qemuSize(directory, 'luks', path))
  })
  test.each([[], ['--luks2-metadata-size', '1024k', '--luks2-keyslots-size', '1024k']])(
    'LUKS2 %s',
    async (...argv) => {
      const path = await volume('luks2', '--type', 'luks2', ...argv)
      const report = await inspectFile(path)
      expect(report).toMatchObject({ format: 'luks', virtualSize: null, details: { version: 2 } })
      expect(codes(report)).toEqual([])
    },
  )
  test.each([
    [],
    ['--luks2-metadata-size', '64k'],
    ['--luks2-metadata-size', '4m', '--luks2-keyslots-size', '4m'],
  ])('LUKS2 whose first header is gone %s', async (...argv) => {
    const path = await volume('gone', '--type', 'luks2', ...argv)
    await writeFile(path, Buffer.alloc(4096), { flag: 'r+' })
    const report = await inspectFile(path)
    expect(report).toMatchObject({ format: 'luks', details: { version: 2 } })
    expect(codes(report, 'warning')).toEqual(['secondary-header-only'])
    await cryptsetup('isLuks', path)
  })
})

describe('ISO images of grub', () => {
  test.for(['grub-rescue-cdrom.iso', 'grub-rescue-usb.img'])('%s', async (name, { skip }) => {
    const path = `/usr/lib/grub-rescue/${name}`
    skip(!existsSync(path), 'the package grub-rescue-pc is not installed')
    const report = await inspectFile(path)
    expect(report).toMatchObject({ format: 'iso', details: { partitionTable: 'mbr' } })
    expect(report.virtualSize).toBe(report.size)
    expect(report.findings.map((found) => found.level)).toEqual(['info'])
  })
})
