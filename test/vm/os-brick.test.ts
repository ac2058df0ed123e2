import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  answered,
  bootMachine,
  type GuestScene,
  type Machine,
  sceneIn,
} from '../harness/machine.js'
import { askOsBrick, type OsBrickAnswer } from '../harness/os-brick.js'

const PROVIDERS = [
  { PROVIDER: 'luks', DEV: '/dev/vdb', disk: 0 },
  { PROVIDER: 'luks2', DEV: '/dev/vdc', disk: 1 },
] as const

let machine: Machine
let scene: GuestScene
beforeAll(async () => {
  machine = await bootMachine({ disks: ['48M', '48M'] })
  scene = await sceneIn(machine)
})
afterAll(async () => {
  await machine[Symbol.asyncDispose]()
})

describe.each(PROVIDERS)('$PROVIDER', ({ PROVIDER, DEV, disk }) => {
  const device = `/dev/disk/volume-${PROVIDER}`
  const shell = async (script: string) =>
    await scene.shell(script, { env: { PROVIDER, DEV, LINK: device } })
  const osBrick = async (action: 'attach' | 'extend' | 'detach'): Promise<OsBrickAnswer> =>
    await askOsBrick(machine, { action, provider: PROVIDER, device, key: scene.keyHex })

  it('attaches a volume that volseal made, and finds the image in it', async () => {
    const write = 'volseal write image.raw "$DEV" --cert cert.pem --encrypt "$PROVIDER"'
    const written = answered(await shell(`${write} --key-id "$KEY_ID" --json`))
    expect(written).toMatchObject({ exit: 0, encrypted: { formatted: true } })
    await shell('mkdir -p /dev/disk; ln -s "$DEV" "$LINK"')
    const { commands, error } = await osBrick('attach')
    expect(error).toBeUndefined()
    // One open and the link: it has not formatted, nor asked whether it should.
    expect(commands.map(([argv, exitCode]) => [argv.slice(0, 2).join(' '), exitCode])).toEqual([
      ['cryptsetup luksOpen', 0],
      ['ln --symbolic', 0],
    ])
    const { bytes } = await shell(`head -c ${scene.image.length} "$LINK"`)
    expect(bytes.equals(scene.image)).toBe(true)
  })

  it('extends it when the disk has grown', async () => {
    const sizeOf = async (): Promise<number> =>
      Number((await shell('blockdev --getsize64 "$LINK"')).stdout)
    const before = await sizeOf()
    await machine.growDisk(disk, '56M')
    const { error, result } = await osBrick('extend')
    expect(error).toBeUndefined()
    expect(result).toBe(before + 8 * 1024 * 1024)
    expect(await sizeOf()).toBe(result)
  })

  it('detaches it', async () => {
    const { error, commands } = await osBrick('detach')
    expect(error).toBeUndefined()
    expect(commands.at(-1)?.[0].slice(0, 2)).toEqual(['cryptsetup', 'luksClose'])
    expect((await shell('dmsetup ls')).stdout).toContain('No devices found')
  })
})
