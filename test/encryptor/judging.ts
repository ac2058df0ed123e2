import { copyFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { lookAtDevice } from '../../src/encryptor/device.js'
import {
  type HeaderExpectation,
  type JudgedHeader,
  judgeHeader,
} from '../../src/encryptor/header/judge-header.js'
import { VolsealError } from '../../src/index.js'
import { run } from '../harness/run.js'
import { blankFile } from '../harness/volumes.js'

/** What the tests of headers share: volumes made by cryptsetup, and what volseal says of them. */

const MIB = 1024 * 1024
const FAST = ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000', '--key-file=-', '-q']
/** So that the header takes 2 MiB only. */
export const SMALL: readonly string[] = ['--type', 'luks2', '--luks2-keyslots-size', '1m']
let files = 0

/** A new volume of 4 MiB that opens with `key`; returns its path. */
export function makeVolume(directory: string, options: readonly string[], size = 4 * MIB): string {
  files += 1
  const path = blankFile(directory, `volume-${files}`, size)
  run('cryptsetup', ['luksFormat', ...FAST, ...options, path], 'key')
  return path
}

/** A copy of a volume, to be changed. */
export function copyOf(directory: string, path: string): string {
  files += 1
  const copy = join(directory, `copy-${files}`)
  copyFileSync(path, copy)
  return copy
}

export async function judge(path: string, expected: HeaderExpectation = {}): Promise<JudgedHeader> {
  const file = await open(path)
  try {
    return await judgeHeader(file, await lookAtDevice(path), expected)
  } finally {
    await file.close()
  }
}

/** The code and message of the refusal; `accepted` when there is none. */
export async function refusalOf(path: string, expected: HeaderExpectation = {}): Promise<string> {
  try {
    await judge(path, expected)
    return 'accepted'
  } catch (error) {
    return error instanceof VolsealError
      ? `${error.code}: ${error.message}`
      : `raw ${String(error)}`
  }
}

/** Whether cryptsetup itself opens the volume with the right key. */
export function cryptsetupOpens(path: string, key = 'key', header?: string): boolean {
  const place = header === undefined ? [] : ['--header', header]
  try {
    run('cryptsetup', ['open', '--test-passphrase', '--key-file=-', ...place, path], key)
    return true
  } catch {
    return false
  }
}
