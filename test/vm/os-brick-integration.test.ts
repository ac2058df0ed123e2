import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bootMachine, type GuestScene, type Machine, sceneIn } from '../harness/machine.js'
import { askOsBrick, type OsBrickAnswer, type OsBrickRequest } from '../harness/os-brick.js'

/** integrations/os-brick, loaded by os-brick's own factory, beside os-brick's own encryptors. */
const VOLUMES = [
  { PROVIDER: 'luks2', CLASS: 'VolsealEncryptor', DEV: '/dev/vdb', disk: 0 },
  { PROVIDER: 'luks', CLASS: 'VolsealLuks1Encryptor', DEV: '/dev/vdc', disk: 1 },
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

describe.each(VOLUMES)('$CLASS', ({ PROVIDER, CLASS, DEV, disk }) => {
  const volumeId = randomUUID()
  // As os-brick's connectors call what they give to the encryptors.
  const device = `/dev/disk/by-id/os-brick${DEV.replaceAll('/', '+')}`
  const mapping = `crypt-${device.slice('/dev/disk/by-id/'.length)}`
  const shell = async (script: string): Promise<string> => {
    const ended = await scene.shell(script, { env: { DEV, LINK: device, MAPPING: mapping } })
    if (ended.exitCode !== 0) throw new Error(ended.stderr)
    return ended.stdout.trim()
  }
  const ask = async (
    provider: string,
    action: OsBrickRequest['action'],
    more: Partial<OsBrickRequest> = {},
  ): Promise<OsBrickAnswer> =>
    await askOsBrick(machine, { action, provider, device, volumeId, key: scene.keyHex, ...more })
  const volseal = async (
    action: OsBrickRequest['action'],
    more: Partial<OsBrickRequest> = {},
  ): Promise<OsBrickAnswer> => await ask(`volseal_os_brick.${CLASS}`, action, more)
  const osBrick = async (action: OsBrickRequest['action']): Promise<OsBrickAnswer> =>
    await ask(PROVIDER, action)

  /** What a connector does before an encryptor comes. */
  const connect = 'mkdir -p /dev/disk/by-id; ln -sfn "$DEV" "$LINK"'
  const mappings = async (): Promise<string> => await shell('dmsetup ls')

  it('refuses a volume that was never used, and leaves it as it is', async () => {
    await shell(connect)
    const before = await shell('sha256sum <"$DEV"')
    const { error, commands } = await volseal('attach')
    expect(error).toMatch(/^VolsealError: volseal attach: /)
    // It alone was run, and has read only.
    expect(commands.map(([[program, action], exitCode]) => [program, action, exitCode])).toEqual([
      ['volseal', 'attach', 21],
    ])
    expect(await shell('sha256sum <"$DEV"')).toBe(before)
    expect(await mappings()).toContain('No devices found')
  })

  it('formats it when the configuration says so', async () => {
    const configuration = '[volseal]\nfirst_use = blank\ncommand = /usr/local/bin/volseal\n'
    const { error, commands } = await volseal('attach', { configuration })
    expect(error).toBeUndefined()
    expect(commands).toHaveLength(1)
    expect(commands[0]?.[0]).toEqual(expect.arrayContaining(['--first-use', volumeId]))
    expect(JSON.stringify(commands)).not.toContain(scene.keyHex)
    expect(await shell('readlink "$LINK"')).toBe(`/dev/mapper/${mapping}`)
    expect(await shell('cryptsetup luksDump "$DEV" | grep Version:')).toMatch(
      PROVIDER === 'luks' ? /1$/ : /2$/,
    )
    await shell('echo written by the guest >"$LINK"; sync')
  })

  it('is attached already: that is no error, and nothing is lost', async () => {
    const { error } = await volseal('attach')
    expect(error).toBeUndefined()
    expect(await shell('head -n 1 "$LINK"')).toBe('written by the guest')
  })

  it('extends it when the disk has grown', async () => {
    const before = Number(await shell('blockdev --getsize64 "$LINK"'))
    await machine.growDisk(disk, '56M')
    const { error, result } = await volseal('extend')
    expect(error).toBeUndefined()
    expect(result).toBe(before + 8 * 1024 * 1024)
    expect(Number(await shell('blockdev --getsize64 "$LINK"'))).toBe(result)
  })

  it('detaches it, twice without an error', async () => {
    for (const _ of [1, 2]) {
      const { error, result } = await volseal('detach')
      expect(error).toBeUndefined()
      expect(result).toBeNull()
      expect(await mappings()).toContain('No devices found')
    }
  })

  it('shares the volume with os-brick, which reads it, and each detaches the other’s', async () => {
    await shell(connect)
    expect((await osBrick('attach')).error).toBeUndefined()
    expect(await shell('head -n 1 "$LINK"')).toBe('written by the guest')
    await shell('echo written through os-brick >"$LINK"; sync')
    expect((await volseal('detach')).error).toBeUndefined()
    expect(await mappings()).toContain('No devices found')
    await shell(connect)
    expect((await volseal('attach')).error).toBeUndefined()
    expect(await shell('head -n 1 "$LINK"')).toBe('written through os-brick')
    expect((await osBrick('detach')).error).toBeUndefined()
    expect(await mappings()).toContain('No devices found')
  })

  it('says that the key does not fit, and opens nothing', async () => {
    await shell(connect)
    const { error } = await volseal('attach', { key: 'ab'.repeat(32) })
    expect(error).toMatch(/^VolsealError: volseal attach: .*the key does not open it/)
    expect(await mappings()).toContain('No devices found')
  })
})
