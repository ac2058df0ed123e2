import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { isInstalled } from '../harness/run.js'
import {
  copyScene,
  expectSuccess,
  leftovers,
  makeScene,
  onlyJson,
  type Scene,
  shell,
  start,
} from './scene.js'

const LONG_MS = 300_000
const OPTIONS = { timeout: LONG_MS }
const WAIT = { timeout: 60_000, interval: 20 }
const MODULE = '/usr/lib/softhsm/libsofthsm2.so'

/** A script that docs/signers.md shows. */
function documented(name: string): string {
  const text = readFileSync(new URL('../../docs/signers.md', import.meta.url), 'utf8')
  const opening = `cat >${name} <<'END'\n`
  const from = text.indexOf(opening) + opening.length
  return text.slice(from, text.indexOf('END\n', from))
}

let prepared: Scene
beforeAll(async () => {
  prepared = makeScene()
  for (const name of ['openssl-signer', 'pkcs11-signer']) {
    writeFileSync(join(prepared.work, name), documented(name), { mode: 0o755 })
  }
  await expectSuccess(
    shell(
      prepared,
      `set -e
      for name in a b c; do yes $name | head -c 100000 >$name.raw; done
      for type in RSA-PSS ECC_SECP384R1 ECC_SECP521R1; do
        volseal keypair create --type $type --out $type.pem
        volseal cert create --key $type.pem --subject CN=$type --out $type.crt
      done`,
    ),
  )
}, LONG_MS)

const TYPES = ['RSA-PSS', 'ECC_SECP384R1', 'ECC_SECP521R1']
const HASHES = ['SHA-224', 'SHA-256', 'SHA-384', 'SHA-512']
const PAIRS = TYPES.flatMap((type) => HASHES.map((hash) => [type, hash] as const))

describe('the documented signers', () => {
  const lacksJq = isInstalled('jq') ? '' : ' (needs Debian package jq)'
  it.skipIf(lacksJq !== '').each(PAIRS)(
    `openssl pkeyutl signs with %s and %s${lacksJq}`,
    OPTIONS,
    async (type, hash) => {
      const scene = await copyScene(prepared)
      const name = hash.toLowerCase().replace('-', '')
      const pss = '-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:max'
      const script = `set -e
        volseal sign a.raw b.raw --signer ./openssl-signer --signer-key-id ${type}.pem \
          --cert ${type}.crt --hash ${hash} --json
        volseal verify a.raw b.raw --cert ${type}.crt >&2
        openssl x509 -in ${type}.crt -noout -pubkey >key.pub
        openssl dgst -${name} -verify key.pub ${type === 'RSA-PSS' ? pss : ''} \
          -signature a.raw.signature a.raw >&2`
      const results = onlyJson({ stdout: await expectSuccess(shell(scene, script)) })['results']
      expect(results).toMatchObject([
        { ok: true, image: 'a.raw' },
        { ok: true, image: 'b.raw' },
      ])
      expect(leftovers(scene)).toEqual([])
    },
  )

  const lacking = ['jq', 'pkcs11-tool', 'softhsm2-util'].filter((name) => !isInstalled(name))
  const title = `pkcs11-tool signs with keys in a token${lacking.length > 0 ? ` (needs ${lacking.join(', ')})` : ''}`
  it.skipIf(lacking.length > 0)(title, OPTIONS, async () => {
    const scene = await copyScene(prepared)
    const script = `set -e
      mkdir tokens; echo "directories.tokendir = $PWD/tokens" >softhsm2.conf
      export SOFTHSM2_CONF=$PWD/softhsm2.conf
      export PKCS11_MODULE=${MODULE} PKCS11_TOKEN=images PKCS11_PIN=1234
      softhsm2-util --init-token --free --label images --so-pin 4321 --pin 1234 >&2
      id=1
      for type in ${TYPES.join(' ')}; do
        softhsm2-util --import $type.pem --token images --label $type --id 0$id --pin 1234 >&2
        volseal sign a.raw --signer ./pkcs11-signer --signer-key-id 0$id --cert $type.crt >&2
        volseal verify a.raw --cert $type.crt | grep accepted
        id=$((id + 1))
      done`
    expect(await expectSuccess(shell(scene, script))).toBe('accepted a.raw\n'.repeat(3))
    expect(leftovers(scene)).toEqual([])
  })
})

/** A program in the scene, as an author of a signer might get it wrong. */
function program({ work }: Scene, lines: string): string {
  writeFileSync(join(work, 'signer'), `#!/bin/sh\n${lines}\n`, { mode: 0o755 })
  return './signer'
}

/** Signs with such a program; nothing must be left of it. */
async function failing(lines: string, more = '') {
  const scene = await copyScene(prepared)
  const line = `volseal sign a.raw --signer ${program(scene, lines)} --cert RSA-PSS.crt ${more}`
  const before = readdirSync(scene.work).toSorted()
  const ended = await shell(scene, line)
  expect(readdirSync(scene.work).toSorted()).toEqual(before)
  expect(leftovers(scene)).toEqual([])
  return ended
}

describe('a signer that fails', () => {
  it.each([
    ['exits with 3', 'echo "no key" >&2; exit 3', 32, 'the signer ./signer failed: no key'],
    ['is killed', 'kill -9 $$', 32, 'exit code none (killed)'],
    ['says nothing', 'exit 0', 12, 'expected the signature in base64, got nothing'],
    ['prints raw bytes', 'head -c 256 /dev/urandom', 12, 'in base64'],
    ['prints another thing', 'head -c 256 /dev/zero | base64', 12, 'no RSA-PSS signature'],
    ['prints without end', 'yes', 32, 'more than 65536 characters'],
    ['does not read the request', 'exec <&-; echo AAAA', 12, 'no RSA-PSS signature'],
    ['hangs', 'trap "" TERM; sleep 1000; sleep 1000', 32, 'took longer than 1 s'],
  ])('%s', OPTIONS, async (_what, lines, code, message) => {
    const ended = await failing(lines, '--signer-timeout 1')
    expect(ended).toMatchObject({ code, stdout: '' })
    expect(ended.stderr).toContain(message)
  })

  it('is told from one that cannot be started', OPTIONS, async () => {
    const scene = await copyScene(prepared)
    for (const name of ['./missing', 'no-such-program', './a.raw', '/tmp']) {
      const line = `volseal sign a.raw --signer ${name} --cert RSA-PSS.crt`
      const { code, stderr } = await shell(scene, line)
      expect({ code, stderr }).toEqual({
        code: 2,
        stderr: expect.stringContaining(`--signer ${name}`),
      })
    }
  })

  it('leaves the images signed that it signed, and exit code 40', OPTIONS, async () => {
    const scene = await copyScene(prepared)
    const broken = 'test ! -e used && touch used && exec ./openssl-signer; exit 1'
    const line = `volseal sign a.raw b.raw --signer ${program(scene, broken)} --json`
    const ended = await shell(scene, `${line} --signer-key-id RSA-PSS.pem --cert RSA-PSS.crt`)
    expect(ended.code).toBe(40)
    expect(onlyJson(ended)['results']).toMatchObject([
      { ok: true, image: 'a.raw' },
      { ok: false, image: 'b.raw', error: { code: 'unavailable' } },
    ])
    expect(existsSync(join(scene.work, 'b.raw.signature'))).toBe(false)
  })
})

describe('a signer that leaves a daemon behind, which holds its output open', () => {
  /** In a session of its own, so that it outlives the signer however that ends. */
  const daemon = "setsid sh -c 'echo $$ >daemon; exec sleep 90' &"

  const signed = { code: 0, stdout: expect.stringContaining('signed a.raw') }
  const tooLate = { code: 32, stderr: expect.stringContaining('took longer than 1 s') }
  it.each([
    ['and has signed', 'exec ./openssl-signer', '', signed],
    ['and hangs', 'sleep 1000', '--signer-timeout 1', tooLate],
  ])('%s is not waited for', { timeout: 60_000 }, async (_what, rest, more, expected) => {
    const scene = await copyScene(prepared)
    const signer = program(scene, `${daemon} until test -s daemon; do sleep 0.1; done; ${rest}`)
    const line = `volseal sign a.raw --signer ${signer} --signer-key-id RSA-PSS.pem ${more}`
    const ended = await shell(scene, `${line} --cert RSA-PSS.crt </dev/null`)
    const pid = Number(readFileSync(join(scene.work, 'daemon'), 'utf8'))
    // It was there until the end, and it is the signer's own to end.
    expect(process.kill(pid, 'SIGKILL')).toBe(true)
    expect(ended).toMatchObject(expected)
  })
})

describe('a signer that is interrupted', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('by %s is ended with all that it has started', OPTIONS, async (signal, code) => {
    const scene = await copyScene(prepared)
    const signer = program(scene, 'echo $$ >pid; sleep 1000 & echo $! >>pid; wait')
    const line = `sign a.raw --signer ${signer} --cert RSA-PSS.crt`
    const running = start(scene, 'volseal', line.split(' '))
    const pids = await vi.waitFor(() => {
      const found = readFileSync(join(scene.work, 'pid'), 'utf8').trim().split('\n')
      expect(found.length).toBe(2)
      return found
    }, WAIT)
    process.kill(running.pid, signal)
    expect(await running.ended).toMatchObject({ code, stdout: '' })
    await vi.waitFor(() => {
      for (const pid of pids) expect(existsSync(`/proc/${pid}/cwd`)).toBe(false)
    }, WAIT)
    expect(existsSync(join(scene.work, 'a.raw.signature'))).toBe(false)
  })
})

describe('an interruption between images', () => {
  it('reports those that were signed until then', OPTIONS, async () => {
    const scene = await copyScene(prepared)
    const lines =
      'test ! -e used && touch used && exec ./openssl-signer; kill -INT $PPID; sleep 1000'
    const signer = program(scene, lines)
    const line = `volseal sign a.raw b.raw c.raw --signer ${signer} --signer-key-id RSA-PSS.pem`
    const ended = await shell(scene, `${line} --cert RSA-PSS.crt --json`)
    expect(ended.code).toBe(130)
    expect(onlyJson(ended)).toMatchObject({
      ok: false,
      error: { code: 'interrupted' },
      results: [{ ok: true, image: 'a.raw' }],
    })
    expect(existsSync(join(scene.work, 'a.raw.signature'))).toBe(true)
    expect(existsSync(join(scene.work, 'b.raw.signature'))).toBe(false)
  })
})

describe('options that contradict each other', () => {
  it.each([
    ['', 'one of --key and --signer'],
    ['--key RSA-PSS.pem --signer ./openssl-signer', 'one of --key and --signer'],
    ['--signer ./openssl-signer', 'public key is not known'],
    ['--key RSA-PSS.pem --signer-key-id 1', 'go with --signer'],
    ['--key RSA-PSS.pem --public-key RSA-PSS.pem', 'go with --signer'],
    ['--signer ./openssl-signer --cert RSA-PSS.crt --passphrase-fd 0', 'go with --key'],
    ['--signer ./openssl-signer --cert RSA-PSS.crt --signer-timeout 0', '1 to 86400 seconds'],
  ])('%s', OPTIONS, async (words, message) => {
    const { code, stderr } = await shell(prepared, `volseal sign a.raw ${words}`)
    expect(code).toBe(2)
    expect(stderr).toContain(message)
  })
})
