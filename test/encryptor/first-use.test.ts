import { spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, readFileSync, symlinkSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { formatAndJudge } from '../../src/encryptor/attach/attach-volume.js'
import { lookAtDevice } from '../../src/encryptor/device.js'
import { judgeDevice } from '../../src/encryptor/header/judge-header.js'
import { attachRequestOf } from '../../src/face/attach.js'
import { inspectVolume, Secret, VolsealError } from '../../src/index.js'
import { runProgram } from '../harness/program.js'
import { run, scratchDirectory } from '../harness/run.js'
import {
  blankFile,
  cryptsetupFormat,
  freshKeyManager,
  opensWith,
  poke,
  sha256,
} from '../harness/volumes.js'
import {
  contentOf,
  fillWithNoise,
  firstUse,
  MIB,
  outcome,
  PASSPHRASE,
  PLAN,
  watchWrites,
} from './formatting.js'

const directory = scratchDirectory()
let files = 0

function blank(size = 40 * MIB): string {
  files += 1
  return blankFile(directory, `volume-${files}`, size)
}

function exitCodeOf(file: string, args: readonly string[]): number | null {
  return spawnSync(file, args).status
}

/** Refused with that code by either evidence, and the same afterwards, byte for byte. */
async function expectRefused(path: string, code: string): Promise<void> {
  const before = sha256(path)
  expect(await outcome(firstUse(path, { evidence: 'blank' }))).toBe(code)
  expect(await outcome(firstUse(path, { evidence: 'blank', scan: 'full' }))).toBe(code)
  expect(await outcome(firstUse(path, { evidence: 'vouched' }))).toBe(code)
  expect(sha256(path)).toBe(before)
}

/** For a process of its own: formats a volume that is vouched for. */
function formattingScript(path: string): string {
  const from = (name: string): string => new URL(`../../dist/${name}`, import.meta.url).href
  return `
    import { Secret } from '${from('index.js')}'
    import { formatForFirstUse, lookAtDevice } from '${from('encryptor/index.js')}'
    await formatForFirstUse({
      device: await lookAtDevice('${path}'),
      plan: ${JSON.stringify(PLAN)},
      passphrase: new Secret(Buffer.from('${PASSPHRASE}')),
      firstUse: { volumeId: 'vol-1', evidence: 'vouched' },
      keyId: 'key-1',
      encoding: 'hex',
    }).then(() => console.log('formatted'), (error) => console.log(error.code, error.message))`
}

describe('a volume in its first use', () => {
  it('is formatted when it is blank, and says itself what it is', async () => {
    const path = blank()
    const report = await firstUse(path, {})
    expect(report).toMatchObject({ label: 'vol-1', tokens: [{ number: 0, type: 'volseal' }] })
    expect(opensWith(path, PASSPHRASE)).toBe(true)
    const token = JSON.parse(
      run('cryptsetup', ['token', 'export', '--token-id', '0', path]).toString(),
    )
    expect(token).toEqual({
      type: 'volseal',
      keyslots: ['0'],
      key_id: 'key-1',
      volume_id: 'vol-1',
      encoding: 'hex',
      phase: 'ready',
    })
  })

  it('has no label when its id does not fit, and as LUKS1 neither label nor token', async () => {
    const volumeId = 'x'.repeat(48)
    expect(await firstUse(blank(), { volumeId })).toMatchObject({ label: null, tokens: [{}] })
    expect(await firstUse(blank(), { volumeId: volumeId.slice(1) })).toMatchObject({
      label: volumeId.slice(1),
    })
    const luks1 = await firstUse(blank(), {}, { plan: { ...PLAN, provider: 'luks' } })
    expect(luks1).toMatchObject({ version: 1, label: null, tokens: [] })
  })

  it('is formatted over unknown bytes when they are vouched for, and only then', async () => {
    const path = blank()
    fillWithNoise(path, 40 * MIB)
    expect(await outcome(firstUse(path, {}))).toBe('not-blank')
    expect(await outcome(firstUse(path, { evidence: 'vouched', scan: 'full' }))).toBe('usage')
    const behind = readFileSync(path).subarray(16 * MIB)
    await firstUse(path, { evidence: 'vouched' })
    expect(opensWith(path, PASSPHRASE)).toBe(true)
    expect(
      readFileSync(path)
        .subarray(16 * MIB)
        .equals(behind),
    ).toBe(true)
  })

  it('needs an id that can be one', async () => {
    for (const volumeId of ['', 'a b', 'ä', 'a\n', 'x'.repeat(129)]) {
      expect(await outcome(firstUse(blank(), { volumeId }))).toBe('usage')
    }
    expect(await outcome(firstUse(blank(), { volumeId: `-${'~'.repeat(127)}` }))).toBe('formatted')
    expect(await firstUse(blank(), { volumeId: '--type' })).toMatchObject({ label: '--type' })
  })

  it('is refused while a program has it open, under another name, too', async () => {
    const path = blank()
    symlinkSync(path, join(directory, 'link'))
    const qemu = spawn('qemu-io', ['-f', 'raw', path], { stdio: ['pipe', 'pipe', 'ignore'] })
    try {
      await once(qemu.stdout, 'data')
      expect(await outcome(firstUse(join(directory, 'link'), {}))).toBe('busy')
    } finally {
      qemu.stdin.end('quit\n')
      await once(qemu, 'exit')
    }
    expect(await outcome(firstUse(join(directory, 'link'), {}))).toBe('formatted')
  })

  it('can be larger than a temporary file can be', async () => {
    const path = blank(1024 * MIB)
    const limited = 'ulimit -f 131072 && exec node --input-type=module -e "$0"'
    const { stdout } = await runProgram('sh', ['-c', limited, formattingScript(path)])
    expect(stdout).toBe('formatted\n')
    expect(opensWith(path, PASSPHRASE)).toBe(true)
    const huge = blank(15 * 1024 * 1024 * MIB)
    expect(await firstUse(huge, {})).toMatchObject({ payloadOffset: 16 * MIB })
    expect(opensWith(huge, PASSPHRASE)).toBe(true)
  })
})

describe('a scan', () => {
  /** Between two samples. */
  const HIDDEN = 100 * MIB + 333_333

  it('of the whole device finds what a sample cannot', async () => {
    const path = blank(1024 * MIB)
    poke(path, HIDDEN, Buffer.of(1))
    const steps: number[] = []
    const onProgress = (bytes: number, total: number): void => {
      expect(total).toBe(1024 * MIB)
      steps.push(bytes)
    }
    const full = firstUse(path, { scan: 'full' }, { onProgress })
    await expect(full).rejects.toMatchObject({
      code: 'not-blank',
      message: expect.stringContaining(`the first at byte ${HIDDEN}`),
    })
    expect(steps.length).toBeGreaterThan(50)
    expect(steps).toEqual(steps.toSorted((a, b) => a - b))
    expect(await outcome(firstUse(path, { scan: 'sample' }))).toBe('formatted')
  })

  it('tells how far it has come to whoever attaches the volume', async () => {
    const path = blank(100 * MIB)
    const steps: [bytes: number, total: number][] = []
    const request = attachRequestOf({
      device: path,
      keyManager: await freshKeyManager(directory),
      firstUse: { volumeId: 'vol-1', evidence: 'blank', scan: 'full' },
      onScanProgress: (bytes, total) => steps.push([bytes, total]),
    })
    const passphrase = new Secret(Buffer.from(PASSPHRASE))
    const plan = async (): Promise<typeof PLAN> => await Promise.resolve(PLAN)
    const access = { passphrase, keyId: 'key-1', encoding: 'hex', plan } as const
    await formatAndJudge(request, await lookAtDevice(path), access)
    expect(steps.length).toBeGreaterThan(80)
    expect(steps.at(-1)).toEqual([100 * MIB, 100 * MIB])
  })

  it('of a blank device comes to its end, unless it is interrupted', async () => {
    const path = blank(600 * MIB)
    const controller = new AbortController()
    const onProgress = (bytes: number): void => {
      if (bytes > 300 * MIB) controller.abort(new VolsealError('interrupted', 'interrupted'))
    }
    const { signal } = controller
    expect(await outcome(firstUse(path, { scan: 'full' }, { signal, onProgress }))).toBe(
      'interrupted',
    )
    expect(await contentOf(path)).toEqual({ kind: 'blank' })
    let seen = 0
    const count = (bytes: number): void => {
      seen = bytes
    }
    expect(await outcome(firstUse(path, { scan: 'full' }, { onProgress: count }))).toBe('formatted')
    expect(seen).toBe(600 * MIB)
  })
})

describe('H1: a LUKS1 volume whose first sector is destroyed', () => {
  it('is not formatted over', async () => {
    const path = blank()
    cryptsetupFormat(path, 'luks1', 'x')
    poke(path, 0, Buffer.alloc(512))
    expect(exitCodeOf('cryptsetup', ['isLuks', path])).toBe(1)
    await expectRefused(path, 'not-blank')
    poke(path, 0, randomBytes(500))
    await expectRefused(path, 'not-blank')
  })
})

describe('H2: a LUKS2 volume', () => {
  it('with its first header destroyed is a damaged one', async () => {
    const path = blank()
    cryptsetupFormat(path, 'luks2', 'x')
    poke(path, 0, randomBytes(4096))
    await expectRefused(path, 'header-damaged')
  })

  it('with the first sectors of both headers destroyed is not formatted over', async () => {
    const path = blank()
    cryptsetupFormat(path, 'luks2', 'x')
    poke(path, 0, Buffer.alloc(4096))
    poke(path, 16 * 1024, Buffer.alloc(4096))
    expect(exitCodeOf('cryptsetup', ['isLuks', path])).toBe(1)
    await expectRefused(path, 'not-blank')
  })

  it('with both headers destroyed is still data', async () => {
    const path = blank()
    cryptsetupFormat(path, 'luks2', 'x')
    poke(path, 0, Buffer.alloc(32 * 1024))
    const before = sha256(path)
    await expect(firstUse(path, {})).rejects.toMatchObject({
      code: 'not-blank',
      message: expect.stringContaining('the first at byte 32768'),
    })
    expect(sha256(path)).toBe(before)
  })
})

describe('H5: a volume of which cryptsetup says that it is no LUKS', () => {
  const REASONS: readonly (readonly [string, (path: string) => void, string])[] = [
    ['has a header that is cut off', (path) => truncateSync(path, 4096), 'not-blank'],
    [
      'has checksums that do not fit',
      (path) => {
        for (const offset of [100, 16 * 1024 + 100]) poke(path, offset, randomBytes(64))
      },
      'not-blank',
    ],
    [
      'is of a newer version',
      (path) => {
        poke(path, 7, Buffer.of(3))
        poke(path, 16 * 1024 + 7, Buffer.of(3))
      },
      'header-damaged',
    ],
  ]

  it.each(REASONS)('%s', async (_, damage, code) => {
    const path = blank()
    cryptsetupFormat(path, 'luks2', 'x')
    damage(path)
    expect(exitCodeOf('cryptsetup', ['isLuks', '--type', 'luks2', path])).not.toBe(0)
    await expectRefused(path, code)
  })
})

describe('what is vouched for', () => {
  it('is not formatted over when it is known', async () => {
    const path = blank()
    fillWithNoise(path, 40 * MIB)
    poke(path, 40 * MIB - 512, Buffer.from('EFI PART'))
    await expect(firstUse(path, { evidence: 'vouched' })).rejects.toMatchObject({
      code: 'not-blank',
      message: expect.stringContaining(`it holds GPT data, known at byte ${40 * MIB - 512}`),
    })
    await expectRefused(path, 'not-blank')
  })

  it('is not formatted over when only blkid knows it', async () => {
    const path = blank()
    run('mkfs.minix', [path])
    await expect(firstUse(path, { evidence: 'vouched' })).rejects.toMatchObject({
      code: 'not-blank',
      message: expect.stringContaining('it holds minix data'),
    })
  })

  it('is refused where there is no blkid', async () => {
    const path = blank()
    fillWithNoise(path, 40 * MIB)
    mkdirSync(join(directory, 'bin'))
    mkdirSync(join(directory, 'empty'))
    run('sh', ['-c', 'cp "$(command -v cryptsetup)" "$0"', join(directory, 'bin')])
    const hide =
      'mount --bind "$0/empty" /usr/sbin && PATH="$0/bin:$PATH" exec node --input-type=module -e "$1"'
    const args = [
      '--user',
      '--map-root-user',
      '--mount',
      'sh',
      '-c',
      hide,
      directory,
      formattingScript(path),
    ]
    const { stdout, stderr } = await runProgram('unshare', args)
    expect(stderr).toBe('')
    expect(stdout).toBe('unavailable the program blkid is not installed\n')
    expect(await outcome(firstUse(path, { evidence: 'vouched' }))).toBe('formatted')
  })
})

describe('a marker', () => {
  /** A formatting that was cut off behind its marker. */
  async function begun(path: string, volumeId = 'vol-1'): Promise<void> {
    const controller = new AbortController()
    fillWithNoise(path, MIB)
    const watch = await watchWrites(path, (step) => {
      if (step === 2) controller.abort(new VolsealError('interrupted', 'interrupted'))
    })
    const { signal } = controller
    expect(await outcome(firstUse(path, { evidence: 'vouched', volumeId }, { signal }))).toBe(
      'interrupted',
    )
    watch.end()
    expect(await contentOf(path)).toMatchObject({ kind: 'begun', volumeId })
  }

  /** The last write is the first sector's: the state before it. */
  async function cutOffBeforeTheEnd(path: string): Promise<unknown> {
    const watch = await watchWrites(path)
    await firstUse(path, {})
    watch.end()
    const [mark] = watch.events
    if (mark?.kind === 'write') poke(path, 0, mark.bytes)
    return await contentOf(path)
  }

  it('is shown by inspect, and nothing takes it for anything else', async () => {
    const path = blank()
    await begun(path)
    await expect(inspectVolume(path)).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringContaining('the beginning of the LUKS volume vol-1'),
    })
    expect(exitCodeOf('blkid', ['--probe', path])).toBe(2)
  })

  it('lets the same volume go on, with either evidence, and no other', async () => {
    for (const evidence of ['blank', 'vouched'] as const) {
      const path = blank()
      await begun(path)
      const before = sha256(path)
      await expect(firstUse(path, { evidence, volumeId: 'vol-2' })).rejects.toMatchObject({
        code: 'not-blank',
        message: expect.stringContaining('begun for the volume vol-1, not for vol-2'),
      })
      expect(sha256(path)).toBe(before)
      expect(await firstUse(path, { evidence })).toMatchObject({ label: 'vol-1' })
    }
  })

  it('with all of the header behind it is a volume as soon as cryptsetup opens it', async () => {
    const path = blank()
    const marked = await cutOffBeforeTheEnd(path)
    expect(marked).toMatchObject({ kind: 'begun', volumeId: 'vol-1' })
    expect(opensWith(path, PASSPHRASE)).toBe(true)
    expect(await contentOf(path)).toEqual({ kind: 'luks', version: 2 })
  })

  it('with all of the header behind it is no damaged volume to whoever would open it', async () => {
    const path = blank()
    await cutOffBeforeTheEnd(path)
    await expect(judgeDevice(await lookAtDevice(path))).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringContaining('begun for the volume vol-1'),
    })
  })

  it('of a longer header leaves nothing of it', async () => {
    const path = blank()
    await begun(path)
    poke(path, 512, randomBytes(16 * MIB - 512))
    await firstUse(path, {}, { plan: { ...PLAN, provider: 'luks' } })
    const behind = readFileSync(path).subarray(2 * MIB)
    expect(behind.equals(Buffer.alloc(behind.length))).toBe(true)
  })

  it('does not give away what somebody else has put behind it', async () => {
    const path = blank()
    await begun(path)
    poke(path, 4096, Buffer.from('fc4e2ba901', 'hex'))
    await expectRefused(path, 'not-blank')
    await expect(firstUse(path, {})).rejects.toMatchObject({
      message: expect.stringContaining('linux raid data behind the mark'),
    })
  })

  it('that came back after the volume was used costs nothing of what was written since', async () => {
    for (const at of [17 * MIB, 30 * MIB]) {
      const path = blank()
      await begun(path)
      poke(path, at, randomBytes(4096))
      const before = sha256(path)
      await expect(firstUse(path, {})).rejects.toMatchObject({
        code: 'not-blank',
        message: expect.stringContaining('there is data behind the header'),
      })
      expect(sha256(path)).toBe(before)
      // Unknown bytes are what vouching is about.
      expect(await firstUse(path, { evidence: 'vouched' })).toMatchObject({ label: 'vol-1' })
    }
  })

  it('that is damaged is none', async () => {
    const path = blank()
    await begun(path)
    poke(path, 60, Buffer.of(1))
    await expectRefused(path, 'not-blank')
  })
})
