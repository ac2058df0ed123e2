import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import {
  answered,
  bootMachine,
  type GuestScene,
  type Machine,
  sceneIn,
} from '../harness/machine.js'

/**
 * The volume key is changed while the volume is open and read: whatever ends that in the middle, no
 * byte is lost, and the same command goes on.
 */
const ATTACH = 'volseal attach /dev/vdb --key-id "$KEY_ID" --json'
const DETACH = 'volseal detach /dev/vdb --json'
const REENCRYPT = 'volseal luks rekey /dev/vdb --key-id "$KEY_ID" --volume-key --no-backup --json'
const MAPPING = '/dev/mapper/crypt-vdb'
const MIB = 1024 * 1024
const SIZE = 48 * MIB

let machine: Machine
let scene: GuestScene
let content: string
beforeAll(async () => {
  machine = await bootMachine({ disks: [String(SIZE + 16 * MIB)] })
  scene = await sceneIn(machine)
  await scene.shell('volseal luks format /dev/vdb --provider luks2 --key-id "$KEY_ID"')
  expect(answered(await scene.shell(ATTACH))).toMatchObject({ exit: 0, size: SIZE })
  await scene.shell(`head -c ${SIZE} /dev/urandom >${MAPPING}; sync ${MAPPING}`)
  content = await hash()
})
afterAll(async () => {
  await machine[Symbol.asyncDispose]()
})

/** Of what the guest reads, past the cache. */
async function hash(): Promise<string> {
  const read = `dd if=${MAPPING} bs=1M iflag=direct status=none | sha256sum`
  const { exitCode, stdout } = await scene.shell(read)
  expect(exitCode).toBe(0)
  return stdout
}

/** Whether the header says that a reencryption has begun, or has not ended. */
async function isMarked(): Promise<boolean> {
  const { stdout } = await scene.shell('cryptsetup luksDump /dev/vdb')
  return stdout.includes('online-reencrypt')
}

/** Waits until some of the content is encrypted anew: the mapping has then two keys. */
async function isUnderWay(): Promise<void> {
  const table = "dmsetup table | grep -c ' crypt '"
  await vi.waitFor(
    async () => expect(Number((await scene.shell(table)).stdout)).toBeGreaterThan(1),
    {
      timeout: 120_000,
      interval: 50,
    },
  )
}

it('goes on after SIGTERM, and the volume is in use all the time', async () => {
  const running = await scene.start(REENCRYPT)
  await isUnderWay()
  running.kill('SIGTERM')
  expect(answered(await running.ended)).toMatchObject({
    exit: 143,
    error: {
      code: 'terminated',
      hint: expect.stringContaining('the same command again goes on'),
    },
  })
  expect(await isMarked()).toBe(true)
  expect(await hash()).toBe(content)
  const extend = 'volseal extend /dev/vdb --key-id "$KEY_ID" --json'
  expect(answered(await scene.shell(extend))).toMatchObject({
    exit: 22,
    error: { message: expect.stringContaining('is being given another volume key') },
  })
  expect(answered(await scene.shell(DETACH))).toMatchObject({ exit: 0, detached: true })
  expect(answered(await scene.shell(ATTACH))).toMatchObject({ exit: 0, size: SIZE })
  expect(await hash()).toBe(content)
  expect(answered(await scene.shell(REENCRYPT))).toMatchObject({ exit: 0, state: 'reencrypted' })
  expect(await isMarked()).toBe(false)
  expect(await hash()).toBe(content)
})

it.each(process.env['VOLSEAL_LONG'] === '1' ? [1, 2, 3, 4] : [1])(
  'goes on after the power went (what was not flushed: %i)',
  async (seed) => {
    const running = await scene.start(REENCRYPT)
    const ended = running.ended.catch(String)
    await isUnderWay()
    await machine.kill(seed)
    expect(await ended).toContain('was switched off')
    await machine.boot()
    await scene.unpack()
    expect(await isMarked()).toBe(true)
    expect(answered(await scene.shell(ATTACH))).toMatchObject({ exit: 0, size: SIZE })
    expect(await hash()).toBe(content)
    expect(answered(await scene.shell(REENCRYPT))).toMatchObject({ exit: 0, state: 'reencrypted' })
    expect(await isMarked()).toBe(false)
    expect(await hash()).toBe(content)
  },
)
