import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { removeLibvirtSecret, setLibvirtSecret } from '../../src/encryptor/index.js'
import { Secret, setVolumeSecret, VolsealError } from '../../src/index.js'
import { type Libvirt, startLibvirt, virsh } from '../harness/libvirt.js'
import { isInstalled, scratchDirectory } from '../harness/run.js'
import { blankFile, cryptsetupFormat, freshKeyManager, hexOf } from '../harness/volumes.js'

const LACKS = ['libvirtd', 'virsh', 'qemu-system-x86_64', 'cryptsetup'].filter(
  (program) => !isInstalled(program),
)
const ENCRYPTOR = fileURLToPath(new URL('../../dist/encryptor/index.js', import.meta.url))
const SECRET = fileURLToPath(new URL('../../dist/core/secret.js', import.meta.url))
const directory = scratchDirectory()
const systemPath = process.env['PATH'] ?? ''

describe.skipIf(LACKS.length > 0)(`secrets of libvirt ${LACKS.join(', ')}`, () => {
  let libvirt: Libvirt
  beforeAll(async () => {
    libvirt = await startLibvirt()
  })
  afterAll(async () => {
    await libvirt.stop()
  })
  beforeEach(() => {
    process.env['PATH'] = systemPath
    for (const uuid of uuids()) virsh(libvirt.uri, 'secret-undefine', uuid)
  })

  const uuids = (): string[] =>
    virsh(libvirt.uri, 'secret-list').match(/[0-9a-f]{8}-[0-9a-f-]{27}/g) ?? []
  const valueOf = (uuid: string): string =>
    virsh(libvirt.uri, 'secret-get-value', uuid, '--plain').trim()
  const set = async (volumeId: string, value: string, persistent?: boolean): Promise<string> => {
    const passphrase = new Secret(Buffer.from(value))
    return (await setLibvirtSecret({ volumeId, passphrase, persistent, uri: libvirt.uri })).uuid
  }
  const remove = async (volumeId: string): Promise<boolean> =>
    await removeLibvirtSecret(volumeId, libvirt.uri)
  const filesOfLibvirt = (): string[] =>
    existsSync(libvirt.secrets) ? readdirSync(libvirt.secrets).toSorted() : []

  it('is nova’s, when persistent: on disk in clear and readable', async () => {
    const value = randomBytes(32).toString('hex')
    const uuid = await set('volume', value, true)
    expect(valueOf(uuid)).toBe(value)
    expect(virsh(libvirt.uri, 'secret-dumpxml', uuid)).toBe(
      `<secret ephemeral='no' private='no'>\n  <uuid>${uuid}</uuid>\n  <usage type='volume'>\n    <volume>volume</volume>\n  </usage>\n</secret>`,
    )
    const kept = readFileSync(join(libvirt.secrets, `${uuid}.base64`), 'utf8')
    expect(Buffer.from(kept, 'base64').toString()).toBe(value)
  })

  it('is in memory only and nobody reads it, when not', async () => {
    const uuid = await set('volume', 'a passphrase')
    expect(valueOf(uuid)).toBe('error: Invalid secret: secret is private')
    expect(virsh(libvirt.uri, 'secret-dumpxml', uuid)).toContain(
      "<secret ephemeral='yes' private='yes'>",
    )
    expect(filesOfLibvirt()).toEqual([])
  })

  it('holds bytes of any kind, a line feed at the end too', async () => {
    const uuid = await set('volume', 'líne\n\n', true)
    const { uri } = libvirt
    expect(virsh(uri, 'secret-get-value', uuid)).toBe(Buffer.from('líne\n\n').toString('base64'))
    expect(valueOf(await set('volume', 'x'.repeat(1024), true))).toHaveLength(1024)
  })

  it('replaces the value of an earlier key, and keeps its UUID', async () => {
    const uuid = await set('volume', 'the earlier key', true)
    expect(await set('volume', 'the key', true)).toBe(uuid)
    expect(valueOf(uuid)).toBe('the key')
    expect(uuids()).toEqual([uuid])
  })

  it('replaces a secret of nova by one that nobody reads, and back', async () => {
    const xml = join(directory, 'nova.xml')
    writeFileSync(
      xml,
      '<secret ephemeral="no" private="no"><usage type="volume"><volume>volume</volume></usage></secret>',
    )
    virsh(libvirt.uri, 'secret-define', xml)
    const [uuid = ''] = uuids()
    virsh(libvirt.uri, 'secret-set-value', uuid, Buffer.from('stale').toString('base64'))
    expect(valueOf(uuid)).toBe('stale')
    expect(await set('volume', 'the key')).toBe(uuid)
    expect(valueOf(uuid)).toContain('private')
    expect(filesOfLibvirt()).toEqual([])
    expect(await set('volume', 'the key', true)).toBe(uuid)
    expect(valueOf(uuid)).toBe('the key')
  })

  it('is removed, and that there is none is no error', async () => {
    await set('volume', 'the key', true)
    const other = await set('other', 'the key')
    expect(await remove('volume')).toBe(true)
    expect(uuids()).toEqual([other])
    expect(filesOfLibvirt()).toEqual([])
    expect(await remove('volume')).toBe(false)
  })

  it('tells strange volume ids apart', async () => {
    const ids = [
      'a',
      'a ',
      ' a',
      'a  b',
      'a b',
      'a\tb',
      'a\nb',
      'a\r\nb',
      'A',
      'é',
      'e\u0301',
      '😀',
      '<volume>&amp;&#97;"\'</volume>',
      '&lt;',
      '--help',
      '; secret-undefine a',
      '$(id)',
      'x'.repeat(300),
    ]
    for (const id of ids) await set(id, 'the key')
    expect(uuids()).toHaveLength(ids.length)
    for (const [index, id] of ids.entries()) {
      expect(await remove(id)).toBe(true)
      expect(uuids()).toHaveLength(ids.length - index - 1)
    }
  })

  it('sees no secret of another use', async () => {
    const xml = join(directory, 'other.xml')
    writeFileSync(
      xml,
      '<secret><description>&lt;usage type="volume"&gt;&lt;volume&gt;v&lt;/volume&gt;</description><usage type="ceph"><name>v</name></usage></secret>',
    )
    virsh(libvirt.uri, 'secret-define', xml)
    expect(await remove('v')).toBe(false)
    await set('v', 'the key')
    expect(uuids()).toHaveLength(2)
  })

  it('works through the qemu driver too', async () => {
    const uri = `qemu+unix:///session?socket=${libvirt.socket}`
    const passphrase = new Secret(Buffer.from('the key'))
    const { uuid } = await setLibvirtSecret({ volumeId: 'v', passphrase, persistent: true, uri })
    expect(valueOf(uuid)).toBe('the key')
    expect(await removeLibvirtSecret('v', uri)).toBe(true)
  })

  it('opens a LUKS1 volume to QEMU, which alone may read it, and a wrong one does not', async () => {
    const volume = blankFile(libvirt.place, 'volume', 8 * 1024 * 1024)
    cryptsetupFormat(volume, 'luks1', 'the key')
    chmodSync(volume, 0o666)
    const uri = `qemu+unix:///session?socket=${libvirt.socket}`
    const domain = join(directory, 'domain.xml')
    writeFileSync(domain, guestWith(volume, await set('v', 'the key')))
    // It ends with the virsh that started it.
    const start = (): string => virsh(uri, 'create', '--paused', '--autodestroy', domain)
    expect(start()).toBe('')
    while (virsh(uri, 'list', '--name') !== '') await sleep(20)
    await set('v', 'another key')
    expect(start()).toContain('Failed to create domain')
    // What QEMU says comes back with the error only where libvirt was in time to read it.
    const log = join(libvirt.place, 'cache/libvirt/qemu/log/guest.log')
    expect(readFileSync(log, 'utf8')).toContain('Invalid password, cannot unlock any keyslot')
  })

  it('is the hex of the key from a key manager', async () => {
    const keyManager = await freshKeyManager(directory)
    const keyId = await keyManager.createKey({ algorithm: 'aes', bitLength: 256 })
    const { uri } = libvirt
    const options = { volumeId: 'v', keyId, keyManager, uri, persistent: true }
    const { uuid } = await setVolumeSecret(options)
    expect(valueOf(uuid)).toBe(await hexOf(keyManager, keyId))
  })

  describe('a virsh that is looked over the shoulder', () => {
    const log = join(directory, 'log')

    /** Puts a virsh in front of the real one that notes how it was called, and then runs `then`. */
    function wrapVirsh(then = ''): void {
      const bin = join(directory, 'bin')
      mkdirSync(bin, { recursive: true })
      const lines = ['#!/bin/sh', `{ printf '%s\\n' "$@"; env; } >>${log}`, then]
      writeFileSync(log, '')
      writeFileSync(join(bin, 'virsh'), [...lines, 'exec /usr/bin/virsh "$@"\n'].join('\n'))
      chmodSync(join(bin, 'virsh'), 0o755)
      process.env['PATH'] = `${bin}:${systemPath}`
    }

    it('sees no secret in its arguments and environment', async () => {
      wrapVirsh()
      const value = randomBytes(32).toString('hex')
      const uuid = await set('volume', value, true)
      expect(valueOf(uuid)).toBe(value)
      const seen = readFileSync(log, 'utf8')
      expect(seen).toContain('secret-set-value')
      expect(seen).not.toContain(value)
      expect(seen).not.toContain(Buffer.from(value).toString('base64'))
    })

    it('fails to set the value: the secret is undefined again', async () => {
      wrapVirsh('[ "$1" != secret-set-value ] || { echo "error: no luck" >&2; exit 1; }')
      await expect(set('volume', 'the key', true)).rejects.toMatchObject({
        code: 'unavailable',
        message: expect.stringMatching(
          /^cannot set the value of the secret of libvirt at .*: no luck$/,
        ),
      })
      expect(uuids()).toEqual([])
    })

    it('is interrupted: nothing is left', async () => {
      const arrived = join(directory, 'arrived-1')
      wrapVirsh(`[ "$1" != secret-set-value ] || { touch ${arrived}; exec sleep 60; }`)
      const abort = new AbortController()
      const passphrase = new Secret(Buffer.from('the key'))
      const secret = { volumeId: 'v', passphrase, uri: libvirt.uri }
      const aborting = (async () => {
        await appeared(arrived)
        abort.abort(new VolsealError('terminated', 'stopped'))
      })()
      await expect(setLibvirtSecret(secret, abort.signal)).rejects.toMatchObject({
        code: 'terminated',
      })
      await aborting
      expect(uuids()).toEqual([])
    })

    it('outlives a volseal that was killed: no old value, no half value, no file', async () => {
      const uuid = await set('v', 'the earlier key', true)
      const arrived = join(directory, 'arrived-2')
      const gone = join(directory, 'gone')
      const ended = join(directory, 'ended')
      const wait = `until [ -e ${gone} ]; do sleep 0.05; done`
      wrapVirsh(
        `[ "$1" != secret-set-value ] || { touch ${arrived}; ${wait}; /usr/bin/virsh "$@"; echo $? >${ended}; exit 1; }`,
      )
      const secret = `{ volumeId: 'v', passphrase: new Secret(Buffer.from('the key')), persistent: true, uri: process.argv[1] }`
      const script = `import { setLibvirtSecret } from '${ENCRYPTOR}'; import { Secret } from '${SECRET}'; await setLibvirtSecret(${secret})`
      const volseal = spawn(process.execPath, ['--input-type=module', '-e', script, libvirt.uri])
      const killed = once(volseal, 'exit')
      await appeared(arrived)
      volseal.kill('SIGKILL')
      await killed
      writeFileSync(gone, '')
      await appeared(ended)
      expect(Number(readFileSync(ended, 'utf8'))).not.toBe(0)
      expect(valueOf(uuid)).toContain('does not have a value')
      expect(readdirSync('/dev/shm').filter((name) => name.startsWith('volseal'))).toEqual([])
      process.env['PATH'] = systemPath
      expect(await set('v', 'the key', true)).toBe(uuid)
      expect(valueOf(uuid)).toBe('the key')
    })
  })

  it('without a daemon is persistent only, and removed although virsh crashes', async () => {
    const root = join(directory, 'embed')
    mkdirSync(root)
    const uri = `secret:///embed?root=${root}`
    const passphrase = new Secret(Buffer.from('the key'))
    const secret = { volumeId: 'v', passphrase, uri }
    await expect(setLibvirtSecret(secret)).rejects.toMatchObject({ code: 'usage' })
    const { uuid } = await setLibvirtSecret({ ...secret, persistent: true })
    expect(await setLibvirtSecret({ ...secret, persistent: true })).toEqual({ uuid })
    const kept = join(root, 'etc/secrets', `${uuid}.base64`)
    expect(Buffer.from(readFileSync(kept, 'utf8'), 'base64').toString()).toBe('the key')
    expect(statSync(kept).mode & 0o077).toBe(0)
    expect(await removeLibvirtSecret('v', uri)).toBe(true)
    expect(readdirSync(join(root, 'etc/secrets'))).toEqual([])
    expect(await removeLibvirtSecret('v', uri)).toBe(false)
  })

  it('refuses what libvirt cannot hold', async () => {
    for (const id of ['', 'a\0', 'a\u0007', '\ud800']) {
      await expect(set(id, 'the key')).rejects.toMatchObject({ code: 'usage' })
      await expect(remove(id)).rejects.toMatchObject({ code: 'usage' })
    }
    for (const value of ['', 'x'.repeat(1025)]) {
      await expect(set('v', value)).rejects.toMatchObject({ code: 'usage' })
    }
    expect(uuids()).toEqual([])
  })

  it('says what is wrong when libvirt is not there', async () => {
    const uri = `secret+unix:///session?socket=${directory}/nothing`
    await expect(removeLibvirtSecret('v', uri)).rejects.toMatchObject({
      code: 'unavailable',
      message: `cannot list the secrets of libvirt at ${uri}: Failed to connect socket to '${directory}/nothing': No such file or directory`,
      hint: 'is libvirtd (or virtqemud and virtsecretd) running, and is this the URI that nova uses?',
    })
    await expect(removeLibvirtSecret('v', 'test:///default')).rejects.toMatchObject({
      code: 'unavailable',
      hint: 'choose a URI such as qemu:///system',
    })
    process.env['PATH'] = directory
    await expect(removeLibvirtSecret('v', uri)).rejects.toMatchObject({
      code: 'unavailable',
      hint: 'on Debian: apt install libvirt-clients',
    })
  })
})

/** A guest as nova describes one whose disk QEMU decrypts. */
function guestWith(volume: string, uuid: string): string {
  const encryption = `<encryption format="luks"><secret type="passphrase" uuid="${uuid}"/></encryption>`
  return `<domain type="qemu">
    <name>guest</name>
    <memory unit="MiB">64</memory>
    <os><type arch="x86_64" machine="pc">hvm</type></os>
    <devices>
      <emulator>/usr/bin/qemu-system-x86_64</emulator>
      <disk type="file" device="disk">
        <driver name="qemu" type="raw"/>
        <source file="${volume}">${encryption}</source>
        <target dev="vda" bus="virtio"/>
      </disk>
    </devices>
  </domain>`
}

async function appeared(path: string): Promise<void> {
  while (!existsSync(path)) await sleep(20)
}
