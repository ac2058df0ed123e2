import { describe, expect, it } from 'vitest'
import { expectSuccess, makeScene, onlyJson, run, shell } from './scene.js'

const LONG_MS = 600_000

/** Around the sizes at which 32-bit numbers end; sparse files, so that no disk is needed. */
const SIZES = [
  [2 ** 31 + 1, true],
  [2 ** 31 - 1, false],
  [2 ** 31, false],
  [2 ** 32 - 1, false],
  [2 ** 32, false],
  [2 ** 32 + 1, false],
] as const

const isLong = process.env['VOLSEAL_LONG'] === '1'

const PREPARATION = `
set -e
volseal keypair create --type RSA-PSS --bits 2048 --out key.pem
volseal cert create --key key.pem --subject CN=signer --out cert.pem
`

describe('images of many bytes', () => {
  for (const [size, always] of SIZES) {
    // The long run has its own list: what it leaves out is not lacking here.
    if (!always && !isLong) continue
    it(`${size} bytes`, { timeout: LONG_MS }, async () => {
      const scene = makeScene()
      await expectSuccess(shell(scene, PREPARATION))
      // The last byte tells whether all was read.
      const make = `truncate -s ${size - 1} image.raw; printf X >>image.raw`
      await expectSuccess(shell(scene, make))
      const [digest] = (await expectSuccess(run(scene, 'sha256sum', ['image.raw']))).split(' ')
      const sign = 'volseal sign image.raw --key key.pem --cert cert.pem --json'
      expect(onlyJson(await shell(scene, sign))).toMatchObject({ ok: true, size, digest })
      const verify = 'volseal verify image.raw --cert cert.pem --json'
      expect(onlyJson(await shell(scene, verify))).toMatchObject({ ok: true, size, digest })
    })
  }

  for (const size of isLong ? [2 ** 32 + 1] : []) {
    it(`${size} bytes are written`, { timeout: LONG_MS }, async () => {
      const scene = makeScene()
      await expectSuccess(shell(scene, PREPARATION))
      await expectSuccess(shell(scene, `truncate -s ${size - 1} image.raw; printf X >>image.raw`))
      await expectSuccess(shell(scene, 'volseal sign image.raw --key key.pem --cert cert.pem'))
      const write = 'volseal write image.raw disk.raw --cert cert.pem --json'
      expect(onlyJson(await shell(scene, write))).toMatchObject({ bytesWritten: size })
      await expectSuccess(run(scene, 'cmp', ['image.raw', 'disk.raw']))
    })
  }
})
