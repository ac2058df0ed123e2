import { describe, expect, test } from 'vitest'
import {
  formatMismatch,
  type ImageDetails,
  type ImageFormat,
  type ImageReport,
  QEMU_NAMES,
} from '../../src/inspect/index.js'

function reportOf(format: ImageFormat, details: ImageDetails = {}): ImageReport {
  return { format, size: 1, virtualSize: 1, details, findings: [] }
}

function mismatch(claimed: string, format: ImageFormat, details?: ImageDetails): boolean {
  return formatMismatch(claimed, reportOf(format, details)) !== undefined
}

test('a mismatch is an unsafe finding that says what was expected and found', () => {
  expect(formatMismatch('raw', reportOf('qcow2'))).toEqual({
    level: 'unsafe',
    code: 'format-mismatch',
    message: expect.stringMatching(/"raw".*qcow2/),
  })
})

const FORMATS: readonly ImageFormat[] = [
  'raw',
  'qcow2',
  'vmdk',
  'vhd',
  'vhdx',
  'vdi',
  'iso',
  'luks',
  'qcow',
  'qed',
  'parallels',
]

/** Claims, and all formats that they accept. */
const CLAIMS: readonly (readonly [string, readonly ImageFormat[]])[] = [
  ['raw', ['raw', 'iso', 'luks']],
  ['ami', ['raw', 'iso', 'luks']],
  ['iso', ['iso']],
  ['luks', ['luks']],
  ['qcow2', ['qcow2']],
  ['vmdk', ['vmdk']],
  ['vhd', ['vhd']],
  ['vpc', ['vhd']],
  ['vhdx', ['vhdx']],
  ['vdi', ['vdi']],
  ['ploop', ['parallels']],
  ['gpt', []],
  ['RAW', []],
  ['', []],
  ['constructor', []],
]

describe.each(CLAIMS)('an image said to be %j', (claimed, accepted) => {
  test.each(FORMATS)('that is %s', (format) => {
    expect(mismatch(claimed, format)).toBe(!accepted.includes(format))
  })
})

test('gpt is a raw disk with a partition table', () => {
  expect(mismatch('gpt', 'raw', { partitionTable: 'gpt' })).toBe(false)
  expect(mismatch('gpt', 'raw', { partitionTable: 'mbr' })).toBe(false)
  expect(mismatch('gpt', 'iso', { partitionTable: 'mbr' })).toBe(false)
  expect(mismatch('gpt', 'qcow2', { partitionTable: 'mbr' })).toBe(true)
  expect(mismatch('raw', 'raw', { partitionTable: 'gpt' })).toBe(false)
})

test('the names for QEMU are those of the formats that are converted', () => {
  expect(QEMU_NAMES).toEqual({
    qcow2: 'qcow2',
    vmdk: 'vmdk',
    vhd: 'vpc',
    vhdx: 'vhdx',
    vdi: 'vdi',
  })
})
