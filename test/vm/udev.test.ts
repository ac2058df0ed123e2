import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import {
  answered,
  bootMachine,
  type GuestScene,
  type Machine,
  sceneIn,
} from '../harness/machine.js'

/** cryptsetup waits for udevd, deaf to everything but SIGKILL; volseal must not. */
const WRITE =
  'volseal write image.raw /dev/vdb --cert cert.pem --encrypt luks2 --key-id "$KEY_ID" --json'

let machine: Machine
let scene: GuestScene
beforeAll(async () => {
  machine = await bootMachine({ disks: ['48M'], udev: 'running' })
  scene = await sceneIn(machine)
  await scene.shell('volseal luks format /dev/vdb --provider luks2 --key-id "$KEY_ID"')
})
afterAll(async () => {
  await machine[Symbol.asyncDispose]()
})

/** Mappings and processes of cryptsetup. */
async function left(): Promise<string> {
  const { stdout } = await machine.shell('dmsetup ls | grep -v "^No devices"; pgrep -a cryptsetup')
  return stdout
}

/** How often the disk has been written to. */
async function writes(): Promise<number> {
  await machine.shell('sync')
  return machine.disk(0).writes
}

it('refuses to open a volume when udevd is stopped, and leaves nothing', async () => {
  await machine.udev('stop')
  const before = await writes()
  expect(answered(await scene.shell(WRITE))).toMatchObject({
    exit: 32,
    error: { code: 'unavailable', message: expect.stringContaining('udevd does not answer') },
  })
  expect(await left()).toBe('')
  expect(await writes()).toBe(before)
  await machine.udev('continue')
  expect(answered(await scene.shell(WRITE))).toMatchObject({ exit: 0 })
})

/** Before the real one in PATH; stops udevd just before a mapping is made. */
async function stopWhenOpening(): Promise<void> {
  const script = `#!/bin/sh
case "$*" in *volseal-* | *" crypt-"*) [ "$1" = open ] && pkill -STOP -x systemd-udevd ;; esac
exec /usr/sbin/cryptsetup "$@"
`
  await machine.run('tee', ['/usr/local/bin/cryptsetup'], { input: script })
  await machine.run('chmod', ['+x', '/usr/local/bin/cryptsetup'])
}

async function goOn(): Promise<void> {
  await machine.run('rm', ['/usr/local/bin/cryptsetup'])
  await machine.udev('continue')
}

it.each([
  ['write', WRITE, WRITE],
  ['attach', 'volseal attach /dev/vdb --key-id "$KEY_ID" --json', 'volseal detach /dev/vdb --json'],
])('%s ends by itself when udevd stops while the volume is opened', async (_, line, after) => {
  await stopWhenOpening()
  expect(answered(await scene.shell(line))).toMatchObject({
    exit: 32,
    error: { code: 'unavailable', message: expect.stringContaining('udevd has stopped') },
  })
  expect(await left()).toBe('')
  await goOn()
  expect(answered(await scene.shell(line))).toMatchObject({ exit: 0 })
  expect(answered(await scene.shell(after))).toMatchObject({ exit: 0 })
})

it('is ended by Ctrl-C when udevd stops while the volume is opened', async () => {
  await stopWhenOpening()
  const writing = await scene.start(WRITE)
  const opening = vi.waitFor(async () => expect(await left()).toMatch(/^volseal-.*\n.* open /), {
    timeout: 300_000,
    interval: 1000,
  })
  // One that ends by itself has said why.
  expect(await Promise.race([opening.then(() => 'opening'), writing.ended])).toBe('opening')
  writing.kill('SIGINT')
  expect(answered(await writing.ended)).toMatchObject({ exit: 130, error: { code: 'interrupted' } })
  expect(await left()).toBe('')
  await goOn()
  expect(answered(await scene.shell(WRITE))).toMatchObject({ exit: 0 })
})
