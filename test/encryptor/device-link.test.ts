import { spawnSync } from 'node:child_process'
import { lstatSync, mkdirSync, readdirSync, readlinkSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeEach, describe, expect, it } from 'vitest'
import { temporaryBeside } from '../../src/core/temporary-name.js'
import { swapLink } from '../../src/encryptor/attach/device-link.js'
import { collectGarbage, volumeStatus } from '../../src/index.js'
import { isInstalled, scratchDirectory } from '../harness/run.js'

const MODULE = fileURLToPath(new URL('../../dist/encryptor/attach/device-link.js', import.meta.url))
const DECRYPTED = '/dev/mapper/crypt-volume'
/** Killed between the link with another name and the renaming, which is not done any more. */
const KILL = ['-f', '-qq', '-e', 'trace=rename', '-e', 'inject=rename:error=EINTR:signal=KILL']

const scratch = scratchDirectory()
let directory: string
let link: string
let rounds = 0

beforeEach(() => {
  rounds += 1
  directory = join(scratch, String(rounds))
  mkdirSync(directory)
  link = join(directory, 'volume')
  symlinkSync('/dev/vdb', link)
})

describe.skipIf(!isInstalled('strace'))(
  'a swap that is killed before the new link has its name',
  () => {
    beforeEach(() => {
      const script = `import { swapLink } from ${JSON.stringify(MODULE)}
await swapLink(${JSON.stringify(link)}, '${DECRYPTED}')`
      const node = [process.execPath, '--input-type=module', '--eval', script]
      const killed = spawnSync('strace', [...KILL, ...node])
      expect(killed.signal ?? killed.status).toBe('SIGKILL')
    })

    it('leaves the link as it was, and the same swap leaves nothing', async () => {
      expect(readlinkSync(link)).toBe('/dev/vdb')
      expect(readdirSync(directory)).toHaveLength(2)
      await swapLink(link, DECRYPTED)
      expect(readlinkSync(link)).toBe(DECRYPTED)
      expect(readdirSync(directory)).toEqual(['volume'])
    })

    it('leaves what gc removes', async () => {
      const places = [directory]
      const shown = (await collectGarbage({ places })).garbage
      expect(shown).toMatchObject([{ kind: 'link', why: 'the swap of a link was killed' }])
      const { garbage } = await collectGarbage({ places, apply: true })
      expect(garbage).toMatchObject([{ name: shown[0]?.name, result: 'removed' }])
      expect(readdirSync(directory)).toEqual(['volume'])
    })
  },
)

it('a link that is being swapped is not taken for what a kill has left', async () => {
  const temporary = await temporaryBeside(link)
  symlinkSync(DECRYPTED, temporary)
  expect((await volumeStatus([directory])).danglingLinks).toEqual([])
  expect((await collectGarbage({ places: [directory], apply: true })).garbage).toEqual([])
  expect(lstatSync(temporary).isSymbolicLink()).toBe(true)
})
