import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  answered,
  bootMachine,
  type GuestScene,
  type Machine,
  sceneIn,
} from '../harness/machine.js'
import { SIGNAL_AT } from '../harness/signal-at.js'

const OPEN = 'printf %s "$KEY_HEX" | cryptsetup open --key-file=- "$DEV" check'
const WRITE = 'volseal write image.raw "$DEV" --cert cert.pem --encrypt "$PROVIDER" --json'
const FORMAT = 'volseal luks format "$DEV" --provider "$PROVIDER" --key-id "$KEY_ID" --json'

const LUKS = { PROVIDER: 'luks', DEV: '/dev/vdb', disk: 0, version: 1 } as const
const LUKS2 = { PROVIDER: 'luks2', DEV: '/dev/vdc', disk: 1, version: 2 } as const

/** udev decides who makes the links in /dev/mapper, and looks into every device that appears. */
const MACHINES = [
  { udev: 'absent', providers: [LUKS, LUKS2], refusals: it },
  // What is refused is so before udev has a part in it; emulated time is dear.
  { udev: 'running', providers: [LUKS2], refusals: undefined },
] as const

describe.each(MACHINES)('with udevd $udev', ({ udev, providers, refusals }) => {
  let machine: Machine
  let scene: GuestScene
  beforeAll(async () => {
    machine = await bootMachine({ disks: ['48M', '48M'], udev })
    scene = await sceneIn(machine)
  })
  afterAll(async () => {
    await machine[Symbol.asyncDispose]()
  })

  /** Mappings that are there; the node `control` always is. */
  async function mappings(): Promise<string[]> {
    const { stdout } = await machine.shell('dmsetup ls; ls /dev/mapper')
    return stdout.split('\n').filter((line) => !/^(?:No devices found|control|)$/.test(line))
  }

  describe.each(providers)('$PROVIDER', ({ PROVIDER, DEV, disk, version }) => {
    const env = { PROVIDER, DEV }
    const shell = async (script: string) => await scene.shell(script, { env })

    /** How often the disk has been written to: less to ask for than what is on it. */
    const writes = async (): Promise<number> => {
      await shell('sync')
      return machine.disk(disk).writes
    }

    it('formats a volume that cryptsetup opens', async () => {
      expect(answered(await shell(FORMAT))).toMatchObject({ exit: 0, version })
      const opened = await shell(`${OPEN} && cryptsetup status check; cryptsetup close check`)
      expect(opened).toMatchObject({
        exitCode: 0,
        stdout: expect.stringContaining(`LUKS${version}`),
      })
      expect(await mappings()).toEqual([])
    })

    it('writes an image through the kernel that cryptsetup reads back', async () => {
      const written = answered(await shell(`${WRITE} --key-id "$KEY_ID"`))
      expect(written).toMatchObject({ exit: 0, encrypted: { way: 'dm-crypt', formatted: false } })
      expect(await mappings()).toEqual([])
      const size = scene.image.length
      const { bytes } = await shell(
        `${OPEN}; head -c ${size} /dev/mapper/check; cryptsetup close check`,
      )
      expect(bytes.equals(scene.image)).toBe(true)
    })

    refusals?.('refuses another key, and leaves the volume as it is', async () => {
      const before = await writes()
      const answer = answered(await shell(`${WRITE} --key-id "$OTHER_KEY_ID"`))
      expect(answer).toMatchObject({ exit: 20, error: { code: 'wrong-key' } })
      expect(await writes()).toBe(before)
      expect(await mappings()).toEqual([])
    })

    refusals?.(
      'H4: refuses a device that is open, and its decrypted side, also through a link',
      async () => {
        await shell(OPEN)
        const before = await writes()
        const force = '--force "$(basename "$DEV")"'
        for (const command of [`${WRITE} --key-id "$KEY_ID"`, `${FORMAT} ${force}`]) {
          expect(answered(await shell(command))).toMatchObject({
            exit: 22,
            error: { code: 'busy' },
          })
        }
        await shell('ln -s /dev/mapper/check /tmp/link')
        for (const [path, word] of [
          ['/dev/mapper/check', '--force check'],
          ['/tmp/link', '--volume-id vol-1 --evidence vouched'],
        ] as const) {
          const inner = FORMAT.replace('"$DEV"', path)
          expect(answered(await shell(`${inner} ${word}`))).toMatchObject({
            exit: 21,
            error: { code: 'not-blank', message: expect.stringContaining('decrypted side') },
          })
        }
        expect(await writes()).toBe(before)
        await shell('rm /tmp/link; cryptsetup close check')
        expect(await mappings()).toEqual([])
      },
    )

    it('leaves no mapping when it is interrupted in the middle of the image', async () => {
      await machine.run('tee', ['/tmp/signal-at.mjs'], { input: SIGNAL_AT })
      // With udev the name leads on to /dev/dm-0.
      const file = udev === 'running' ? '/dev/dm-' : '/dev/mapper/volseal-'
      const hook = JSON.stringify({ file, nth: 2, signal: 'SIGINT' })
      const answer = answered(
        await scene.shell(`${WRITE} --key-id "$KEY_ID"`, {
          env: { ...env, NODE_OPTIONS: '--import=/tmp/signal-at.mjs', TEST_SIGNAL_AT: hook },
        }),
      )
      expect(answer).toMatchObject({
        exit: 130,
        error: { code: 'interrupted', message: expect.stringContaining('is partly written') },
      })
      expect(await mappings()).toEqual([])
      expect(answered(await shell(`${WRITE} --key-id "$KEY_ID"`))).toMatchObject({ exit: 0 })
    })
  })

  refusals?.(
    'refuses a volume whose header was forged to say that nothing is encrypted',
    async () => {
      // The right key opens it, and what is written then lies there in clear (CVE-2025-59054).
      const shell = async (script: string) =>
        await scene.shell(script, { env: { PROVIDER: 'luks2', DEV: '/dev/vdc' } })
      const forge =
        'cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000'
      await shell(`printf %s "$KEY_HEX" | ${forge} --cipher cipher_null-ecb --key-file=- "$DEV"`)
      await shell(OPEN)
      const status = await shell('cryptsetup status check; cryptsetup close check')
      expect(status.stdout).toContain('cipher_null')
      const answer = answered(await shell(`${WRITE} --key-id "$KEY_ID"`))
      expect(answer).toMatchObject({ exit: 24, error: { code: 'header-damaged' } })
      expect(await mappings()).toEqual([])
    },
  )
})
