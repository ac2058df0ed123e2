import { createHash, randomBytes } from 'node:crypto'
import {
  closeSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { type LocalKeyManager, openLocalKeyManager, Secret } from '../../src/index.js'
import { run } from './run.js'

/** Volumes as cryptsetup and qemu see them: the peers of the encryptor. */

/** A sparse file of that size. */
export function blankFile(directory: string, name: string, size: number): string {
  const path = join(directory, name)
  const file = openSync(path, 'w')
  ftruncateSync(file, size)
  closeSync(file)
  return path
}

/** Writes bytes into a file that is there. */
export function poke(path: string, offset: number, bytes: Buffer): void {
  const file = openSync(path, 'r+')
  writeSync(file, bytes, 0, bytes.length, offset)
  closeSync(file)
}

/** The bytes there; a device need not be read whole for them. */
export function peek(path: string, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  const file = openSync(path, 'r')
  const count = readSync(file, bytes, 0, length, offset)
  closeSync(file)
  return bytes.subarray(0, count)
}

export function sha256(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex')
}

/** A key manager of its own for a test file. */
export async function freshKeyManager(directory: string): Promise<LocalKeyManager> {
  const key = { kind: 'key', key: new Secret(randomBytes(32)) } as const
  return await openLocalKeyManager({ store: join(directory, 'keys'), key })
}

/** The passphrase of a key as cryptsetup gets it: lower-case hex. */
export async function hexOf(manager: LocalKeyManager, keyId: string): Promise<string> {
  const { payload } = await manager.get(keyId)
  return payload.bytes().toString('hex')
}

/** Whether cryptsetup opens a volume with the passphrase, without device-mapper. */
export function opensWith(path: string, passphrase: string): boolean {
  try {
    run('cryptsetup', ['open', '--test-passphrase', '--key-file=-', path], passphrase)
    return true
  } catch {
    return false
  }
}

/** A volume made by cryptsetup itself, cheap to open. */
export function cryptsetupFormat(path: string, type: 'luks1' | 'luks2', passphrase: string): void {
  const pbkdf = ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000']
  run(
    'cryptsetup',
    ['luksFormat', '-q', '--type', type, ...pbkdf, '--key-file=-', path],
    passphrase,
  )
}

/** The first `size` bytes of a LUKS1 volume's content, decrypted by qemu. */
export function readLuks1(path: string, passphrase: string, size: number): Buffer {
  const secret = `${path}.secret`
  const out = `${path}.content`
  writeFileSync(secret, passphrase, { mode: 0o600 })
  const source = `driver=luks,key-secret=s,file.driver=file,file.filename=${path}`
  run('qemu-img', [
    'convert',
    '--object',
    `secret,id=s,format=raw,file=${secret}`,
    '--image-opts',
    source,
    '-O',
    'raw',
    out,
  ])
  return readFileSync(out).subarray(0, size)
}
