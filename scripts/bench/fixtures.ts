import { createCipheriv, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { output, volseal } from '../harness/program.js'

const CHUNK_BYTES = 1024 * 1024

/** An image, the keys, signatures and volumes; each is made when the first benchmark asks for it. */
export interface Fixtures {
  readonly directory: string
  readonly image: () => Promise<string>
  readonly rsa: () => Promise<Signed>
  readonly p384: () => Promise<Signed>
  readonly luks: () => Promise<Volumes>
  readonly luks2: () => Promise<Volumes>
}

/** A key, and the image signed with it. */
export interface Signed {
  readonly key: string
  readonly publicKey: string
  readonly certificate: string
  /** The raw signature. */
  readonly signature: string
  /** What `volseal verify --properties` reads. */
  readonly properties: string
  /** Where a signature that is made for the benchmark goes. */
  readonly scratch: string
}

/** Two volumes of one format that the same passphrase opens, and how volseal finds it. */
export interface Volumes {
  readonly passphrase: string
  readonly ours: string
  readonly theirs: string
  readonly keyOptions: readonly string[]
}

export function makeFixtures(directory: string, size: number): Fixtures {
  const image = once(async () => await makeImage(join(directory, 'image.raw'), size))
  const sign = async (type: string, hash: string): Promise<Signed> =>
    await makeSigned(join(directory, type), type, hash, await image())
  return {
    directory,
    image,
    rsa: once(async () => await sign('RSA-PSS', 'SHA-256')),
    p384: once(async () => await sign('ECC_SECP384R1', 'SHA-384')),
    luks: once(async () => await makeVolumes(join(directory, 'luks'), 'luks')),
    luks2: once(async () => await makeVolumes(join(directory, 'luks2'), 'luks2')),
  }
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return async () => {
    made ??= make()
    return await made
  }
}

/** AES-CTR keystream: not sparse, not compressible; read once, so that it lies in the page cache. */
async function makeImage(path: string, size: number): Promise<string> {
  const cipher = createCipheriv('aes-128-ctr', randomBytes(16), randomBytes(16))
  const zeros = Buffer.alloc(CHUNK_BYTES)
  const file = await open(path, 'wx', 0o600)
  try {
    for (let left = size; left > 0; left -= CHUNK_BYTES) {
      await file.writeFile(cipher.update(zeros.subarray(0, Math.min(left, CHUNK_BYTES))))
    }
    // Nothing that is still being written to the disk may disturb the first rounds.
    await file.sync()
  } finally {
    await file.close()
  }
  for await (const _ of createReadStream(path, { highWaterMark: CHUNK_BYTES })) continue
  return path
}

async function makeSigned(
  directory: string,
  type: string,
  hash: string,
  image: string,
): Promise<Signed> {
  const file = (name: string): string => join(directory, name)
  const scratch = file('scratch')
  await mkdir(scratch, { recursive: true })
  const [key, publicKey, certificate] = [file('key.pem'), file('public.pem'), file('cert.pem')]
  await volseal(['keypair', 'create', '--type', type, '--out', key])
  await volseal(['cert', 'create', '--key', key, '--subject', 'CN=bench', '--out', certificate])
  await output(['openssl', 'pkey', '-in', key, '-pubout', '-out', publicKey])
  await volseal(['sign', image, '--key', key, '--hash', hash, '--out', directory])
  const signature = file('image.raw.signature')
  return { key, publicKey, certificate, signature, properties: `${signature}.json`, scratch }
}

const VOLUME_BYTES = 64 * 1024 * 1024

async function makeVolumes(directory: string, provider: 'luks' | 'luks2'): Promise<Volumes> {
  await mkdir(directory)
  const file = (name: string): string => join(directory, name)
  const store = ['--key-store', file('store'), '--key-store-key', file('store.key')]
  const created = await volseal(['secret', 'create', ...store, '--json'])
  const { id }: { id: string } = JSON.parse(created.toString())
  const secret = await volseal(['secret', 'get', id, ...store])
  const passphrase = file('passphrase')
  await writeFile(passphrase, secret.toString('hex'), { mode: 0o600 })
  const [ours, theirs] = [await blank(file('ours.img')), await blank(file('theirs.img'))]
  await volseal(['luks', 'format', ours, '--provider', provider, '--key-id', id, ...store])
  const type = provider === 'luks' ? 'luks1' : 'luks2'
  // What os-brick says for a usual volume type; the key derivation is cryptsetup's default.
  const spec = ['--cipher', 'aes-xts-plain64', '--key-size', '256']
  const osBrick = ['--batch-mode', 'luksFormat', '--type', type, ...spec]
  await output(['cryptsetup', ...osBrick, '--key-file', passphrase, theirs])
  return { passphrase, ours, theirs, keyOptions: ['--key-id', id, ...store] }
}

async function blank(path: string): Promise<string> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.truncate(VOLUME_BYTES)
  } finally {
    await file.close()
  }
  return path
}
