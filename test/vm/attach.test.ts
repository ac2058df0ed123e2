import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseTranscript, replayAt, withoutBlankLines } from '../cli/transcript.js'
import {
  answered,
  bootMachine,
  type GuestScene,
  type Machine,
  sceneIn,
} from '../harness/machine.js'
import { startOsBrick } from '../harness/os-brick.js'

/** Writes down what turns out instead of refusing it; `git diff` then shows what has changed. */
const isRecording = process.env['VOLSEAL_RECORD'] === '1'
const KILLS = new URL('transcripts/kills.txt', import.meta.url)

/** The commands of a compute node with udevd, which makes the links and looks into every device. */
const LINK = '/dev/disk/by-id/os-brick+dev+vdb'
const MIB = 1024 * 1024

let machine: Machine
let scene: GuestScene
beforeAll(async () => {
  machine = await bootMachine({ disks: ['48M', '48M'], udev: 'running' })
  scene = await sceneIn(machine)
  await scene.shell('volseal luks format /dev/vdb --provider luks2 --key-id "$KEY_ID"')
})
afterAll(async () => {
  await machine[Symbol.asyncDispose]()
})

async function lines(script: string): Promise<string[]> {
  const { stdout, stderr } = await scene.shell(script)
  return `${stdout}${stderr}`.trimEnd().split('\n')
}

describe('the commands as their help shows them', () => {
  it('attach, status, extend and detach', async () => {
    const shown = await lines(`volseal attach /dev/vdb --key-id "$KEY_ID"
      volseal attach /dev/vdb --key-id "$KEY_ID" | head -n 1
      volseal status
      volseal extend /dev/vdb --key-id "$KEY_ID"
      volseal detach /dev/vdb
      volseal detach /dev/vdb
      volseal status`)
    expect(shown).toEqual([
      '/dev/mapper/crypt-vdb: attached',
      '  device  /dev/vdb',
      expect.stringMatching(/^ {2}format {2}luks2, [0-9a-f-]{36}$/),
      '  size    33554432 bytes',
      '/dev/mapper/crypt-vdb: was attached already',
      expect.stringMatching(/^MAPPING +DEVICE +BYTES +HEALTH +LINKS +USED BY$/),
      expect.stringMatching(/^crypt-vdb +\/dev\/vdb +33554432 +ok +.*- *-$/),
      '/dev/mapper/crypt-vdb: 33554432 bytes, as before',
      'crypt-vdb: detached',
      'crypt-vdb: was detached already',
      'no encrypted volume is open',
    ])
  })

  it("cinder's own JSON, through a link that udev does not take back", async () => {
    const connection = {
      driver_volume_type: 'iscsi',
      data: { device_path: LINK, volume_id: 'vol-1', encrypted: true, auth_password: 'chap' },
    }
    const encryption = { provider: 'luks2', control_location: 'front-end', key_size: 256 }
    await scene.shell(`mkdir -p /dev/disk/by-id; ln -sfn /dev/vdb ${LINK}
      echo '${JSON.stringify(connection)}' >connection.json
      echo '${JSON.stringify(encryption)}' >encryption.json`)
    const attach = await scene.shell(`printf %s "$KEY_HEX" | xxd -r -p |
      volseal attach --connection-info connection.json --encryption encryption.json --key-file - --json`)
    expect(answered(attach)).toMatchObject({
      exit: 0,
      encrypted: true,
      mapping: 'crypt-os-brick+dev+vdb',
      link: LINK,
    })
    // udev looks again at what was opened for writing; its own links would lead back to the device.
    await scene.shell(': <>/dev/vdb; udevadm trigger --settle /dev/vdb')
    expect(await lines(`readlink ${LINK}`)).toEqual(['/dev/mapper/crypt-os-brick+dev+vdb'])
    const detach = await scene.shell('volseal detach --connection-info connection.json --json')
    expect(answered(detach)).toMatchObject({ exit: 0, detached: true, link: 'dangling' })
    // As os-brick's connector does.
    await scene.shell(`rm ${LINK}`)
  })

  it('a link of udev itself, which udev takes back', async () => {
    const link = '/dev/disk/by-id/virtio-disk0'
    const attach = await scene.shell(
      `volseal attach ${link} --link ${link} --key-id "$KEY_ID" --json`,
    )
    expect(answered(attach)).toMatchObject({
      exit: 23,
      error: { message: expect.stringContaining('udev takes the link') },
    })
    expect(await lines(`readlink ${link}; volseal status`)).toEqual([
      '../../vdb',
      'no encrypted volume is open',
    ])
  })

  it('what is refused: another key, back-end encryption, an unknown provider', async () => {
    const refusals = [
      ['attach /dev/vdb --key-id "$OTHER_KEY_ID"', 20],
      ['attach /dev/vdb --key-id "$KEY_ID" --provider com.example.Encryptor', 23],
      ['attach /dev/vdc --key-id "$KEY_ID"', 31],
      ['attach /dev/vdd --key-id "$KEY_ID"', 23],
    ] as const
    for (const [command, exit] of refusals) {
      const answer = answered(await scene.shell(`volseal ${command} --json`))
      expect({ command, ...answer }).toMatchObject({ command, exit, ok: false })
    }
  })
})

describe('with os-brick in the same machine', () => {
  it.each([
    { provider: 'luks', said: ['--provider', 'luks'], format: 'luks' },
    { provider: 'luks2', said: ['--provider', 'luks2'], format: 'luks2' },
    // os-brick leaves the hash to cryptsetup, whose default it was then.
    {
      provider: 'plain',
      said: ['--provider', 'plain', '--plain-hash', 'ripemd160'],
      format: 'plain',
    },
  ] as const)(
    'a $provider volume of os-brick is attached here',
    async ({ provider, said, format }) => {
      const device = '/dev/disk/volume'
      await scene.shell(`blkdiscard --zeroout /dev/vdc; ln -sfn /dev/vdc ${device}`)
      const request = { provider, device, key: scene.keyHex } as const
      const askOsBrick = await startOsBrick(machine)
      const first = await askOsBrick({ ...request, action: 'attach' })
      expect(first.error).toBeUndefined()
      await scene.shell(`yes guest | dd of=${device} bs=1M count=1 iflag=fullblock conv=fsync`)
      await askOsBrick({ ...request, action: 'detach' })
      const options = [...said, '--cipher', 'aes-xts-plain64', '--key-size', '256'].join(' ')
      const attach = `volseal attach ${device} --link ${device} ${options} --key-id "$KEY_ID" --json`
      await scene.shell(`ln -sfn /dev/vdc ${device}`)
      expect(answered(await scene.shell(attach))).toMatchObject({
        exit: 0,
        mapping: 'crypt-volume',
        format,
      })
      expect(await lines(`head -c 6 ${device}; volseal detach ${device}`)).toEqual([
        'guest',
        'crypt-volume: detached, link restored',
      ])
    },
  )
})

describe('when udevd is stopped', () => {
  it('an attach says so and leaves nothing; extend and detach do without it', async () => {
    const attach = 'volseal attach /dev/vdb --key-id "$KEY_ID" --json'
    await machine.udev('stop')
    expect(answered(await scene.shell(attach))).toMatchObject({
      exit: 32,
      error: { code: 'unavailable', message: expect.stringContaining('udevd does not answer') },
    })
    await machine.udev('continue')
    expect(answered(await scene.shell(attach))).toMatchObject({ exit: 0 })
    await machine.udev('stop')
    await machine.growDisk(0, '49M')
    const extend = 'volseal extend /dev/vdb --key-id "$KEY_ID" --json'
    expect(answered(await scene.shell(extend))).toMatchObject({
      exit: 0,
      sizeBefore: 32 * MIB,
      size: 33 * MIB,
    })
    expect(await lines('readlink /dev/mapper/crypt-vdb; dmsetup udevcookies')).toEqual([
      '../dm-0',
      expect.stringContaining('Cookie'),
    ])
    expect(answered(await scene.shell('volseal detach /dev/vdb --json'))).toMatchObject({
      exit: 0,
      detached: true,
    })
    expect(await lines('dmsetup ls')).toEqual(['No devices found'])
    await machine.udev('continue')
  })
})

describe('commands that are killed', () => {
  it('come to their end when they are said again, as the transcript shows', async () => {
    const written = readFileSync(KILLS, 'utf8')
    await scene.shell(
      'volseal luks format /dev/vdc --provider luks2 --key-id "$KEY_ID" --force vdc',
    )
    await machine.run('mkdir', ['/tmp/records'])
    const place = {
      records: '/tmp/records',
      shell: async (script: string) => await scene.shell(script),
      read: async (path: string) => (await machine.run('cat', [path])).stdout,
    }
    const turnedOut = await replayAt(place, parseTranscript(written))
    if (isRecording) writeFileSync(KILLS, `${turnedOut}\n`)
    expect(turnedOut).toBe(withoutBlankLines(written))
  })
})
