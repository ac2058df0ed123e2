import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Libvirt, startLibvirt, virsh } from '../harness/libvirt.js'
import { isInstalled } from '../harness/run.js'
import { expectSuccess, leftovers, makeScene, onlyJson, type Scene, shell } from './scene.js'

const LACKS = ['libvirtd', 'virsh', 'cryptsetup'].filter((program) => !isInstalled(program))
const LONG = { timeout: 120_000 }
const KEY = randomBytes(32)
const HEX = KEY.toString('hex')
const VOLUME = 'e1a3c3b8-6e0a-4a1e-9d0c-4f1d1a9b7c55'

/** Notes how it was called, with its environment, and then is the real one. */
const WATCHED_VIRSH = `#!/bin/sh
{ printf '%s\\n' "$@"; env; } >>"\${0%/*}/../virsh-log"
exec /usr/bin/virsh "$@"
`

const PREPARATION = `
set -e
volseal secret put ../key --type symmetric >../key-id
volseal secret create >../other-id
truncate -s 20M luks1.img luks2.img
volseal luks format luks1.img --provider luks --key-id "$(cat ../key-id)" --key-is-random >/dev/null
volseal luks format luks2.img --provider luks2 --key-id "$(cat ../key-id)" --key-is-random >/dev/null
cat ../key-id ../other-id
`

let scene: Scene
beforeAll(async () => {
  const empty = makeScene()
  const root = join(empty.work, '..')
  writeFileSync(join(root, 'key'), KEY)
  writeFileSync(join(root, 'bin', 'virsh'), WATCHED_VIRSH, { mode: 0o755 })
  mkdirSync(join(root, 'libvirt'))
  const ids = await expectSuccess(shell(empty, PREPARATION))
  const [KEY_ID = '', OTHER_ID = ''] = ids.trimEnd().split('\n')
  scene = { ...empty, env: { ...empty.env, KEY_ID, OTHER_ID, VOLUME } }
}, LONG.timeout)

/** The exit code of a command line, and its JSON answer. */
async function answer(line: string): Promise<Record<string, unknown>> {
  const ended = await shell(scene, `volseal ${line} --json`)
  expect(ended.stdout + ended.stderr).not.toContain(HEX)
  expect(leftovers(scene)).toEqual([])
  return { code: ended.code, ...onlyJson(ended) }
}

describe.skipIf(LACKS.length > 0)(`--libvirt-secret ${LACKS.join(', ')}`, () => {
  it(
    'without a daemon: set, set anew, and removed; its value is in no argument',
    LONG,
    async () => {
      const root = join(scene.work, '..', 'libvirt')
      const uri = `secret:///embed?root=${root}`
      const [kept, libvirt] = [join(root, 'etc/secrets'), `--libvirt-uri '${uri}'`]
      const valueOf = (uuid: string): string =>
        Buffer.from(readFileSync(join(kept, `${uuid}.base64`), 'utf8'), 'base64').toString()
      const attach = `attach --libvirt-secret "$VOLUME" ${libvirt} --key-id`

      // Nothing but a file outlives the one virsh.
      expect(await answer(`${attach} "$KEY_ID"`)).toMatchObject({
        code: 2,
        error: { code: 'usage' },
      })
      const first = await answer(`${attach} "$KEY_ID" --persistent`)
      expect(first).toMatchObject({ code: 0, ok: true, volumeId: VOLUME, device: null })
      const uuid = String(first['libvirtSecret'])
      expect(valueOf(uuid)).toBe(HEX)
      expect(virsh(uri, 'secret-dumpxml', uuid)).toContain(`<volume>${VOLUME}</volume>`)

      expect(await answer(`${attach} "$OTHER_ID" --persistent`)).toMatchObject({
        libvirtSecret: uuid,
      })
      expect(valueOf(uuid)).toMatch(/^[\da-f]{64}$/)
      expect(valueOf(uuid)).not.toBe(HEX)
      const again = await answer(`${attach} "$KEY_ID" --persistent`)
      expect(again).toMatchObject({ libvirtSecret: uuid })
      expect(valueOf(uuid)).toBe(HEX)

      const detach = `detach --libvirt-secret "$VOLUME" ${libvirt}`
      expect(await answer(detach)).toMatchObject({ code: 0, volumeId: VOLUME, removed: true })
      expect(readdirSync(kept)).toEqual([])
      expect(await answer(detach)).toMatchObject({ code: 0, removed: false })

      const log = readFileSync(join(scene.work, '..', 'virsh-log'), 'utf8')
      expect(log.match(/^secret-set-value$/gm)).toHaveLength(3)
      expect(log).not.toContain(HEX)
      expect(log).not.toContain(Buffer.from(HEX).toString('base64'))
      expect(log).not.toContain(KEY.toString('base64'))
    },
  )

  describe('with a daemon', () => {
    let daemon: Libvirt
    beforeAll(async () => {
      daemon = await startLibvirt()
    })
    afterAll(async () => {
      await daemon.stop()
    })
    const uuids = (): string[] =>
      virsh(daemon.uri, 'secret-list')
        .match(/^ *[0-9a-f-]{36}(?= )/gm)
        ?.map((id) => id.trim()) ?? []
    const attach = (volume: string, key: string, more = ''): string =>
      `attach ${volume} --libvirt-secret "$VOLUME" --libvirt-uri '${daemon.uri}' --key-id "$${key}" ${more}`

    it('is in memory and private, or as nova makes it with --persistent', LONG, async () => {
      const made = await answer(attach('luks1.img', 'KEY_ID'))
      expect(made).toMatchObject({ code: 0, device: 'luks1.img' })
      const uuid = String(made['libvirtSecret'])
      expect(uuids()).toEqual([uuid])
      const value = (): string => virsh(daemon.uri, 'secret-get-value', uuid, '--plain')
      expect(value()).toContain('secret is private')
      expect(await answer(attach('luks1.img', 'KEY_ID', '--persistent'))).toMatchObject({
        libvirtSecret: uuid,
      })
      expect(value()).toBe(HEX)
      const detach = `detach --libvirt-secret "$VOLUME" --libvirt-uri '${daemon.uri}'`
      expect(await answer(detach)).toMatchObject({ code: 0, removed: true })
      expect(uuids()).toEqual([])
    })

    it.each([
      ['a key that does not open the volume', 'luks1.img', 'OTHER_ID', 20, 'wrong-key'],
      ['LUKS2, which QEMU does not open', 'luks2.img', 'KEY_ID', 23, 'no-device'],
    ])('is not made for %s', LONG, async (_, volume, key, code, error) => {
      expect(await answer(attach(volume, key))).toMatchObject({ code, error: { code: error } })
      expect(uuids()).toEqual([])
    })
  })
})
