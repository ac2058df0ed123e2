import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Disk, type DiskEvent, type Unflushed } from '../../scripts/virtual-machine/disk.js'
import { examineContent, lookAtDevice, openExclusively } from '../../src/encryptor/index.js'
import {
  answered,
  bootMachine,
  type GuestScene,
  type Machine,
  sceneIn,
} from '../harness/machine.js'
import { scratchDirectory } from '../harness/run.js'
import { opensWith } from '../harness/volumes.js'

const directory = scratchDirectory()
const SIZE = 40 * 1024 * 1024
const PROVIDERS = ['luks', 'luks2'] as const
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

const formatting = (device: string, provider: string): string =>
  `volseal luks format ${device} --provider ${provider} --key-id "$KEY_ID" --json`

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
  const device = await lookAtDevice(path)
  const file = await openExclusively(device)
  const { kind } = await examineContent(file, device)
  await file.close()
  const opens = opensWith(path, scene.keyHex)
  rmSync(path)
  return { kind, opens }
}

describe.each(PROVIDERS)('the power goes while %s is formatted', (provider) => {
  it('leaves, at every write, a volume that the key opens or none at all', async () => {
    const [disk, device] = provider === 'luks' ? [0, '/dev/vdb'] : [1, '/dev/vdc']
    const events = machine.disk(disk).record()
    expect(answered(await scene.shell(formatting(device, provider)))).toMatchObject({ exit: 0 })
    const kinds = new Set<string>()
    for (let count = 0; count <= events.length; count += 1) {
      for (const unflushed of LOSSES) {
        const { kind, opens } = await contentAfter(events.slice(0, count), unflushed)
        kinds.add(kind)
        expect({ count, unflushed, kind, opens: kind === 'luks' ? opens : true }).toMatchObject({
          opens: true,
        })
      }
    }
    // The loop has seen the beginning, the middle and the end.
    expect([...kinds]).toEqual(expect.arrayContaining(['blank', 'luks']))
    expect(await contentAfter(events, 'lost')).toEqual({ kind: 'luks', opens: true })
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

  it('a format that was cut off before it flushed has left nothing, and is done again', async () => {
    await cutAndBoot(formatting('/dev/vdd', 'luks2'), 3)
    const again = answered(await scene.shell(formatting('/dev/vdd', 'luks2')))
    expect(again).toMatchObject({ exit: 0 })
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
