import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { Secret } from '../../src/core/secret.js'
import { openLocalKeyManager } from '../../src/keyfile/index.js'
import {
  keyFile,
  makeFifo,
  newPlace,
  opaque,
  open,
  passphrase,
  payloadOf,
  rawKey,
  secretFile,
} from './stores.js'

const HEX_KEY = `${'0123456789abcdef'.repeat(4)}\n`

function modeOf(path: string): string {
  return (statSync(path).mode & 0o777).toString(8)
}

describe('opening a store that is not there', () => {
  it('makes the directories, the key and the store, for nobody else to read', async () => {
    const { directory } = await newPlace()
    const place = { store: join(directory, 'a/b/keys'), key: keyFile(directory, 'c/d/key') }
    const id = await (await open(place)).store(opaque('first'))
    for (const path of ['a', 'a/b', 'a/b/keys', 'c', 'c/d']) {
      expect(modeOf(join(directory, path))).toBe('700')
    }
    expect(modeOf(place.key.path)).toBe('600')
    expect(readFileSync(place.key.path, 'latin1')).toMatch(/^[0-9a-f]{64}\n$/)
    expect(modeOf(join(place.store, 'store.json'))).toBe('600')
    expect(modeOf(secretFile(place.store, id))).toBe('600')
    expect(readdirSync(place.store).toSorted()).toEqual([`${id}.json`, 'store.json'].toSorted())
    expect(readdirSync(join(directory, 'c/d'))).toEqual(['key'])
  })

  it('uses a key file that is there', async () => {
    const place = await newPlace()
    writeFileSync(place.key.path, HEX_KEY, { mode: 0o600 })
    const id = await (await open(place)).store(opaque('first'))
    const key = new Secret(Buffer.from(HEX_KEY.trim(), 'hex'))
    const same = await open({ ...place, key: { kind: 'key', key } })
    expect(await payloadOf(same, id)).toBe('first')
    expect(readFileSync(place.key.path, 'latin1')).toBe(HEX_KEY)
  })

  it('takes an empty directory that is private, and no other', async () => {
    const place = await newPlace()
    mkdirSync(place.store, { mode: 0o755 })
    await expect(open(place)).rejects.toMatchObject({
      code: 'forbidden',
      message: `${place.store} is open to other users: expected mode 700, got 755`,
      hint: `chmod 700 ${place.store}`,
    })
    expect(existsSync(place.key.path)).toBe(false)
    chmodSync(place.store, 0o700)
    await open(place)
  })

  it('makes none when it is told so', async () => {
    const place = await newPlace()
    const opening = openLocalKeyManager({ ...place, create: false })
    await expect(opening).rejects.toMatchObject({
      code: 'not-found',
      message: `there is no key store in ${place.store}`,
    })
    expect(readdirSync(place.directory)).toEqual([])
  })

  it('refuses a file in its place', async () => {
    const place = await newPlace()
    writeFileSync(place.store, '')
    await expect(open(place)).rejects.toMatchObject({ code: 'usage' })
  })
})

describe('the key of a store', () => {
  it('is never made anew: a missing key file has its own message', async () => {
    const place = await newPlace()
    await open(place)
    rmSync(place.key.path)
    await expect(open(place)).rejects.toMatchObject({
      code: 'keystore-damaged',
      message: `the key file ${place.key.path} of the key store ${place.store} is missing`,
    })
    expect(existsSync(place.key.path)).toBe(false)
  })

  it('is refused in the store itself, by whatever path', async () => {
    const place = await newPlace()
    const within = keyFile(place.store, 'sub/key')
    await expect(open({ ...place, key: within })).rejects.toMatchObject({ code: 'usage' })
    expect(existsSync(place.store)).toBe(false)
    await open(place)
    symlinkSync(place.store, join(place.directory, 'link'))
    const linked = keyFile(join(place.directory, 'link'), 'key')
    await expect(open({ ...place, key: linked })).rejects.toThrow(
      'lies in the key store that it opens',
    )
  })

  it.each([0o640, 0o604, 0o620, 0o644])('is refused from a file of mode %o', async (mode) => {
    const place = await newPlace()
    await open(place)
    chmodSync(place.key.path, mode)
    await expect(open(place)).rejects.toMatchObject({
      code: 'forbidden',
      hint: `chmod 600 ${place.key.path}`,
    })
  })

  it.each([
    ['nothing', ''],
    ['63 digits', HEX_KEY.slice(2)],
    ['65 digits', `a${HEX_KEY}`],
    ['upper case', HEX_KEY.toUpperCase()],
    ['two newlines', `${HEX_KEY}\n`],
    ['a carriage return', HEX_KEY.replace('\n', '\r\n')],
    ['raw bytes', 'k'.repeat(32)],
  ])('is refused from a file that holds %s, without showing it', async (_, content) => {
    const place = await newPlace()
    writeFileSync(place.key.path, content, { mode: 0o600 })
    const error: unknown = await open(place).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({
      code: 'keystore-damaged',
      message: `the key file ${place.key.path} is damaged: expected 64 lower-case hex digits and a newline, got ${content.length} bytes`,
    })
    expect(existsSync(place.store)).toBe(false)
  })

  it('is taken from a pipe of any mode, with or without a newline', async () => {
    const place = await newPlace()
    writeFileSync(place.key.path, HEX_KEY, { mode: 0o600 })
    const id = await (await open(place)).store(opaque('first'))
    const fifo = keyFile(place.directory, 'fifo')
    makeFifo(fifo.path)
    for (const content of [HEX_KEY, HEX_KEY.trim()]) {
      const writer = openSync(fifo.path, constants.O_RDWR)
      writeSync(writer, content)
      const opening = open({ ...place, key: fifo })
      await sleep(50)
      closeSync(writer)
      expect(await payloadOf(await opening, id)).toBe('first')
    }
  })

  it('makes a store from a pipe too, which gives the key only once', async () => {
    const place = await newPlace()
    const script = `
      const { openLocalKeyManager } = await import(process.argv[1])
      await openLocalKeyManager({ store: process.argv[2], key: { kind: 'file', path: '/dev/fd/3' } })
    `
    const index = new URL('../../dist/keyfile/index.js', import.meta.url).href
    const command = 'printf %s "$1" | "$2" --input-type=module -e "$3" "$4" "$5" 3<&0'
    const args = [HEX_KEY.trim(), process.execPath, script, index, place.store]
    execFileSync('sh', ['-c', command, 'sh', ...args])
    writeFileSync(place.key.path, HEX_KEY, { mode: 0o600 })
    expect(await (await open(place)).list()).toEqual([])
  })

  it('may be a passphrase, which is told from a wrong one and from damage', async () => {
    const { store } = await newPlace()
    const id = await (await open({ store, key: passphrase('correct horse') })).store(opaque('x'))
    const again = await open({ store, key: passphrase('correct horse') })
    expect(await payloadOf(again, id)).toBe('x')
    await expect(open({ store, key: passphrase('correct horse\n') })).rejects.toMatchObject({
      code: 'keystore-damaged',
      message: `the passphrase is not the one of the key store ${store}`,
    })
    await expect(open({ store, key: rawKey() })).rejects.toMatchObject({
      code: 'keystore-damaged',
      message: `the key store ${store} is opened by a passphrase, not by a key`,
    })
    const path = join(store, 'store.json')
    writeFileSync(path, readFileSync(path, 'utf8').replace('131072', '131073'))
    await expect(open({ store, key: passphrase('correct horse') })).rejects.toMatchObject({
      code: 'keystore-damaged',
      message: `${path} is damaged: its checksum is not that of its content`,
    })
  })

  it('must be 32 bytes, and a passphrase at least one', async () => {
    const { store } = await newPlace()
    const key = new Secret(Buffer.alloc(31, 1))
    await expect(open({ store, key: { kind: 'key', key } })).rejects.toMatchObject({
      code: 'usage',
      message: 'store key: expected 32 bytes, got 31',
    })
    await expect(open({ store, key: passphrase('') })).rejects.toMatchObject({ code: 'usage' })
  })

  it('is left to the caller to wipe', async () => {
    const { store } = await newPlace()
    const key = rawKey()
    const manager = await open({ store, key })
    manager.close()
    expect(await (await open({ store, key })).list()).toEqual([])
  })
})

describe('a store that is there', () => {
  it.each([0o750, 0o701, 0o770])('is refused with mode %o', async (mode) => {
    const place = await newPlace()
    await open(place)
    chmodSync(place.store, mode)
    await expect(open(place)).rejects.toMatchObject({
      code: 'forbidden',
      hint: `chmod 700 ${place.store}`,
    })
  })

  it.runIf(process.getuid?.() === 0)('is refused when it is of another user', async () => {
    const place = await newPlace()
    await open(place)
    chownSync(place.store, 4711, 4711)
    await expect(open(place)).rejects.toMatchObject({
      code: 'forbidden',
      message: `${place.store} belongs to another user: expected user id 0, got 4711`,
    })
  })

  it('is never made anew when store.json is missing', async () => {
    const place = await newPlace()
    await (await open(place)).store(opaque('kept'))
    const path = join(place.store, 'store.json')
    rmSync(path)
    await expect(open(place)).rejects.toMatchObject({
      code: 'keystore-damaged',
      message: `${path} is damaged: it is missing, though secrets are there: 1`,
    })
    expect(existsSync(path)).toBe(false)
  })

  it('is of no use once it is closed', async () => {
    const manager = await open(await newPlace())
    const id = await manager.store(opaque('kept'))
    const storing = manager.store(opaque('under way'))
    manager.close()
    const closed = { code: 'usage', message: 'the key manager is closed' }
    await expect(storing).rejects.toMatchObject(closed)
    await expect(manager.get(id)).rejects.toMatchObject(closed)
    await expect(manager.list()).rejects.toMatchObject(closed)
    await expect(manager.delete(id)).rejects.toMatchObject(closed)
  })

  it('holds nothing of a payload or a key in clear', async () => {
    const place = await newPlace()
    const key = Buffer.from('the sixteen-byte key that is used')
    const manager = await open(place)
    await manager.store({ type: 'symmetric', payload: new Secret(Buffer.from(key)) })
    const id = await manager.createKey({ algorithm: 'aes', bitLength: 256 })
    const drawn = (await manager.get(id)).payload.bytes()
    const kek = Buffer.from(readFileSync(place.key.path, 'latin1').trim(), 'hex')
    await manager.setMetadata(id, { a: 'b' })
    for (const name of readdirSync(place.store)) {
      const content = readFileSync(join(place.store, name))
      for (const secret of [key, drawn, kek]) {
        // Any three bytes in a row would do, but may occur by chance.
        const part = secret.subarray(3, 12)
        expect(content.includes(part)).toBe(false)
        expect(content.includes(part.toString('hex'))).toBe(false)
        expect(content.includes(part.toString('base64'))).toBe(false)
      }
    }
  })
})
