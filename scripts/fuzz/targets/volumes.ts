import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  LUKS1_HEADER_BYTES,
  luks1Fault,
  parseLuks1Header,
} from '../../../src/encryptor/luks1-header.js'
import { output, succeeds } from '../../harness/program.js'
import { hold, type Target } from '../target.js'

const VOLUME_BYTES = 4 * 1024 * 1024
const FAST = ['--type', 'luks1', '--pbkdf-force-iterations', '1000']
const CIPHERS = ['aes-xts-plain64', 'aes-cbc-essiv:sha256']

export const VOLUME_TARGETS: readonly Target[] = [
  { name: 'luks1-header', seeds: makeHeaders, run: readHeader },
]

async function makeHeaders(directory: string): Promise<Buffer[]> {
  const headers = [Buffer.from('4c554b53babe0001'.padEnd(2 * LUKS1_HEADER_BYTES, '0'), 'hex')]
  if (!(await succeeds(['cryptsetup', '--version']))) return headers
  for (const cipher of CIPHERS) {
    const path = join(directory, `${cipher}.luks`)
    const file = await open(path, 'w')
    await file.truncate(VOLUME_BYTES)
    await file.close()
    const options = ['--batch-mode', '--key-file=-', '--cipher', cipher, ...FAST]
    await output(['cryptsetup', 'luksFormat', ...options, path], { input: 'key' })
    headers.push((await readFile(path)).subarray(0, LUKS1_HEADER_BYTES))
  }
  return headers
}

function readHeader(bytes: Buffer): void {
  const header = parseLuks1Header(bytes)
  if (header === undefined) return
  const { cipher, mode, hash, slots, payloadOffset, keySize } = header
  hold(/^[ -~]*$/.test(`${cipher}${mode}${hash}`), 'names are printable')
  const numbers = slots.map(({ number }) => number)
  hold(numbers.length <= 8 && new Set(numbers).size === numbers.length, 'there are eight slots')
  const fault = luks1Fault(header, VOLUME_BYTES)
  hold(fault === undefined || /^[ -~]+$/.test(fault), 'the fault is printable')
  if (fault !== undefined) return
  hold(payloadOffset <= VOLUME_BYTES, 'a header without fault has its payload on the device')
  hold(keySize > 0 && keySize <= 8192, 'a header without fault has a key')
  hold(/^[0-9a-f-]{36}$/.test(header.uuid), 'a header without fault has a uuid')
}
