import { randomBytes } from 'node:crypto'
import { dirname, resolve } from 'node:path'
import { readSmallFile } from '../core/byte-source.js'
import { fromHexBytes } from '../core/bytes.js'
import { systemCode, VolsealError } from '../core/errors.js'
import { writeNewFile } from '../core/files.js'
import { consume, Secret } from '../core/secret.js'
import { KEY_BYTES } from './aead.js'
import { damaged } from './damage.js'
import { isInside, makePrivateDirectory, requireNoOthers, statIfThere } from './store-directory.js'

/** Where a store's key-encryption key comes from; it is never kept in the store itself. */
export type StoreKeySource =
  /**
   * A file with the key as 64 lower-case hex digits and a newline, mode 0600, made when the store
   * is; or a pipe such as `/dev/fd/3` with the same content.
   */
  | { readonly kind: 'file'; readonly path: string }
  /** A passphrase, all of it: a trailing newline is the caller's to take off, and so is wiping. */
  | { readonly kind: 'passphrase'; readonly passphrase: Secret }
  /** The key itself: 32 bytes, which the caller wipes. */
  | { readonly kind: 'key'; readonly key: Secret }

/** What was read from a source, once (a pipe gives it only once), to be wiped after use. */
export interface KeyMaterial {
  readonly kind: 'passphrase' | 'key'
  readonly secret: Secret
  /** What errors call it. */
  readonly name: string
}

/** For which store a key is read. */
export interface ReadKeyOptions {
  /** The store's directory, where a key file must not lie. */
  readonly directory: string
  /** Whether a key file that is not there is made. */
  readonly make: boolean
}

/**
 * Reads the key or passphrase; the caller wipes it.
 *
 * @throws {VolsealError} `keystore-damaged` when the key file is missing or holds no key,
 * `forbidden` when others can read it, `usage` when it lies in the store or the value is no key
 */
export async function readKeySource(
  source: StoreKeySource,
  options: ReadKeyOptions,
): Promise<KeyMaterial> {
  if (source.kind === 'file') {
    const path = resolve(source.path)
    return { kind: 'key', secret: await readKeyFile(path, options), name: `the key in ${path}` }
  }
  if (source.kind === 'passphrase') {
    requireBytes(source.passphrase.length > 0, 'passphrase', 'at least one byte', 'none')
    return { kind: 'passphrase', secret: source.passphrase.copy(), name: 'the passphrase' }
  }
  const { length } = source.key
  requireBytes(length === KEY_BYTES, 'store key', `${KEY_BYTES} bytes`, `${length}`)
  return { kind: 'key', secret: source.key.copy(), name: 'the key' }
}

function requireBytes(fits: boolean, what: string, expected: string, got: string): void {
  if (!fits) throw new VolsealError('usage', `${what}: expected ${expected}, got ${got}`)
}

async function readKeyFile(path: string, options: ReadKeyOptions): Promise<Secret> {
  let stats = await statIfThere(path)
  if (stats === undefined || stats.isFile()) await requireOutside(path, options.directory)
  if (stats === undefined && options.make) {
    await makeKeyFile(path)
    stats = await statIfThere(path)
  }
  if (stats === undefined) throw missing(path, options.directory)
  if (stats.isFile()) requireNoOthers(path, stats, '600')
  const content = await readSmallFile(path, 'key file')
  return await consume(new Secret(content), () => parseKey(content, path))
}

async function requireOutside(path: string, directory: string): Promise<void> {
  if (!(await isInside(path, directory))) return
  throw new VolsealError('usage', `the key file ${path} lies in the key store that it opens`, {
    hint: 'keep it apart, so that a copy of the store does not hold its own key',
  })
}

/** Makes the key file, unless another process is first: then the store gets theirs. */
async function makeKeyFile(path: string): Promise<void> {
  await makePrivateDirectory(dirname(path))
  const content = await consume(new Secret(randomBytes(KEY_BYTES)), (key) => withNewline(key))
  await consume(content, async () => {
    try {
      await writeNewFile(path, content.bytes(), { mode: 0o600 })
    } catch (error) {
      if (!(error instanceof Error) || systemCode(error.cause) !== 'EEXIST') throw error
    }
  })
}

async function withNewline(key: Secret): Promise<Secret> {
  return await consume(key.hex(), (hex) => {
    const line = Buffer.alloc(hex.length + 1, '\n')
    hex.bytes().copy(line)
    return new Secret(line)
  })
}

function missing(path: string, directory: string): VolsealError {
  return new VolsealError(
    'keystore-damaged',
    `the key file ${path} of the key store ${directory} is missing`,
    { hint: 'put it back from its backup: no secret of the store can be read without it' },
  )
}

/** The newline at the end may be missing, as it is when somebody piped the digits. */
function parseKey(content: Buffer, path: string): Secret {
  const digits = content.at(-1) === 0x0a ? content.subarray(0, -1) : content
  const key = digits.length === KEY_BYTES * 2 ? fromHexBytes(digits) : undefined
  if (key !== undefined) return new Secret(key)
  throw damaged(
    `the key file ${path}`,
    `expected ${KEY_BYTES * 2} lower-case hex digits and a newline, got ${content.length} bytes`,
  )
}
