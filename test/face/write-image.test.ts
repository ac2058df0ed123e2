import { randomBytes } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { appendFile, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import {
  restoreHeader,
  type SignatureProperties,
  signImage,
  VolsealError,
  type WriteOptions,
  type WriteResult,
  writeImage,
} from '../../src/index.js'
import { makeOpensslKey } from '../harness/openssl.js'
import { run, scratchDirectory } from '../harness/run.js'
import {
  blankFile,
  cryptsetupFormat,
  freshKeyManager,
  hexOf,
  opensWith,
  poke,
  readLuks1,
  sha256,
} from '../harness/volumes.js'

const MIB = 1024 * 1024
const directory = scratchDirectory()
const keyManager = await freshKeyManager(directory)
const keyId = await keyManager.createKey({ algorithm: 'aes', bitLength: 256 })
const passphrase = await hexOf(keyManager, keyId)
const rsa = makeOpensslKey(directory, 'RSA-PSS')
const key = readFileSync(rsa.key)
const certificate = readFileSync(rsa.certificate)
const image = join(directory, 'image')
const content = Buffer.concat([randomBytes(3 * MIB), Buffer.alloc(2 * MIB), randomBytes(MIB + 17)])
writeFileSync(image, content)

async function sign(path: string): Promise<SignatureProperties> {
  return (await signImage({ image: path, key, certificate, write: false })).properties
}

const properties = await sign(image)
let files = 0

function target(size: number): string {
  files += 1
  return blankFile(directory, `target-${files}`, size)
}

/** The result, or the code of the refusal. */
async function write(
  options: Partial<WriteOptions> & { target: string },
): Promise<WriteResult | string> {
  try {
    return await writeImage({ image, properties, certificate, ...options })
  } catch (error) {
    return error instanceof VolsealError ? error.code : String(error)
  }
}

describe('into a plain file', () => {
  it('makes one that is not there, whole', async () => {
    const made = join(directory, 'made')
    const result = await write({ target: made })
    expect(result).toMatchObject({
      bytesWritten: content.length,
      format: 'raw',
      encrypted: null,
      signatureVerified: true,
      verification: { verdict: 'accepted', trust: 'pinned' },
    })
    expect(readFileSync(made).equals(content)).toBe(true)
  })

  it('writes over one that is, zeros too, and leaves the bytes behind the end', async () => {
    const there = target(0)
    const old = randomBytes(9 * MIB)
    writeFileSync(there, old)
    expect(await write({ target: there })).toMatchObject({ bytesWritten: content.length })
    expect(readFileSync(there).equals(Buffer.concat([content, old.subarray(content.length)]))).toBe(
      true,
    )
  })

  it.each([0, 1, MIB - 1, MIB, MIB + 1])('writes an image of %d bytes', async (size) => {
    const small = join(directory, `small-${size}`)
    const bytes = randomBytes(size)
    writeFileSync(small, bytes)
    const named = { image: small, properties: await sign(small) }
    expect(await write({ ...named, target: `${small}-out` })).toMatchObject({ bytesWritten: size })
    expect(readFileSync(`${small}-out`).equals(bytes)).toBe(true)
  })

  it('writes what can be read only once, from a copy that has no name', async () => {
    const there = target(9 * MIB)
    const result = await write({ image: Readable.from([content]), target: there })
    expect(result).toMatchObject({ bytesWritten: content.length })
    expect(readFileSync(there).subarray(0, content.length).equals(content)).toBe(true)
  })

  describe('that is not there, from what can be read only once', () => {
    const place = (): string => mkdtempSync(join(directory, 'once-'))

    it('makes it of the bytes as they come, and names it last', async () => {
      const made = join(place(), 'made')
      const named: boolean[] = []
      async function* watched(): AsyncGenerator<Buffer> {
        for (const part of [content.subarray(0, MIB), content.subarray(MIB)]) {
          named.push(existsSync(made))
          yield part
        }
        named.push(existsSync(made))
      }
      expect(await write({ image: watched(), target: made })).toMatchObject({
        bytesWritten: content.length,
      })
      expect(named).toEqual([false, false, false])
      expect(readFileSync(made).equals(content)).toBe(true)
      expect(statSync(made)).toMatchObject({ nlink: 1 })
      expect(statSync(made).mode % 0o1000).toBe(0o600)
      // Its zeros take no room.
      expect(statSync(made).blocks * 512).toBeLessThan(content.length - MIB)
      expect(readdirSync(dirname(made))).toEqual(['made'])
    })

    it.each([
      ['refused', [content.subarray(0, -1)], 'signature-mismatch'],
      ['accepted, while somebody makes it', [content], 'busy'],
    ])('leaves nothing of an image that is %s', async (_, parts, code) => {
      const made = join(place(), 'made')
      const onAccepted = async (): Promise<void> => {
        await writeFile(made, 'of somebody else')
      }
      expect(await write({ image: Readable.from(parts), target: made, onAccepted })).toBe(code)
      expect(readdirSync(dirname(made))).toEqual(code === 'busy' ? ['made'] : [])
      if (code === 'busy') expect(readFileSync(made, 'utf8')).toBe('of somebody else')
    })

    it('leaves nothing when it is interrupted', async () => {
      const made = join(place(), 'made')
      const controller = new AbortController()
      const onProgress = (): void => {
        controller.abort(new VolsealError('interrupted', 'interrupted'))
      }
      const options = { target: made, signal: controller.signal, onProgress }
      expect(await write({ ...options, image: Readable.from([content]) })).toBe('interrupted')
      expect(readdirSync(dirname(made))).toEqual([])
    })
  })

  it('keeps no more of it than the target can hold', async () => {
    const there = target(MIB)
    let asked = 0
    async function* endless(): AsyncGenerator<Buffer> {
      for (; asked < 100; asked += 1) yield Buffer.alloc(MIB, 1)
    }
    expect(await write({ image: endless(), target: there })).toBe('too-small')
    expect(asked).toBeLessThan(10)
    expect(readFileSync(there).equals(Buffer.alloc(MIB))).toBe(true)
  })

  it.each([
    ['in a directory that is not there', 'none/made', 'not-found'],
    ['under a name that leads nowhere', 'leads-nowhere', 'no-device'],
  ])('is not made %s, which is found out before the image is read', async (_, name, code) => {
    const place = mkdtempSync(join(directory, 'links-'))
    symlinkSync('nowhere', join(place, 'leads-nowhere'))
    let isRead = false
    async function* watched(): AsyncGenerator<Buffer> {
      isRead = true
      yield content
    }
    expect(await write({ image: watched(), target: join(place, name) })).toBe(code)
    expect(isRead).toBe(false)
  })
})

describe('into a LUKS1 volume, through qemu', () => {
  it('formats a blank target, and qemu reads the image back bit for bit', async () => {
    const volume = target(20 * MIB)
    const result = await write({ target: volume, encrypt: { provider: 'luks', keyId, keyManager } })
    expect(result).toMatchObject({
      encrypted: { formatted: true, way: 'qemu', effectiveCipher: 'AES-256-XTS' },
    })
    expect(readLuks1(volume, passphrase, content.length).equals(content)).toBe(true)
    expect(readFileSync(volume).includes(content.subarray(0, 64))).toBe(false)
  })

  it("opens one that is LUKS already, made by cryptsetup's own hand", async () => {
    const volume = target(20 * MIB)
    cryptsetupFormat(volume, 'luks1', passphrase)
    const header = readFileSync(volume).subarray(0, 592)
    const result = await write({ target: volume, encrypt: { provider: 'luks', keyId, keyManager } })
    expect(result).toMatchObject({ encrypted: { formatted: false } })
    expect(readFileSync(volume).subarray(0, 592)).toEqual(header)
    expect(readLuks1(volume, passphrase, content.length).equals(content)).toBe(true)
  })

  it('formats over one only by force, and keeps its header where it is told to', async () => {
    const volume = target(20 * MIB)
    cryptsetupFormat(volume, 'luks1', 'of another')
    const before = readFileSync(volume)
    const kept = join(directory, 'kept-headers')
    const keepHeader = () => ({ directory: kept, keyManager })
    const encrypt = { provider: 'luks', keyId, keyManager } as const
    const options = { target: volume, encrypt, keepHeader }
    expect(await write(options)).toBe('wrong-key')
    expect(existsSync(kept)).toBe(false)

    const stopped = new AbortController()
    const onWriteProgress = (): void => {
      stopped.abort(new VolsealError('interrupted', 'interrupted'))
    }
    const forced = { ...options, force: basename(volume) }
    const watch = { signal: stopped.signal, onWriteProgress }
    const writing = writeImage({ image, properties, certificate, ...forced, ...watch })
    await expect(writing).rejects.toMatchObject({ hint: expect.stringContaining('luks restore') })
    const [file = ''] = readdirSync(kept)
    const restoring = { file: join(kept, file), device: volume, keyManager }
    await restoreHeader({ ...restoring, force: basename(volume) })
    const after = readFileSync(volume).subarray(0, 2 * MIB)
    expect(after.equals(before.subarray(0, 2 * MIB))).toBe(true)

    const result = await write(forced)
    expect(result).toMatchObject({ encrypted: { formatted: true }, replaced: { version: 1 } })
    expect(readLuks1(volume, passphrase, content.length).equals(content)).toBe(true)
    const blank = await write({ ...options, target: target(20 * MIB) })
    expect(blank).toMatchObject({ encrypted: { formatted: true }, replaced: null })
    expect(readdirSync(kept)).toHaveLength(2)
  })
})

it('raw content over a LUKS volume, by force, keeps its header too', async () => {
  const volume = target(20 * MIB)
  cryptsetupFormat(volume, 'luks2', passphrase)
  const header = readFileSync(volume).subarray(0, 16 * MIB)
  const kept = join(directory, 'kept-of-raw')
  const options = { target: volume, keepHeader: () => ({ directory: kept, keyManager }) }
  expect(await write(options)).toBe('not-blank')
  expect(existsSync(kept)).toBe(false)
  const force = basename(volume)
  expect(await write({ ...options, force })).toMatchObject({ replaced: { version: 2 } })
  const [file = ''] = readdirSync(kept)
  await restoreHeader({ file: join(kept, file), device: volume, keyManager, force })
  expect(
    readFileSync(volume)
      .subarray(0, 16 * MIB)
      .equals(header),
  ).toBe(true)
})

describe('other formats', () => {
  it.each(['qcow2', 'vmdk', 'vpc', 'vhdx', 'vdi'])(
    '%s is converted, plain and encrypted',
    async (format) => {
      const raw = target(0)
      writeFileSync(raw, Buffer.concat([randomBytes(2 * MIB), Buffer.alloc(2 * MIB)]))
      const converted = `${raw}.${format}`
      const size = format === 'vpc' ? ['-o', 'force_size=on'] : []
      run('qemu-img', ['convert', '-O', format, ...size, raw, converted])
      const named = { image: converted, properties: await sign(converted), sourceFormat: format }
      expect(await write({ ...named, target: `${raw}.out` })).toMatchObject({
        bytesWritten: 4 * MIB,
      })
      expect(sha256(`${raw}.out`)).toBe(sha256(raw))
      const volume = target(20 * MIB)
      poke(volume, 19 * MIB, Buffer.alloc(0))
      const encrypt = { provider: 'luks', keyId, keyManager } as const
      expect(await write({ ...named, target: volume, encrypt })).toMatchObject({
        bytesWritten: 4 * MIB,
      })
      expect(readLuks1(volume, passphrase, 4 * MIB).equals(readFileSync(raw))).toBe(true)
    },
  )
})

interface Refusal {
  readonly name: string
  readonly code: string
  readonly size?: number
  readonly fill?: (path: string) => void
  readonly options: (path: string) => Promise<Partial<WriteOptions>> | Partial<WriteOptions>
}

const encrypt = { provider: 'luks', keyId, keyManager } as const

function tampered(): string {
  const path = join(directory, 'tampered')
  copyFileSync(image, path)
  poke(path, 4_000_000, Buffer.of(1))
  return path
}

async function backed(): Promise<Partial<WriteOptions>> {
  const path = join(directory, 'backed.qcow2')
  run('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', '/etc/passwd', path, '1M'])
  return { image: path, properties: await sign(path), sourceFormat: 'qcow2' }
}

async function lyingSize(): Promise<Partial<WriteOptions>> {
  // A LUKS1 image is copied whole: what counts is its size, not that of its payload.
  const path = blankFile(directory, 'luks-image', 6 * MIB)
  cryptsetupFormat(path, 'luks1', 'x')
  return { image: Readable.from([readFileSync(path)]), properties: await sign(path) }
}

async function lying(): Promise<Partial<WriteOptions>> {
  const path = join(directory, 'lying.qcow2')
  run('qemu-img', ['create', '-q', '-f', 'qcow2', path, '1M'])
  return { image: path, properties: await sign(path) }
}

const REFUSALS: readonly Refusal[] = [
  { name: 'a flipped bit', code: 'signature-mismatch', options: () => ({ image: tampered() }) },
  { name: 'no properties', code: 'unsigned', options: () => ({ properties: {} }) },
  {
    name: 'a property missing',
    code: 'unsigned',
    options: () => {
      const { img_signature_key_type: _, ...three } = properties
      return { properties: three }
    },
  },
  {
    name: 'a signature that is no base64',
    code: 'signature-malformed',
    options: () => ({ properties: { ...properties, img_signature: '!' } }),
  },
  {
    name: 'an expired certificate',
    code: 'certificate-untrusted',
    options: () => ({ at: new Date(0) }),
  },
  {
    name: 'a certificate that only the properties name',
    code: 'certificate-untrusted',
    options: async () => {
      const { Secret } = await import('../../src/index.js')
      const payload = new Secret(Buffer.from(certificate))
      const id = await keyManager.store({ type: 'certificate', payload })
      const named = { ...properties, img_signature_certificate_uuid: id }
      return { certificate: undefined, properties: named, keyManager }
    },
  },
  { name: 'a backing file', code: 'image-unsafe', options: backed },
  { name: 'qcow2 that is said to be raw', code: 'image-unsafe', options: lying },
  {
    name: 'a missing image',
    code: 'unchecked',
    options: () => ({ image: join(directory, 'nowhere') }),
  },
  { name: 'an image that is a directory', code: 'usage', options: () => ({ image: directory }) },
  { name: 'too little room', code: 'too-small', size: content.length - 1, options: () => ({}) },
  {
    name: 'too little room for an image with a header',
    code: 'too-small',
    size: 5 * MIB,
    options: lyingSize,
  },
  {
    name: 'too little room in the volume',
    code: 'too-small',
    size: content.length + 2 * MIB - 1,
    options: () => ({ encrypt }),
  },
  {
    name: 'a LUKS volume, without --encrypt',
    code: 'not-blank',
    fill: (path) => {
      cryptsetupFormat(path, 'luks1', passphrase)
    },
    options: () => ({}),
  },
  {
    name: 'data, with --encrypt',
    code: 'not-blank',
    fill: (path) => {
      poke(path, 5 * MIB, Buffer.of(1))
    },
    options: () => ({ encrypt }),
  },
  {
    name: 'a volume of another key',
    code: 'wrong-key',
    fill: (path) => {
      cryptsetupFormat(path, 'luks1', 'another')
    },
    options: () => ({ encrypt }),
  },
  {
    name: 'a LUKS2 volume where LUKS1 is expected',
    code: 'header-damaged',
    fill: (path) => {
      cryptsetupFormat(path, 'luks2', passphrase)
    },
    options: () => ({ encrypt }),
  },
  {
    name: 'a volume whose header was forged to say that nothing is encrypted',
    code: 'header-damaged',
    fill: (path) => {
      cryptsetupFormat(path, 'luks1', passphrase)
      poke(path, 8, Buffer.from('cipher_null\0'))
    },
    options: () => ({ encrypt }),
  },
  {
    name: 'a damaged LUKS header',
    code: 'header-damaged',
    fill: (path) => {
      poke(path, 0, Buffer.from('4c554b53babe0001', 'hex'))
    },
    options: () => ({ encrypt }),
  },
  {
    name: 'a key that is not there',
    code: 'not-found',
    options: () => ({ encrypt: { ...encrypt, keyId: '5df14c2b-f221-4a02-948e-48a61edd3f5b' } }),
  },
]

describe.each(REFUSALS)('$name', ({ code, size = 40 * MIB, fill, options }) => {
  it(`is ${code}, and the target stays as it was; a good image is written`, async () => {
    const path = target(size)
    fill?.(path)
    const before = sha256(path)
    expect(await write({ target: path, ...(await options(path)) })).toBe(code)
    expect(sha256(path)).toBe(before)
    // A new file is not made either.
    const absent = join(directory, `absent-${files}`)
    const plain = await options(absent)
    if (code !== 'too-small' && plain.encrypt === undefined && fill === undefined) {
      expect(await write({ target: absent, ...plain })).toBe(code)
      expect(existsSync(absent)).toBe(false)
    }
    const control = target(40 * MIB)
    const good = plain.encrypt === undefined ? {} : { encrypt }
    expect(await write({ target: control, ...good })).toMatchObject({ signatureVerified: true })
  })
})

describe('the target and the image', () => {
  it.each([
    ['the same', (path: string) => path],
    [
      'the same by a symbolic link',
      (path: string) => {
        symlinkSync(path, `${path}.symlink`)
        return `${path}.symlink`
      },
    ],
    [
      'the same by a hard link',
      (path: string) => {
        linkSync(path, `${path}.link`)
        return `${path}.link`
      },
    ],
  ])('must not be %s', async (_, name) => {
    const path = target(0)
    writeFileSync(path, content)
    expect(await write({ image: path, target: name(path) })).toBe('usage')
    expect(readFileSync(path).equals(content)).toBe(true)
  })
})

/** What is verified and what is written must not be able to differ. */
describe('an image that is changed after it was verified', () => {
  const changes: readonly (readonly [string, (path: string) => void])[] = [
    ['a byte at the start', (path) => poke(path, 0, Buffer.from('EVIL'))],
    ['a byte at the end', (path) => poke(path, content.length - 1, Buffer.of(1, 2))],
    ['cut short', (path) => truncateSync(path, 2 * MIB)],
  ]

  it.each(changes)('%s: no changed byte is written', async (_, change) => {
    const path = join(directory, 'changing')
    copyFileSync(image, path)
    const there = target(40 * MIB)
    const result = await write({
      image: path,
      target: there,
      onProgress: (bytes) => {
        // The last piece has been hashed, the verdict is not yet out.
        if (bytes === content.length) change(path)
      },
    })
    expect(result).toMatch(/^signature-mismatch$/)
    const written = readFileSync(there).subarray(0, content.length)
    for (let offset = 0; offset < content.length; offset += MIB) {
      const block = written.subarray(offset, offset + MIB)
      const isVerified = block.equals(content.subarray(offset, offset + MIB))
      expect(isVerified || block.every((byte) => byte === 0)).toBe(true)
    }
  })

  it('appended to: what was verified is written, and no more', async () => {
    const path = join(directory, 'growing')
    copyFileSync(image, path)
    const made = join(directory, 'grown-out')
    const result = await write({
      image: path,
      target: made,
      onAccepted: async () => {
        await appendFile(path, 'more')
      },
    })
    expect(result).toMatchObject({ bytesWritten: content.length })
    expect(readFileSync(made).equals(content)).toBe(true)
  })
})

describe('interrupted', () => {
  it('while it verifies: nothing is written, and nothing is left', async () => {
    const there = target(40 * MIB)
    const before = sha256(there)
    const controller = new AbortController()
    const result = await write({
      target: there,
      signal: controller.signal,
      onProgress: () => {
        controller.abort(new VolsealError('interrupted', 'interrupted'))
      },
    })
    expect(result).toBe('interrupted')
    expect(sha256(there)).toBe(before)
  })

  it('while it writes a new file: there is none', async () => {
    const made = join(directory, 'interrupted')
    const controller = new AbortController()
    const result = await write({
      target: made,
      signal: controller.signal,
      onWriteProgress: () => {
        controller.abort(new VolsealError('terminated', 'terminated'))
      },
    })
    expect(result).toBe('terminated')
    expect(readdirSync(directory).filter((name) => name.includes('interrupted'))).toEqual([])
  })

  it('while it writes into what is there: the error says that it is partly written', async () => {
    const there = target(40 * MIB)
    const controller = new AbortController()
    const writing = writeImage({
      image,
      properties,
      certificate,
      target: there,
      signal: controller.signal,
      onWriteProgress: () => {
        controller.abort(new VolsealError('interrupted', 'interrupted'))
      },
    })
    await expect(writing).rejects.toThrow(/partly written/)
    expect(await write({ target: there })).toMatchObject({ bytesWritten: content.length })
  })
})

describe('a volume', () => {
  it('is not opened by another key afterwards, and its size is that of the file', async () => {
    const volume = target(20 * MIB)
    await write({ target: volume, encrypt })
    expect(opensWith(volume, passphrase)).toBe(true)
    expect(opensWith(volume, 'another')).toBe(false)
    expect(statSync(volume).size).toBe(20 * MIB)
  })
})
