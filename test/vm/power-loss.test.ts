import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Disk, type DiskEvent, type Unflushed } from '../../scripts/virtual-machine/disk.js'
import {
  type Content,
  examineContent,
  lookAtDevice,
  openExclusively,
} from '../../src/encryptor/index.js'
import {
  answered,
  bootMachine,
  type GuestScene,
  type Machine,
  sceneIn,
} from '../harness/machine.js'
import { run, scratchDirectory } from '../harness/run.js'
import { opensWith } from '../harness/volumes.js'

const directory = scratchDirectory()
const SIZE = 40 * 1024 * 1024
/** The cache is lost as a whole, or sector by sector. */
const LOSSES: readonly Unflushed[] = ['lost', 1, 2]

let machine: Machine
let scene: GuestScene
beforeAll(async () => {
  machine = await bootMachine({ disks: [String(SIZE), String(SIZE), String(SIZE)] })
  scene = await sceneIn(machine)
})
afterAll(async () => {
  await machine[Symbol.asyncDispose]()
})

const formatting = (device: string, provider: string, volumeId?: string): string =>
  [
    `volseal luks format ${device} --provider ${provider} --key-id "$KEY_ID" --json`,
    ...(volumeId === undefined ? [] : [`--volume-id ${volumeId}`]),
  ].join(' ')

async function contentOf(path: string): Promise<Content> {
  const device = await lookAtDevice(path)
  const file = await openExclusively(device)
  try {
    return await examineContent(file, device)
  } finally {
    await file.close()
  }
}

/** What volseal finds on a disk whose power went after the first `count` events. */
async function contentAfter(
  events: readonly DiskEvent[],
  unflushed: Unflushed,
): Promise<{ kind: string; opens: boolean }> {
  const path = join(directory, 'disk')
  const disk = new Disk(path, SIZE)
  disk.replay(events)
  disk.loseCache(unflushed)
  disk.close()
  const { kind } = await contentOf(path)
  const opens = kind === 'luks' && opensWith(path, scene.keyHex)
  rmSync(path)
  return { kind, opens }
}

const FORMATTED = [
  { provider: 'luks', volumeId: undefined, disk: 0, device: '/dev/vdb', between: [] },
  { provider: 'luks2', volumeId: 'vol-1', disk: 1, device: '/dev/vdc', between: ['begun'] },
] as const

describe.each(FORMATTED)('the power goes while $provider is formatted', (formatted) => {
  it('leaves, at every write, a volume that the key opens or none at all', async () => {
    const { provider, volumeId, disk, device, between } = formatted
    const events = machine.disk(disk).record()
    const answer = answered(await scene.shell(formatting(device, provider, volumeId)))
    expect(answer).toMatchObject({ exit: 0, label: volumeId ?? null })
    const kinds = new Set<string>()
    for (let count = 0; count <= events.length; count += 1) {
      for (const unflushed of LOSSES) {
        const { kind, opens } = await contentAfter(events.slice(0, count), unflushed)
        kinds.add(kind)
        // With a marker there is nothing that the same volume could not go on from.
        if (volumeId !== undefined) expect(['blank', 'begun', 'luks']).toContain(kind)
        expect({ count, unflushed, kind, opens: kind === 'luks' ? opens : true }).toMatchObject({
          opens: true,
        })
      }
    }
    // The loop has seen the beginning, the middle and the end.
    expect([...kinds]).toEqual(expect.arrayContaining(['blank', ...between, 'luks']))
    expect(await contentAfter(events, 'lost')).toEqual({ kind: 'luks', opens: true })
  })
})

/** A header and holes are quickly copied, and that hundreds of times. */
function sparseCopy(from: string, to: string): void {
  run('cp', ['--sparse=always', from, to])
}

/** How a volume is made, and what changes its keys: the key opens it before and after. */
const DEAR = '--pbkdf pbkdf2 --pbkdf-force-iterations 20000'
const CHANGED = [
  { name: 'tuned', provider: 'luks', cost: DEAR, change: 'luks tune' },
  { name: 'tuned', provider: 'luks2', cost: DEAR, change: 'luks tune' },
  { name: 'rekeyed', provider: 'luks', cost: '', change: 'luks rekey' },
  { name: 'rekeyed', provider: 'luks2', cost: '', change: 'luks rekey' },
] as const

describe.each(CHANGED)('the power goes while $provider is $name', ({ provider, cost, change }) => {
  it('a key opens the volume, at every write', async () => {
    const device = '/dev/vdb'
    const newId = (await scene.shell('volseal secret create')).stdout.trim()
    const newHex = (
      await scene.shell(`volseal secret get ${newId} | od -An -vtx1 | tr -d ' \\n'`)
    ).stdout.trim()
    const key = 'printf %s "$KEY_HEX" >/tmp/passphrase'
    const type = provider === 'luks' ? 'luks1' : 'luks2'
    const format = `cryptsetup luksFormat -q --type ${type} ${cost} --key-file /tmp/passphrase`
    const fast = cost === '' ? '--pbkdf pbkdf2 --pbkdf-force-iterations 1000' : ''
    const made = await scene.shell(`${key}; ${format} ${fast} ${device} && sync ${device}`)
    expect(made).toMatchObject({ exitCode: 0 })
    const base = join(directory, 'base')
    sparseCopy(machine.disk(0).path, base)
    const events = machine.disk(0).record()
    const ids = change === 'luks rekey' ? `--new-key-id ${newId}` : ''
    const command = `volseal ${change} ${device} --key-id "$KEY_ID" ${ids} --no-backup --json`
    expect(answered(await scene.shell(command))).toMatchObject({ exit: 0 })
    expect(events.length).toBeGreaterThan(3)
    const path = join(directory, 'disk')
    for (let count = 0; count <= events.length; count += 1) {
      for (const unflushed of LOSSES) {
        sparseCopy(base, path)
        const disk = new Disk(path)
        disk.replay(events.slice(0, count))
        disk.loseCache(unflushed)
        disk.close()
        const opens = opensWith(path, scene.keyHex) || opensWith(path, newHex)
        expect({ count, unflushed, opens }).toMatchObject({ opens: true })
      }
    }
  })
})

describe('the power goes, and the machine boots again', () => {
  const write =
    'volseal write image.raw /dev/vdd --cert cert.pem --encrypt luks2 --key-id "$KEY_ID"'

  async function cutAndBoot(script: string, nth: number): Promise<void> {
    const cut = machine.cutAtWrite(2, nth)
    await expect(scene.shell(script)).rejects.toThrow('was switched off')
    await cut
    await machine.boot()
    await scene.unpack()
  }

  it('a format that was cut off before it flushed has left nothing', async () => {
    await cutAndBoot(formatting('/dev/vdd', 'luks2'), 3)
    const found = answered(await scene.shell('volseal luks inspect /dev/vdd --json'))
    expect(found).toMatchObject({
      exit: 31,
      error: { message: expect.stringContaining('it is blank') },
    })
  })

  it('a format that can be neither written nor undone says so, and leaves its marker', async () => {
    const mend = machine.disk(2).fail({ offset: 8 << 20, length: 4096, on: 'write' })
    const failed = answered(await scene.shell(formatting('/dev/vdd', 'luks2', 'vol-2')))
    mend()
    expect(failed).toMatchObject({
      exit: 50,
      error: { code: 'io', hint: expect.stringContaining('left as begun for the volume vol-2') },
    })
    expect(await contentOf(machine.disk(2).path)).toMatchObject({ kind: 'begun' })
  })

  it('a format with a marker is gone on with by the same volume, and by no other', async () => {
    await cutAndBoot(formatting('/dev/vdd', 'luks2', 'vol-2'), 3)
    expect(answered(await scene.shell(formatting('/dev/vdd', 'luks2', 'vol-3')))).toMatchObject({
      exit: 21,
      error: { message: expect.stringContaining('begun for the volume vol-2') },
    })
    expect(answered(await scene.shell(formatting('/dev/vdd', 'luks2', 'vol-2')))).toMatchObject({
      exit: 0,
      label: 'vol-2',
    })
  })

  it('a write that was cut off leaves the volume, and a second one completes it', async () => {
    await cutAndBoot(write, 2)
    expect(answered(await scene.shell('volseal luks inspect /dev/vdd --json'))).toMatchObject({
      exit: 0,
      version: 2,
    })
    expect(answered(await scene.shell(`${write} --json`))).toMatchObject({
      exit: 0,
      encrypted: { formatted: false },
    })
    const open = 'printf %s "$KEY_HEX" | cryptsetup open --key-file=- /dev/vdd check'
    const { bytes } = await scene.shell(`${open}; head -c ${scene.image.length} /dev/mapper/check`)
    expect(bytes.equals(scene.image)).toBe(true)
  })
})
