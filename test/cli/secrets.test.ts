import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { copyScene, expectSuccess, leftovers, makeScene, type Scene, shell } from './scene.js'

const LONG_MS = 300_000
const OPTIONS = { timeout: LONG_MS }

/** A key and a passphrase that can be recognised wherever they turn up. */
const KEY = createHash('sha256').update('a key that must not be seen').digest()
const PASSPHRASE = 'correct-horse-battery-staple'

/** All the forms in which a secret could leak. */
function formsOf(secret: Buffer): Buffer[] {
  const texts = [secret.toString('hex'), secret.toString('base64').replace(/=+$/, '')]
  return [secret, ...texts.map((text) => Buffer.from(text))]
}

const FORMS: readonly Buffer[] = [
  ...formsOf(KEY),
  ...formsOf(Buffer.from(PASSPHRASE)),
  // What opens the volume is the key's hex, which somebody may encode once more.
  Buffer.from(Buffer.from(KEY.toString('hex')).toString('base64')),
]

function holdsSecret(content: Buffer): boolean {
  return FORMS.some((form) => content.includes(form))
}

const PREPARATION = `
set -e
yes 'the bytes of an image' | head -c 1000000 >image.raw
volseal keypair create --type ECC_SECP384R1 --passphrase-file ../passphrase --out key.pem
volseal cert create --key key.pem --passphrase-file ../passphrase --subject CN=signer --out cert.pem
volseal sign image.raw --key key.pem --passphrase-file ../passphrase --cert cert.pem
truncate -s 20M volume.img
volseal secret put ../key --type symmetric >../key-id
volseal secret put ../passphrase --type passphrase >../passphrase-id
cat ../key-id ../passphrase-id
`

let prepared: Scene
beforeAll(async () => {
  const scene = makeScene()
  writeFileSync(join(scene.work, '..', 'key'), KEY)
  writeFileSync(join(scene.work, '..', 'passphrase'), PASSPHRASE)
  const printed = await expectSuccess(shell(scene, PREPARATION))
  const [keyId = '', passphraseId = ''] = printed.trimEnd().split('\n').slice(-2)
  prepared = { ...scene, env: { ...scene.env, KEY_ID: keyId, PASSPHRASE_ID: passphraseId } }
}, LONG_MS)

/** Commands that start other programs with a secret. */
const VOLUMES: readonly string[] = [
  'write image.raw volume.img --cert cert.pem --encrypt luks --key-id "$KEY_ID" --key-is-random',
  'luks format volume.img --provider luks --key-id "$KEY_ID" --key-is-random',
  'luks format volume.img --provider luks2 --key-id "$KEY_ID" --key-is-random',
]

/** Every command that has to do with a secret, and does not hand it out. */
const COMMANDS: readonly string[] = [
  ...VOLUMES,
  'secret put ../key --type symmetric',
  'secret put ../passphrase --type passphrase --metadata a=b',
  'secret show "$KEY_ID"',
  'secret list',
  'keystore check',
  'keystore backup copy',
  'keystore rekey --new-passphrase-file ../passphrase',
  'keypair create --type ECC_SECP384R1 --passphrase-file ../passphrase --out new.pem',
  'cert create --key key.pem --passphrase-file ../passphrase --subject CN=x --out new.pem',
  'sign image.raw --key key.pem --passphrase-file ../passphrase --cert cert.pem',
  // Failures, which like to say too much.
  'secret get "$KEY_ID" --out image.raw',
  'secret put ../key --type certificate',
  'sign image.raw --key ../key',
  'sign image.raw --key key.pem --passphrase-file ../key',
  'verify image.raw --cert ../key',
  'verify image.raw --cert cert.pem --properties ../passphrase',
  'verify image.raw --cert cert.pem --signature ../passphrase --hash SHA-256 --key-type ECC_SECP384R1',
  'secret list --key-store-key ../passphrase',
  'luks format volume.img --provider luks --key-id "$PASSPHRASE_ID" --pbkdf fast',
]

describe('secrets', { concurrent: true }, () => {
  it.each(COMMANDS)('are not printed by %s', OPTIONS, async (line) => {
    for (const more of ['', ' --json']) {
      const scene = await copyScene(prepared)
      const { stdout, stderr } = await shell(scene, `volseal ${line}${more}`)
      expect(stdout + stderr).not.toBe('')
      expect(holdsSecret(Buffer.from(stdout + stderr))).toBe(false)
      expect(filesWithSecret(scene)).toEqual(['key', 'passphrase'])
      expect(leftovers(scene)).toEqual([])
    }
  })

  it('are found where they are, or these tests would say nothing', OPTIONS, async () => {
    const scene = await copyScene(prepared)
    const { stdout } = await shell(scene, 'volseal secret get "$KEY_ID" --json')
    expect(holdsSecret(Buffer.from(stdout))).toBe(true)
    await shell(scene, 'volseal secret get "$PASSPHRASE_ID" --out got')
    expect(filesWithSecret(scene)).toEqual(['here/got', 'key', 'passphrase'])
  })
})

/** Every file of the scene, the key store and the volumes too, that holds a secret as it is. */
function filesWithSecret({ work }: Scene): string[] {
  const root = join(work, '..')
  const files = readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
  return files
    .filter((file) => holdsSecret(readFileSync(file)))
    .map((file) => file.slice(root.length + 1))
    .toSorted()
}

const canTrace = spawnSync('strace', ['-f', '-o', '/dev/null', 'true']).status === 0

/** Deriving a key from a passphrase takes seconds; so this one is run once only. */
const TRACED: readonly string[] = [
  ...VOLUMES,
  'luks format volume.img --provider luks2 --key-id "$PASSPHRASE_ID" --pbkdf pbkdf2',
]

const TRACE = 'execve,openat,mknod,mknodat,write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg'

/** `strace -xx` shows every byte as `\x61`. */
function inTrace(form: Buffer): string {
  return form.toString('hex').replaceAll(/../g, String.raw`\x$&`)
}

const NEEDS = 'system calls (need strace, and the right to trace)'

describe.skipIf(!canTrace)(NEEDS, { concurrent: true }, () => {
  it.each(TRACED)('%s hands secrets over through pipes only', OPTIONS, async (line) => {
    const scene = await copyScene(prepared)
    const trace = join(scene.work, '..', 'trace')
    const strace = `strace -f -v -y -xx -s 4096 -e trace=${TRACE} -o ${trace}`
    const printed = await expectSuccess(shell(scene, `${strace} volseal ${line}`))
    expect(holdsSecret(Buffer.from(printed))).toBe(false)
    const calls = readFileSync(trace, 'latin1').split('\n')
    const programs = calls.filter((call) => /^\d+ +execve\(/.test(call))
    expect(programs.length).toBeGreaterThan(2)
    expect(programs.filter(tellsSecret)).toEqual([])
    const told = calls.filter(tellsSecret).map(targetOf)
    expect(told).not.toEqual([])
    const pipes = namedPipes(calls)
    expect(told.filter((target) => !isPipe(target, pipes))).toEqual([])
  })
})

const TOLD: readonly string[] = FORMS.map(inTrace)

function tellsSecret(call: string): boolean {
  return TOLD.some((form) => call.includes(form))
}

/** What is written to: `write(5<…>, …` says so behind the descriptor. */
function targetOf(call: string): string {
  const target = /^\d+ +\w+\(\d+<([^>]*)>/.exec(call)?.[1]
  return target === undefined ? call.slice(0, 80) : decoded(target)
}

/** FIFOs that have a name: `mknodat(AT_FDCWD, "…", S_IFIFO|0600)`. */
function namedPipes(calls: readonly string[]): string[] {
  return calls.flatMap((call) => {
    const path = /mknod(?:at)?\((?:\w+(?:<[^>]*>)?, )?"([^"]*)", S_IFIFO/.exec(call)?.[1]
    return path === undefined ? [] : [decoded(path)]
  })
}

function isPipe(target: string, named: readonly string[]): boolean {
  return /^(?:pipe|socket|UNIX[\w-]*):?\[/.test(target) || named.includes(target)
}

function decoded(hex: string): string {
  return Buffer.from(hex.replaceAll(String.raw`\x`, ''), 'hex').toString()
}
