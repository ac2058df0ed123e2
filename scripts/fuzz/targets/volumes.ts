import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describeHeader } from '../../../src/encryptor/header/describe-header.js'
import { luks1Findings } from '../../../src/encryptor/header/judge-luks1.js'
import { LUKS1_HEADER_BYTES, parseLuks1Header } from '../../../src/encryptor/header/luks1-header.js'
import { type Luks2Header, parseLuks2Header } from '../../../src/encryptor/header/luks2-header.js'
import { parseLuks2Metadata } from '../../../src/encryptor/header/luks2-metadata.js'
import { output, succeeds } from '../../harness/program.js'
import { hold, type Target } from '../target.js'

const VOLUME_BYTES = 4 * 1024 * 1024
const FAST = [
  '--batch-mode',
  '--key-file=-',
  '--pbkdf',
  'pbkdf2',
  '--pbkdf-force-iterations',
  '1000',
]
const CIPHERS = ['aes-xts-plain64', 'aes-cbc-essiv:sha256']

export const VOLUME_TARGETS: readonly Target[] = [
  { name: 'luks1-header', seeds: makeLuks1, run: readLuks1 },
  { name: 'luks2-header', seeds: makeLuks2, run: readLuks2 },
  { name: 'luks2-metadata', seeds: makeMetadata, run: readMetadata },
]

async function makeLuks1(directory: string): Promise<Buffer[]> {
  const headers: Buffer[] = [
    Buffer.from('4c554b53babe0001'.padEnd(2 * LUKS1_HEADER_BYTES, '0'), 'hex'),
  ]
  for (const cipher of CIPHERS) {
    const volume = await makeVolume(directory, ['--type', 'luks1', '--cipher', cipher])
    headers.push(volume.subarray(0, LUKS1_HEADER_BYTES))
  }
  return headers
}

async function makeLuks2(directory: string): Promise<Buffer[]> {
  const volume = await makeVolume(directory, ['--type', 'luks2', '--luks2-keyslots-size', '1m'])
  return [Buffer.from('4c554b53babe0002'.padEnd(8192, '0'), 'hex'), volume.subarray(0, 32_768)]
}

async function makeMetadata(directory: string): Promise<Buffer[]> {
  const volumes = await makeLuks2(directory)
  return volumes.map((bytes) => bytes.subarray(4096, bytes.indexOf(0, 4096)))
}

/** What cryptsetup makes; nothing where it is not installed. */
async function makeVolume(directory: string, options: readonly string[]): Promise<Buffer> {
  if (!(await succeeds(['cryptsetup', '--version']))) return Buffer.alloc(0)
  const path = join(directory, 'volume')
  const file = await open(path, 'w')
  await file.truncate(VOLUME_BYTES)
  await file.close()
  await output(['cryptsetup', 'luksFormat', ...FAST, ...options, path], { input: 'key' })
  return await readFile(path)
}

function readLuks1(bytes: Buffer): void {
  const header = parseLuks1Header(bytes)
  if (header === undefined) return
  const { cipher, mode, hash, slots, payloadOffset, keySize } = header
  hold(/^[ -~]*$/.test(`${cipher}${mode}${hash}`), 'names are printable')
  hold(slots.length === 8, 'there are eight slots')
  const findings = luks1Findings(header, VOLUME_BYTES)
  hold(
    findings.every(({ text }) => /^[ -~]+$/.test(text)),
    'findings are printable',
  )
  if (findings.length > 0) return
  hold(payloadOffset <= VOLUME_BYTES, 'an acceptable header has its payload on the device')
  hold(keySize > 0 && keySize <= 512, 'an acceptable header has a key')
  hold(/^[0-9a-f-]{36}$/.test(header.uuid), 'an acceptable header has a uuid')
}

/** The whole header; what is changed fails the checksum, unless it is the checksum's own field. */
function readLuks2(bytes: Buffer): void {
  if (bytes.length >= 4096) judge(parseLuks2Header(bytes))
}

/** Its JSON alone, as if the checksum had been made anew. */
function readMetadata(bytes: Buffer): void {
  const metadata = parseLuks2Metadata(Buffer.concat([bytes, Buffer.alloc(1)]))
  const uuid = '5431105d-4557-4694-a40c-c5e81ee9a2db'
  judge({ size: 16384, sequence: 3n, label: '', subsystem: '', uuid, metadata, warnings: [] })
}

function judge(header: Luks2Header): void {
  const facts = describeHeader({ version: 2, header }, VOLUME_BYTES)
  const { findings, plain, cipher, keySize, payloadOffset } = facts
  hold(
    findings.every(({ text }) => /^[ -~]+$/.test(text)),
    'findings are printable',
  )
  if (findings.length > 0) return
  hold(!plain, 'an acceptable header has no part that is not encrypted')
  hold(/^[a-z0-9,:-]+$/.test(cipher), 'an acceptable header has a known cipher')
  hold(keySize > 0 && keySize <= 1024, 'an acceptable header has a key')
  hold(payloadOffset < VOLUME_BYTES, 'an acceptable header has its payload on the device')
}
