import { isDeepStrictEqual } from 'node:util'
import { beforeAll, describe, expect, test } from 'vitest'
import { crc32c } from '../../src/inspect/crc32c.js'
import { type Finding, inspectImage } from '../../src/inspect/index.js'
import { fc, prop } from '../harness/property.js'
import { edited } from './edits.js'
import { madeImage, memoryImage, scratchDirectory } from './images.js'

/** Most bytes that are read of any image, and most reads: what it takes is a matter of these. */
const MOST_BYTES = 1.5 * 1024 * 1024
const MOST_READS = 100

const LEVELS = ['unsafe', 'warning', 'info']

/** What is wrong with the inspection of the bytes, whatever they are: nothing, ever. */
async function faults(bytes: Buffer, size: number = bytes.length): Promise<string[]> {
  const image = memoryImage(bytes, size)
  const report = await inspectImage(image)
  const promises: Readonly<Record<string, boolean>> = {
    'it is from few bytes': image.bytesRead <= MOST_BYTES,
    'it is from few reads': image.reads <= MOST_READS,
    'it is JSON': isDeepStrictEqual(JSON.parse(JSON.stringify(report)), report),
    'it says the size': report.size === size,
    'its virtual size is one': isSize(report.virtualSize),
    'its findings are readable': report.findings.every(isReadable),
  }
  return Object.keys(promises).filter((name) => promises[name] === false)
}

function isSize(size: number | null): boolean {
  return size === null || (Number.isSafeInteger(size) && size >= 0)
}

function isReadable({ level, message }: Finding): boolean {
  return LEVELS.includes(level) && message.length < 400 && /^[ -~…]+$/.test(message)
}

const MAGICS = [
  '',
  'QFI\xfb\0\0\0\x03',
  'QFI\xfb\0\0\0\x02',
  'KDMV\x01\0\0\0',
  'COWD',
  '# Disk DescriptorFile\n',
  'conectix',
  'vhdxfile',
  'LUKS\xba\xbe\0\x01',
  'LUKS\xba\xbe\0\x02',
  'LUKS\xba\xbe',
  'QED\0',
]

describe('random bytes', () => {
  prop([
    fc.constantFrom(...MAGICS),
    fc.uint8Array({ maxLength: 4096, size: 'max' }),
    fc.nat({ max: 70000 }),
  ])('behind a magic', async (magic, random, zeroes) => {
    const parts = [Buffer.from(magic, 'latin1'), random, Buffer.alloc(zeroes)]
    expect(await faults(Buffer.concat(parts))).toEqual([])
  })

  prop([fc.uint8Array({ maxLength: 2048, size: 'max' }), fc.nat()])(
    'of an image that says it is larger than it is',
    async (random, more) => {
      expect(await faults(Buffer.from(random), random.length + more)).toEqual([])
    },
  )
})

const images: Buffer[] = []
beforeAll(async () => {
  const directory = await scratchDirectory()
  const kinds = [
    '-f qcow2',
    '-f qcow2 -o compat=0.10',
    '-f qcow2 -o data_file=x,cluster_size=4096',
    '-f vmdk',
    '-f vmdk -o subformat=streamOptimized',
    '-f vpc -o force_size=on',
    '-f vpc -o subformat=fixed',
    '-f vhdx -o block_size=1M,log_size=1M',
    '-f vdi',
  ]
  for (const [index, kind] of kinds.entries()) {
    images.push(await madeImage(directory, ...kind.split(' '), `made.${index}`, '2M'))
  }
})

/** A change to one field: the values that overflow something, or any. */
const value = fc.oneof(
  fc.constantFrom(0n, 1n, 2n ** 63n, 2n ** 64n - 1n, 2n ** 32n - 1n, 2n ** 31n, 2n ** 53n, 512n),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
)
const mutation = fc.record({
  /** Where, mostly in the first 128 bytes, from the start or the end or a place of VHDX. */
  from: fc.constantFrom(0, 0, 0, 0, 64, 336, 512, 576, 0x10000, 0x30000, 0x200000, -512, -1024),
  at: fc.nat({ max: 128 }),
  value,
  width: fc.constantFrom(1, 2, 4, 8),
  big: fc.boolean(),
})

interface Mutation {
  readonly from: number
  readonly at: number
  readonly value: bigint
  readonly width: number
  readonly big: boolean
}

function mutate(bytes: Buffer, { from, at, value: wide, width, big }: Mutation): void {
  const field = Buffer.alloc(8)
  if (big) field.writeBigUInt64BE(wide)
  else field.writeBigUInt64LE(wide)
  const place = (from < 0 ? bytes.length + from : from) + at
  const part = big ? field.subarray(8 - width) : field.subarray(0, width)
  if (place >= 0 && place < bytes.length) part.copy(bytes, place)
}

/** Sets the checksums of VHDX, without which nothing behind them is ever looked at. */
function seal(bytes: Buffer): void {
  if (bytes.toString('latin1', 0, 8) !== 'vhdxfile') return
  for (const [at, length] of [
    [0x10000, 0x1000],
    [0x20000, 0x1000],
    [0x30000, 0x10000],
  ] as const) {
    const part = bytes.subarray(at, at + length)
    if (part.length < length) return
    part.writeUInt32LE(0, 4)
    part.writeUInt32LE(crc32c(part), 4)
  }
  bytes.copy(bytes, 0x40000, 0x30000, 0x40000)
}

describe('real images', () => {
  prop(
    [
      fc.nat({ max: 8 }),
      fc.array(mutation, { minLength: 1, maxLength: 6 }),
      fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { freq: 5 }),
    ],
    { numRuns: 400 },
  )('with some fields changed, whole or cut', async (index, mutations, cut) => {
    const image = edited(images[index] ?? Buffer.alloc(0), (bytes) => {
      for (const change of mutations) mutate(bytes, change)
      seal(bytes)
      return cut === null ? bytes : bytes.subarray(0, Math.floor(bytes.length * cut))
    })
    expect(await faults(image)).toEqual([])
  })
})

describe('the worst that a descriptor of 1 MiB can be', () => {
  const size = 2048 * 512
  const header = Buffer.alloc(512)
  header.write('KDMV')
  header.writeUInt32LE(1, 4)
  for (const [at, number] of [
    [12, 2048n],
    [20, 128n],
    [28, 1n],
    [36, 2048n],
    [56, 1n],
  ] as const) {
    header.writeBigUInt64LE(number, at)
  }
  header.writeUInt32LE(512, 44)

  test.each([
    ['empty lines', '\n'.repeat(size)],
    ['comments', '#\n'.repeat(size / 2)],
    ['one line of spaces', `a${' '.repeat(size - 1)}`],
    ['one word', 'a'.repeat(size)],
    ['one comment', '#'.repeat(size)],
    ['carriage returns', 'a\r'.repeat(size / 2)],
    ['the same field', 'a=\n'.repeat(size / 3)],
    ['many fields', Array.from({ length: size / 8 }, (_, n) => `a${n}=`).join('\n')],
    ['many extents', 'RW 1 SPARSE "a"\n'.repeat(size / 16)],
    ['almost an extent', `RW ${'1'.repeat(size - 10)} a`],
    ['almost a quoted extent', `RW 1 SPARSE ${' '.repeat(size - 20)}"`],
    ['almost a parent', 'parentFileNameHin'.repeat(size / 17)],
    ['quotes', `a="${'"'.repeat(size - 4)}`],
  ])('%s', async (_, text) => {
    const descriptor = Buffer.alloc(size)
    descriptor.write(text, 'latin1')
    const image = Buffer.concat([header, descriptor, Buffer.alloc(512)])
    expect(await faults(image)).toEqual([])
  })
})

test('a qcow2 cluster full of empty extensions', async () => {
  const image = edited(images[0] ?? Buffer.alloc(0), (bytes) => bytes.writeUInt32BE(21, 20))
  const large = Buffer.concat([image, Buffer.alloc(2 ** 21)])
  for (let at = 112; at < 2 ** 21; at += 8) large.writeUInt32BE(0x12345678, at)
  expect(await faults(large)).toEqual([])
})
