import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { preparedScene } from './prepared.js'
import { copyScene, leftovers, onlyJson, type Scene, shell } from './scene.js'

const LONG_MS = 300_000

let prepared: Scene
beforeAll(async () => {
  prepared = await preparedScene()
}, LONG_MS)

/** A test in a copy of the prepared scene, which must leave TMPDIR empty. */
function inScene(name: string, test: (scene: Scene) => Promise<void>, skip = false): void {
  it.skipIf(skip).concurrent(name, { timeout: LONG_MS }, async () => {
    const scene = await copyScene(prepared)
    await test(scene)
    expect(leftovers(scene)).toEqual([])
  })
}

const MAKE_SOCKET = `python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('socket')"`

/** What verify makes of a file that cannot be read. */
const UNCHECKED = 15

/** Commands that read a small file of each kind, or an image, from there. */
function readersOf(path: string): string[] {
  return [
    `volseal cert inspect ${path}`,
    `volseal sign image.raw --key ${path}`,
    `volseal sign ${path} --key key.pem --out .`,
    `volseal verify image.raw --cert ${path}`,
    `volseal verify image.raw --cert cert.pem --properties ${path}`,
    `volseal verify image.raw --trusted cert.pem --crl ${path}`,
    `volseal verify image.raw --policy ${path}`,
    `volseal keystore check --key-store-passphrase-file ${path}`,
    `volseal inspect ${path}`,
  ]
}

/** Runs a command line, and gives its exit code and JSON answer. */
async function answer(
  scene: Scene,
  line: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Record<string, unknown>> {
  const ended = await shell(scene, line, { env })
  return { code: ended.code, ...onlyJson(ended) }
}

/** What would have no effect beside the rest. */
const WITHOUT_EFFECT: readonly string[] = [
  'attach --connection-info c.json --key-id K --link /dev/mine',
  'attach /dev/vdb --provider plain --key-id K --first-use V',
  'attach /dev/vdb --key-id K --persistent',
  'attach --libvirt-secret V --key-id K --connection-info c.json',
  'attach --libvirt-secret V --key-id K --first-use V',
  'attach --libvirt-secret V --key-id K --discard',
  'attach --libvirt-secret V --key-id K --no-read-workqueue',
  'detach --connection-info c.json --link /dev/mine',
  'detach --libvirt-secret V --link /dev/mine',
]

describe('options without effect', () => {
  for (const line of WITHOUT_EFFECT) {
    inScene(`${line} is refused`, async (scene) => {
      expect(await answer(scene, `volseal ${line} --json`)).toMatchObject({
        code: 2,
        error: { code: 'usage' },
      })
    })
  }
})

const SIGN = 'volseal sign image.raw --key key.pem --cert cert.pem --json'
const VERIFY = 'volseal verify image.raw --cert cert.pem --json'
const WRITE = 'volseal write image.raw disk.raw --cert cert.pem --json'
const GIVEN = '--cert cert.pem --properties image.raw.signature.json --json'

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}

describe('images of odd sizes', () => {
  const sizes = [0, 1, 1024 * 1024 - 1, 1024 * 1024, 1024 * 1024 + 1, 2 * 1024 * 1024 + 1]
  for (const size of sizes) {
    inScene(`${size} bytes`, async (scene) => {
      const content = Buffer.alloc(size, 'odd')
      writeFileSync(join(scene.work, 'image.raw'), content)
      const expected = { code: 0, size, digest: sha256(content) }
      expect(await answer(scene, SIGN)).toMatchObject(expected)
      expect(await answer(scene, VERIFY)).toMatchObject(expected)
      expect(await answer(scene, WRITE)).toMatchObject({ code: 0, bytesWritten: size })
      expectContent(scene, 'disk.raw', content)
    })
  }

  inScene('an empty image leaves all of a target as it is', async (scene) => {
    writeFileSync(join(scene.work, 'image.raw'), '')
    writeFileSync(join(scene.work, 'disk.raw'), 'old content')
    await shell(scene, SIGN)
    expect(await answer(scene, WRITE)).toMatchObject({ code: 0, bytesWritten: 0 })
    expect(readFileSync(join(scene.work, 'disk.raw'), 'utf8')).toBe('old content')
  })
})

describe('images that are no files', () => {
  const ways = {
    'a process substitution': (command: string) => command.replace('IMAGE', '<(cat image.raw)'),
    'a FIFO': (command: string) =>
      `mkfifo fifo; cat image.raw >fifo & ${command.replace('IMAGE', 'fifo')}`,
    'a FIFO whose writer is late and slow': (command: string) =>
      `mkfifo fifo; { sleep 0.2; for n in 0 1 2; do dd if=image.raw bs=1000000 count=1 skip=$n
       status=none; sleep 0.05; done >fifo; } & ${command.replace('IMAGE', 'fifo')}`,
    'standard input from a pipe': (command: string) =>
      `cat image.raw | ${command.replace('IMAGE', '-')}`,
    'standard input from a file': (command: string) =>
      `${command.replace('IMAGE', '-')} <image.raw`,
    '/dev/stdin': (command: string) => `cat image.raw | ${command.replace('IMAGE', '/dev/stdin')}`,
  }
  for (const [name, through] of Object.entries(ways)) {
    inScene(name, async (scene) => {
      const digest = sha256(readFileSync(join(scene.work, 'image.raw')))
      const expected = { code: 0, size: 3_000_000, digest }
      const sign = through('volseal sign IMAGE --key key.pem --cert cert.pem --out . --json')
      expect(await answer(scene, sign)).toMatchObject(expected)
      rmSync(join(scene.work, 'fifo'), { force: true })
      const verify = through(`volseal verify IMAGE ${GIVEN}`)
      expect(await answer(scene, verify)).toMatchObject({ ...expected, verdict: 'accepted' })
      rmSync(join(scene.work, 'fifo'), { force: true })
      const write = through(`volseal write IMAGE disk.raw ${GIVEN}`)
      expect(await answer(scene, write)).toMatchObject({ code: 0, bytesWritten: 3_000_000, digest })
      expect(sha256(readFileSync(join(scene.work, 'disk.raw')))).toBe(digest)
    })
  }

  inScene('a FIFO with other bytes is refused, and the target stays', async (scene) => {
    writeFileSync(join(scene.work, 'disk.raw'), Buffer.alloc(4_000_000, 'old'))
    const line = `volseal write <(tr b B <image.raw) disk.raw ${GIVEN}`
    expect(await answer(scene, line)).toMatchObject({ code: 10 })
    expectContent(scene, 'disk.raw', Buffer.alloc(4_000_000, 'old'))
  })

  inScene('what inspect cannot read by position is a usage error', async (scene) => {
    expect(await answer(scene, 'volseal inspect <(cat image.raw) --json')).toMatchObject({
      code: 2,
    })
    expect(await answer(scene, 'volseal inspect - --json <image.raw')).toMatchObject({ code: 2 })
  })

  const kinds: [kind: string, path: string, code: number, message: string][] = [
    ['a terminal', '/dev/tty', 2, '/dev/tty: expected a file, got a terminal'],
    ['a device', '/dev/null', 2, '/dev/null: expected a file, got a character device'],
    ['a directory', '.', 2, '.: expected a file, got a directory'],
    ['a socket', 'socket', 31, 'it is a socket'],
  ]
  for (const [kind, path, code, message] of kinds) {
    inScene(`${kind} is no file`, async (scene) => {
      await shell(scene, MAKE_SOCKET)
      for (const command of readersOf(path)) {
        // On a terminal of its own, so that there is a /dev/tty.
        const line = `script -qec "${command} --json >answer" /dev/null >/dev/null
          code=$?; cat answer; exit $code`
        const found = await answer(scene, line)
        const error = { message: expect.stringContaining(message) }
        expect({ command, ...found }).toMatchObject({ command, error })
        expect([code, UNCHECKED]).toContain(found['code'])
      }
    })
  }

  inScene('a key of 2 MiB is none', async (scene) => {
    await shell(scene, 'truncate -s 2M large.pem')
    const message = expect.stringContaining('expected at most 1048576 bytes, got 2097152')
    const line = 'volseal sign image.raw --key large.pem --json'
    expect(await answer(scene, line)).toMatchObject({ code: 2, error: { message } })
  })

  inScene('what is none of what was asked for is named', async (scene) => {
    const policy = 'version: 1\nrules: [{certificates: [{file: wrong.txt}]}]\n'
    await shell(scene, `echo wrong >wrong.txt; printf '${policy}' >policy.yaml`)
    const make = 'volseal cert create --out made --ca-key key.pem'
    const commands = [
      'volseal cert inspect wrong.txt',
      'volseal cert check wrong.txt --trusted cert.pem',
      'volseal cert check cert.pem --trusted wrong.txt',
      'volseal cert check cert.pem --trusted cert.pem --untrusted wrong.txt',
      'volseal cert check cert.pem --trusted cert.pem --crl wrong.txt',
      `${make} --ca-cert cert.pem --request wrong.txt`,
      `${make} --ca-cert wrong.txt --key key.pem --subject CN=a`,
      'volseal sign image.raw --key wrong.txt',
      'volseal sign image.raw --key key.pem --cert wrong.txt',
      'volseal sign image.raw --signer true --public-key wrong.txt',
      'volseal verify image.raw --cert wrong.txt',
      'volseal verify image.raw --cert wrong.txt --profile cursive',
      'volseal verify image.raw --policy policy.yaml',
      'volseal policy check policy.yaml',
      'volseal write image.raw made --cert wrong.txt',
      'volseal secret put wrong.txt --type certificate',
    ]
    for (const command of commands) {
      const { stdout } = await shell(scene, `${command} --json`)
      expect({ command, stdout }).toMatchObject({ stdout: expect.stringContaining('wrong.txt: ') })
    }
  })

  inScene('a directory as standard input is no empty image', async (scene) => {
    const sign = 'volseal sign - --key key.pem --cert cert.pem --out . --json <.'
    expect(await answer(scene, sign)).toMatchObject({ ok: false, code: 2 })
    expect(await answer(scene, `volseal verify - ${GIVEN} <.`)).toMatchObject({ code: 2 })
  })
})

/** By Buffer.equals: vitest compares megabytes byte by byte. */
function expectContent({ work }: Scene, name: string, content: Buffer): void {
  expect(readFileSync(join(work, name)).equals(content)).toBe(true)
}

const isRoot = process.getuid?.() === 0
/** Root without what lets it pass permissions by; another user may not be let into our checkout. */
const AS_ORDINARY = isRoot ? 'setpriv --bounding-set=-dac_override,-dac_read_search' : ''

describe('files that may not be read or written', () => {
  inScene(
    'an unreadable image is unchecked when verified, forbidden when signed',
    async (scene) => {
      chmodSync(join(scene.work, 'image.raw'), 0)
      const forbidden = { code: 'unchecked', cause: { code: 'forbidden' } }
      expect(await answer(scene, `${AS_ORDINARY} ${VERIFY}`)).toMatchObject({
        code: 15,
        error: forbidden,
      })
      // That the target cannot be made is found out before the image is looked at.
      chmodSync(scene.work, 0o555)
      expect(await answer(scene, `${AS_ORDINARY} ${WRITE}`)).toMatchObject({ code: 30 })
      chmodSync(scene.work, 0o755)
      expect(await answer(scene, `${AS_ORDINARY} ${WRITE}`)).toMatchObject({
        code: 15,
        error: forbidden,
      })
      expect(await answer(scene, `${AS_ORDINARY} ${SIGN}`)).toMatchObject({ code: 30 })
      const inspect = `${AS_ORDINARY} volseal inspect image.raw --json`
      expect(await answer(scene, inspect)).toMatchObject({ code: 30 })
    },
  )

  inScene('an unreadable key is forbidden', async (scene) => {
    chmodSync(join(scene.work, 'key.pem'), 0)
    expect(await answer(scene, `${AS_ORDINARY} ${SIGN}`)).toMatchObject({ code: 30 })
  })

  inScene('a directory that may not be written keeps the old signature', async (scene) => {
    const old = readFileSync(join(scene.work, 'image.raw.signature'))
    chmodSync(scene.work, 0o555)
    expect(await answer(scene, `${AS_ORDINARY} ${SIGN}`)).toMatchObject({ code: 30 })
    expectContent(scene, 'image.raw.signature', old)
    chmodSync(scene.work, 0o755)
  })

  inScene('a target that may not be written is forbidden, and stays', async (scene) => {
    writeFileSync(join(scene.work, 'disk.raw'), Buffer.alloc(4_000_000, 'old'), { mode: 0o444 })
    expect(await answer(scene, `${AS_ORDINARY} ${WRITE}`)).toMatchObject({ code: 30 })
    expectContent(scene, 'disk.raw', Buffer.alloc(4_000_000, 'old'))
  })
})

const PROBE = `file=$(mktemp); truncate -s 1M "$file"
  losetup -d "$(losetup --find --show "$file")"; code=$?; rm "$file"; exit $code`
const canLoop = spawnSync('sh', ['-c', PROBE]).status === 0

describe('the properties file that lies beside an image', () => {
  const policy =
    'version: 1\nrules: [{ projects: [sandbox], signature: if-signed }, { signature: required }]'

  inScene('says nothing of the project, by which a policy chooses its rule', async (scene) => {
    const beside = JSON.stringify({ owner: 'sandbox', name: 'x', created_at: '2026-01-01' })
    await shell(scene, `echo '${policy}' >policy.yaml; echo '${beside}' >image.raw.signature.json`)
    const verify = 'volseal verify image.raw --policy policy.yaml --json'
    expect(await answer(scene, verify)).toMatchObject({ code: 2, error: { code: 'usage' } })
    const named = await answer(scene, `${verify} --project sandbox`)
    expect(named).toMatchObject({ code: 0, verdict: 'not-required' })
  })
})

describe('a file to make', () => {
  const others = {
    'a device': 'mknod made c 1 3 2>/dev/null || ln -s /dev/null made',
    'a link to a device': 'ln -s /dev/null made',
    'a directory': 'mkdir made',
    'a FIFO': 'mkfifo made',
  }
  for (const [kind, make] of Object.entries(others)) {
    inScene(`takes the place of a file, not of ${kind}`, async (scene) => {
      await shell(scene, make)
      const before = await shell(scene, 'ls -ld made')
      for (const more of ['', '--force']) {
        const line = `volseal cert create --key key.pem --subject CN=a --out made ${more} --json`
        const message = expect.stringContaining('made: expected the name of a file to make, got')
        expect(await answer(scene, line)).toMatchObject({ code: 2, error: { message } })
      }
      expect(await shell(scene, 'ls -ld made')).toEqual(before)
    })
  }
})

describe('targets', () => {
  const names = {
    'the image itself': 'image.raw',
    'a symbolic link to the image': 'symbolic',
    'a hard link to the image': 'hard',
    'another way to write its path': '../here/./image.raw',
  }
  for (const [name, target] of Object.entries(names)) {
    inScene(`${name} is refused`, async (scene) => {
      const before = readFileSync(join(scene.work, 'image.raw'))
      await shell(scene, 'ln -s image.raw symbolic; ln image.raw hard')
      const line = `volseal write image.raw ${target} --cert cert.pem --json`
      expect(await answer(scene, line)).toMatchObject({ code: 2 })
      expectContent(scene, 'image.raw', before)
    })
  }

  inScene('a link to another file is followed', async (scene) => {
    writeFileSync(join(scene.work, 'behind.raw'), Buffer.alloc(4_000_000, 'old'))
    await shell(scene, 'ln -s behind.raw disk.raw')
    expect(await answer(scene, WRITE)).toMatchObject({ code: 0 })
    expect(await shell(scene, 'cmp -n 3000000 image.raw behind.raw')).toMatchObject({ code: 0 })
    expect(statSync(join(scene.work, 'behind.raw')).size).toBe(4_000_000)
  })

  inScene('one that is too small stays, and says by how much', async (scene) => {
    writeFileSync(join(scene.work, 'disk.raw'), Buffer.alloc(2_999_999, 'old'))
    const { code, error } = await answer(scene, WRITE)
    expect({ code, error }).toMatchObject({
      code: 25,
      error: { hint: expect.stringMatching(/at least 1 byte/) },
    })
    expectContent(scene, 'disk.raw', Buffer.alloc(2_999_999, 'old'))
    const fromPipe = `cat image.raw | volseal write - disk.raw ${GIVEN}`
    expect(await answer(scene, fromPipe)).toMatchObject({ code: 25 })
    expectContent(scene, 'disk.raw', Buffer.alloc(2_999_999, 'old'))
  })

  const busy = 'a file behind a loop device is busy (needs loop devices)'
  inScene(
    busy,
    async (scene) => {
      writeFileSync(join(scene.work, 'disk.raw'), Buffer.alloc(4_000_000, 'old'))
      const line = `loop=$(losetup --find --show disk.raw); ${WRITE}; code=$?
      losetup -d "$loop"; exit $code`
      expect(await answer(scene, line)).toMatchObject({ code: 22 })
      expectContent(scene, 'disk.raw', Buffer.alloc(4_000_000, 'old'))
    },
    !canLoop,
  )
})

/** A small disk of its own, which is gone with the process that sees it. */
const SMALL_DISK = 'mkdir -p full && mount -t tmpfs -o size=1m tmpfs full'
const canMount = spawnSync('unshare', ['-rm', 'sh', '-c', 'mount -t tmpfs tmpfs /mnt']).status === 0

/** Runs commands where `full` is such a disk; what they print behind `left:` is what lies on it. */
async function onFullDisk(scene: Scene, line: string): Promise<Record<string, unknown>> {
  const script = `${SMALL_DISK}; ${line}; echo "code $?" >&2; ls -A full >&2`
  const { stdout, stderr } = await shell(scene, `unshare -rm bash -c '${script}'`)
  const [code = '', ...left] = stderr.slice(stderr.indexOf('code ')).trimEnd().split('\n')
  return { ...onlyJson({ stdout }), code: Number(code.slice(5)), left }
}

describe('full disks (need the right to mount in a namespace)', () => {
  const onDisk = (name: string, test: (scene: Scene) => Promise<void>): void => {
    inScene(name, test, !canMount)
  }
  const full = { code: 50, error: { code: 'io', message: expect.stringMatching(/no space left/) } }

  onDisk('a new file is not left half written', async (scene) => {
    const line = 'volseal write image.raw full/disk.raw --cert cert.pem --json'
    expect(await onFullDisk(scene, line)).toMatchObject({ ...full, left: [] })
  })

  onDisk('a target that was there is named as partly written', async (scene) => {
    const line = `truncate -s 4M full/disk.raw
      volseal write image.raw full/disk.raw --cert cert.pem --json`
    const error = {
      message: expect.stringMatching(/no space left.*full\/disk\.raw is partly written/),
      hint: expect.stringMatching(/again/),
    }
    expect(await onFullDisk(scene, line)).toMatchObject({ code: 50, error, left: ['disk.raw'] })
  })

  onDisk('signature files are there all or none', async (scene) => {
    const line = `head -c 1048576 /dev/zero >full/filler
      volseal sign image.raw --key key.pem --cert cert.pem --out full --json`
    expect(await onFullDisk(scene, line)).toMatchObject({ ...full, left: ['filler'] })
  })

  onDisk('the copy of standard input says what to do', async (scene) => {
    const line = `truncate -s 8M disk.raw
      cat image.raw | TMPDIR=$PWD/full volseal write - disk.raw ${GIVEN}`
    const cause = { code: 'io', message: expect.stringContaining('no space left') }
    const error = { code: 'unchecked', hint: expect.stringContaining('TMPDIR'), cause }
    expect(await onFullDisk(scene, line)).toMatchObject({ code: 15, left: [], error })
  })

  onDisk(
    'a new file takes standard input itself, without TMPDIR, and is not there in part',
    async (scene) => {
      const line = `cat image.raw | TMPDIR=/nowhere volseal write - full/disk.raw ${GIVEN}`
      const cause = { code: 'io', message: expect.stringContaining('no space left') }
      const error = {
        code: 'unchecked',
        hint: expect.stringContaining('room for the image'),
        cause,
      }
      expect(await onFullDisk(scene, line)).toMatchObject({ code: 15, left: [], error })
    },
  )

  onDisk('a key is not half written', async (scene) => {
    const line = `head -c 1048576 /dev/zero >full/filler
      volseal keypair create --type ECC_SECP384R1 --out full/new.pem --json`
    expect(await onFullDisk(scene, line)).toMatchObject({ ...full, left: ['filler'] })
  })
})
