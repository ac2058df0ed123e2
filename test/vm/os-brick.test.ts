import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  answered,
  bootMachine,
  type GuestScene,
  type Machine,
  sceneIn,
} from '../harness/machine.js'
import {
  type AskOsBrick,
  type OsBrickAnswer,
  type OsBrickRequest,
  startOsBrick,
} from '../harness/os-brick.js'

/**
 * os-brick and the volumes of volseal, and integrations/os-brick, loaded by os-brick's own factory,
 * beside os-brick's own encryptors.
 */
const CONFIGURATION = '[volseal]\nfirst_use = blank\ncommand = /usr/local/bin/volseal\n'
const MIB = 1024 * 1024

const PROVIDERS = [
  { PROVIDER: 'luks', DEV: '/dev/vdb', disk: 0 },
  { PROVIDER: 'luks2', DEV: '/dev/vdc', disk: 1 },
] as const
/** Of the integration's two encryptors. */
const LUKS2 = { DEV: '/dev/vdd', disk: 2 } as const
const LUKS1 = { DEV: '/dev/vde', disk: 3 } as const

let machine: Machine
let scene: GuestScene
let askOsBrick: AskOsBrick
beforeAll(async () => {
  machine = await bootMachine({ disks: ['48M', '48M', '48M', '48M'] })
  scene = await sceneIn(machine)
  askOsBrick = await startOsBrick(machine)
})
afterAll(async () => {
  await machine[Symbol.asyncDispose]()
})

describe.each(PROVIDERS)('os-brick with $PROVIDER', ({ PROVIDER, DEV, disk }) => {
  const device = `/dev/disk/volume-${PROVIDER}`
  const shell = async (script: string) =>
    await scene.shell(script, { env: { PROVIDER, DEV, LINK: device } })
  const osBrick = async (action: 'attach' | 'extend' | 'detach'): Promise<OsBrickAnswer> =>
    await askOsBrick({ action, provider: PROVIDER, device, key: scene.keyHex })

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
    expect(result).toBe(before + 8 * MIB)
    expect(await sizeOf()).toBe(result)
  })

  it('detaches it', async () => {
    const { error, commands } = await osBrick('detach')
    expect(error).toBeUndefined()
    expect(commands.at(-1)?.[0].slice(0, 2)).toEqual(['cryptsetup', 'luksClose'])
    expect((await shell('dmsetup ls')).stdout).toContain('No devices found')
  })
})

type Ask = (
  action: OsBrickRequest['action'],
  more?: Partial<OsBrickRequest>,
) => Promise<OsBrickAnswer>

interface Volume {
  readonly id: string
  readonly shell: (script: string) => Promise<string>
  /** What a connector does before an encryptor comes. */
  readonly connect: () => Promise<void>
  readonly volseal: Ask
  readonly osBrick: Ask
  readonly isClosed: () => Promise<boolean>
}

/** A disk that a connector has connected, and both encryptors for it. */
function volumeOn(DEV: string, provider: string, className: string): Volume {
  const id = randomUUID()
  // As os-brick's connectors call what they give to the encryptors.
  const name = `os-brick${DEV.replaceAll('/', '+')}`
  const device = `/dev/disk/by-id/${name}`
  const shell = async (script: string): Promise<string> => {
    const ended = await scene.shell(script, { env: { DEV, LINK: device } })
    if (ended.exitCode !== 0) throw new Error(ended.stderr)
    return ended.stdout.trim()
  }
  const asker =
    (by: string): Ask =>
    async (action, more = {}) => {
      const request = { action, provider: by, device, volumeId: id, key: scene.keyHex }
      return await askOsBrick({ ...request, ...more })
    }
  return {
    id,
    shell,
    connect: async () => {
      await shell('mkdir -p /dev/disk/by-id; ln -sfn "$DEV" "$LINK"')
    },
    volseal: asker(`volseal_os_brick.${className}`),
    osBrick: asker(provider),
    isClosed: async () => !(await shell('dmsetup ls')).includes(`crypt-${name}`),
  }
}

/** What was run, without the arguments. */
const briefly = ({ commands }: OsBrickAnswer): unknown[] =>
  commands.map(([argv, exitCode]) => [...argv.slice(0, 2), exitCode])

describe('VolsealEncryptor', () => {
  let volume: Volume
  beforeAll(() => {
    volume = volumeOn(LUKS2.DEV, 'luks2', 'VolsealEncryptor')
  })

  it('refuses a volume that was never used, and leaves it as it is', async () => {
    const { connect, shell, volseal, isClosed } = volume
    await connect()
    const before = machine.disk(LUKS2.disk).writes
    const answer = await volseal('attach')
    expect(answer.error).toMatch(/^VolsealError: volseal attach: there is no LUKS volume on /)
    expect(briefly(answer)).toEqual([['volseal', 'attach', 31]])
    await shell('sync')
    expect(machine.disk(LUKS2.disk).writes).toBe(before)
    expect(await isClosed()).toBe(true)
  })

  it('formats it when the configuration says so', async () => {
    const { id, shell, volseal } = volume
    const answer = await volseal('attach', { configuration: CONFIGURATION })
    expect(answer.error).toBeUndefined()
    expect(briefly(answer)).toEqual([['/usr/local/bin/volseal', 'attach', 0]])
    expect(answer.commands[0]?.[0]).toEqual(expect.arrayContaining(['--first-use', id]))
    expect(JSON.stringify(answer)).not.toContain(scene.keyHex)
    expect(await shell('readlink "$LINK"')).toMatch(/^\/dev\/mapper\/crypt-os-brick\+dev\+vdd$/)
    const dump = await shell('cryptsetup luksDump "$DEV"')
    expect(dump).toMatch(/^Version:\s+2$/m)
    // Cheap, since cinder's keys are drawn at random.
    expect(dump).toMatch(/^\s+PBKDF:\s+pbkdf2\n.*\n\s+Iterations:\s+1000$/m)
    await shell('echo written by the guest >"$LINK"; sync')
  })

  it('is attached already: that is no error, and nothing is lost', async () => {
    const { shell, volseal } = volume
    expect((await volseal('attach', { configuration: CONFIGURATION })).error).toBeUndefined()
    expect(await shell('head -n 1 "$LINK"')).toBe('written by the guest')
  })

  it('extends it when the disk has grown', async () => {
    const { shell, volseal } = volume
    const before = Number(await shell('blockdev --getsize64 "$LINK"'))
    await machine.growDisk(LUKS2.disk, '56M')
    const { error, result } = await volseal('extend')
    expect(error).toBeUndefined()
    expect(result).toBe(before + 8 * MIB)
    expect(Number(await shell('blockdev --getsize64 "$LINK"'))).toBe(result)
  })

  it('shares the volume with os-brick, and each detaches what the other has attached', async () => {
    const { connect, shell, volseal, osBrick, isClosed } = volume
    expect((await osBrick('detach')).error).toBeUndefined()
    expect(await isClosed()).toBe(true)
    await connect()
    expect((await osBrick('attach')).error).toBeUndefined()
    expect(await shell('head -n 1 "$LINK"')).toBe('written by the guest')
    await shell('echo written through os-brick >"$LINK"; sync')
    expect((await volseal('detach')).error).toBeUndefined()
    expect(await isClosed()).toBe(true)
    await connect()
    expect((await volseal('attach')).error).toBeUndefined()
    expect(await shell('head -n 1 "$LINK"')).toBe('written through os-brick')
  })

  it('detaches it, twice without an error', async () => {
    const { volseal, isClosed } = volume
    for (const _ of [1, 2]) {
      expect(await volseal('detach')).toMatchObject({ result: null })
      expect(await isClosed()).toBe(true)
    }
  })

  it('says that the key does not fit, and opens nothing', async () => {
    const { connect, volseal, isClosed } = volume
    await connect()
    const answer = await volseal('attach', { key: 'ab'.repeat(32) })
    expect(answer.error).toMatch(/^VolsealError: volseal attach: .*the key does not open it/)
    expect(briefly(answer)).toEqual([['volseal', 'attach', 20]])
    expect(await isClosed()).toBe(true)
  })
})

describe('VolsealLuks1Encryptor', () => {
  it('formats a volume that os-brick attaches', async () => {
    const { connect, shell, volseal, osBrick, isClosed } = volumeOn(
      LUKS1.DEV,
      'luks',
      'VolsealLuks1Encryptor',
    )
    await connect()
    const { error } = await volseal('attach', { configuration: CONFIGURATION })
    expect(error).toBeUndefined()
    expect(await shell('cryptsetup luksDump "$DEV"')).toMatch(/^Version:\s+1$/m)
    await shell('echo written by the guest >"$LINK"; sync')
    expect((await volseal('detach')).error).toBeUndefined()
    await connect()
    expect((await osBrick('attach')).error).toBeUndefined()
    expect(await shell('head -n 1 "$LINK"')).toBe('written by the guest')
    expect((await volseal('detach')).error).toBeUndefined()
    expect(await isClosed()).toBe(true)
  })
})
