import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { KNOWN_PROVIDERS } from '../../src/encryptor/attach/encryption.js'
import {
  BACK_END_KINDS,
  BACK_ENDS,
  type BackEndKind,
  SECRET_STORE_FACTS,
  SECRET_STORES,
  type TypeEncryption,
} from '../../src/encryptor/volume-type/encryption-spec.js'
import { type BackEndVerdict, judgeSpec } from '../../src/encryptor/volume-type/judge-spec.js'
import { SPEC_RULES } from '../../src/encryptor/volume-type/spec-rules.js'
import { checkEncryptionSpec, SpecRefused } from '../../src/index.js'
import { qemuCreate, run, scratchDirectory } from '../harness/run.js'

const LONG_MS = 300_000
const scratch = scratchDirectory()
const DOCUMENT = new URL('../../docs/volume-types.md', import.meta.url)
const isRecording = process.env['VOLSEAL_RECORD'] === '1'

function spec(changes: Partial<TypeEncryption> = {}): TypeEncryption {
  return {
    provider: 'luks',
    cipher: 'aes-xts-plain64',
    keySize: 256,
    controlLocation: 'front-end',
    ...changes,
  }
}

function verdictOn(backEnd: BackEndKind, changes: Partial<TypeEncryption>): BackEndVerdict {
  const [verdict] = judgeSpec(spec(changes), { backEnds: [backEnd] })
  if (verdict === undefined) throw new Error('no verdict')
  return verdict
}

/** A spec that each rule is about, and the back ends where it must come up. */
const CASES: Readonly<Record<string, Partial<TypeEncryption>>> = {
  'no-cipher': { cipher: null },
  'key-not-drawn': { keySize: null },
  'key-depends-on-store': { keySize: 512 },
  'control-location-bare': { controlLocation: 'back-end' },
  'control-location-ignored': { controlLocation: 'back-end' },
  'encrypts-nothing': { provider: 'nova.volume.encryptors.nop.NoopEncryptor' },
  'provider-unknown': { provider: 'frobnicate' },
  'provider-not-luks': { provider: 'luks2' },
  'cipher-not-three-parts': { cipher: 'aes-xts' },
  'qemu-cipher': { keySize: 512 },
  'qemu-mode': { cipher: 'aes-gcm-random' },
  'qemu-iv': { cipher: 'aes-cbc-essiv:sha256' },
  'qemu-192-bits': { cipher: 'aes-cbc-plain64', keySize: 192 },
  'block-key-size': { keySize: 128 },
  'block-cipher-without-iv': { cipher: 'aes-xts' },
  'xts-half': { keySize: 256 },
  'luks2-clone': { provider: 'luks2' },
  'plain-unchecked': { provider: 'plain' },
  'old-name': { provider: 'nova.volume.encryptors.luks.LuksEncryptor' },
}

describe('the rules about encryption specs', () => {
  it('have a case each', () => {
    expect(Object.keys(CASES)).toEqual(SPEC_RULES.map(({ code }) => code))
  })

  it.each(SPEC_RULES)('$code', ({ code, backEnds, effect, source }) => {
    for (const backEnd of BACK_END_KINDS) {
      const found = verdictOn(backEnd, CASES[code] ?? {}).findings.find((one) => one.code === code)
      if (backEnds.includes(backEnd)) expect(found).toMatchObject({ effect, source })
      else expect(found).toBeUndefined()
    }
    if (code !== 'xts-half') {
      const good = judgeSpec(spec()).flatMap(({ findings }) => findings)
      expect(good.map((finding) => finding.code)).not.toContain(code)
    }
  })

  it('let a spec be encrypted that no failing one is about', () => {
    expect(judgeSpec(spec()).map(({ outcome }) => outcome)).toEqual(Array(3).fill('encrypted'))
  })
})

/** What cinder tells qemu-img for a volume on RBD (rbd.py _create_encrypted_volume). */
function qemuMakes({ cipher, keySize }: TypeEncryption): string {
  const [algorithm = '', mode = '', iv = ''] = (cipher ?? '').split('-')
  const options = [
    `cipher-alg=${algorithm}-${keySize}`,
    `cipher-mode=${mode}`,
    `ivgen-alg=${iv}`,
    'iter-time=10',
  ]
  return attempted((directory, key) => {
    const file = join(directory, 'volume')
    const object = `secret,id=s,format=raw,file=${key}`
    qemuCreate([
      '-f',
      'luks',
      '-o',
      options.join(','),
      '--object',
      object,
      '-o',
      'key-secret=s',
      file,
      '1M',
    ])
    return volumeKeyBits(file)
  })
}

/** What os-brick and cinder tell cryptsetup (os_brick/encryptors/luks.py _format_volume). */
function cryptsetupMakes({ provider, cipher, keySize }: TypeEncryption): string {
  return attempted((directory, key) => {
    const file = join(directory, 'volume')
    run('truncate', ['-s', '20M', file])
    run(
      'cryptsetup',
      [
        '--batch-mode',
        'luksFormat',
        '--type',
        provider === 'luks' ? 'luks1' : provider,
        '--key-file=-',
        '--cipher',
        cipher ?? '',
        '--key-size',
        String(keySize),
        '--pbkdf',
        'pbkdf2',
        '--pbkdf-force-iterations',
        '1000',
        file,
      ],
      readFileSync(key),
    )
    return volumeKeyBits(file)
  })
}

function volumeKeyBits(file: string): string {
  const dump = run('cryptsetup', ['luksDump', file]).toString()
  return /(?:MK bits:|Cipher key:)\s+(\d+)/.exec(dump)?.[1] ?? dump
}

/** What `make` returns, or why it fails. */
function attempted(make: (directory: string, key: string) => string): string {
  const directory = mkdtempSync(join(scratch, 'volume-'))
  const key = join(directory, 'key')
  writeFileSync(key, '0123456789abcdef'.repeat(4), { mode: 0o600 })
  try {
    return make(directory, key)
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

const QEMU_SPECS: readonly Partial<TypeEncryption>[] = [
  {},
  { keySize: 128 },
  { keySize: 192 },
  { keySize: 512 },
  { keySize: 64 },
  { cipher: 'aes-cbc-plain64' },
  { cipher: 'aes-cbc-plain64', keySize: 192 },
  { cipher: 'aes-cbc-essiv' },
  { cipher: 'aes-cbc-essiv:sha256' },
  { cipher: 'aes-ctr-plain64' },
  { cipher: 'aes-gcm-random' },
  { cipher: 'camellia-xts-plain64' },
]

describe('qemu-img, as cinder calls it for RBD and files', () => {
  it.each(QEMU_SPECS)('makes what is said of %j', { timeout: LONG_MS }, (changes) => {
    const made = qemuMakes(spec(changes))
    // Whether Barbican draws the key is another matter.
    const findings = verdictOn('rbd', changes).findings.filter(({ code }) =>
      code.startsWith('qemu'),
    )
    const failure = findings.find(({ effect }) => effect === 'fails')
    if (failure === undefined) {
      const bits = changes.keySize ?? 256
      const isXts = !(changes.cipher ?? 'xts').match(/cbc|ctr/)
      expect(made).toBe(String(isXts ? bits * 2 : bits))
      return
    }
    const quoted = /"(.*)"/.exec(failure.message)?.[1] ?? 'Assertion'
    expect(made).toContain(quoted)
  })
})

const BLOCK_SPECS: readonly Partial<TypeEncryption>[] = [
  {},
  { keySize: 512 },
  { keySize: 128 },
  { keySize: 192 },
  { keySize: 384 },
  { provider: 'luks2' },
  { provider: 'luks2', keySize: 512 },
  { provider: 'luks2', keySize: 128 },
  { cipher: 'aes-cbc-essiv:sha256' },
  { cipher: 'aes-cbc-plain64', keySize: 128 },
  { cipher: 'aes-cbc-plain64', keySize: 192 },
  { cipher: 'aes-cbc-plain64', keySize: 512 },
  { cipher: 'aes-cbc-essiv' },
  { cipher: 'aes-xts' },
  { cipher: 'aes' },
]

describe('cryptsetup, as os-brick calls it for block devices', () => {
  it.each(BLOCK_SPECS)('makes what is said of %j', { timeout: LONG_MS }, (changes) => {
    const made = cryptsetupMakes(spec(changes))
    const { findings } = verdictOn('block', changes)
    const failure = findings.find(
      ({ code, effect }) => effect === 'fails' && code !== 'key-not-drawn',
    )
    if (failure === undefined) expect(made).toBe(String(changes.keySize ?? 256))
    else expect(made).toContain(/: "(.*)"/.exec(failure.message)?.[1] ?? 'Command failed')
  })
})

describe('what a spec gives', () => {
  it.each([
    ['block', {}, 'luks1', 'AES-128-XTS', 'qemu'],
    ['rbd', {}, 'luks1', 'AES-256-XTS', 'qemu'],
    ['nfs', {}, 'luks1', 'AES-256-XTS', 'qemu'],
    ['block', { keySize: 512 }, 'luks1', 'AES-256-XTS', 'qemu'],
    ['block', { provider: 'luks2', keySize: 512 }, 'luks2', 'AES-256-XTS', 'dm-crypt'],
    ['block', { provider: 'plain' }, 'plain', 'AES-128-XTS', 'dm-crypt'],
    ['rbd', { keySize: 128 }, 'luks1', 'AES-128-XTS', 'qemu'],
    ['block', { cipher: 'aes' }, 'luks1', 'AES-256-CBC', 'qemu'],
  ] as const)('%s %j: %s, %s, decrypted by %s', (backEnd, changes, format, cipher, opener) => {
    expect(verdictOn(backEnd, changes)).toMatchObject({
      outcome: 'encrypted',
      format,
      effectiveCipher: cipher,
      opener,
    })
  })

  it.each(KNOWN_PROVIDERS)('the provider %s is %s', (provider, format) => {
    const outcome = format === 'none' ? 'clear' : 'encrypted'
    expect(verdictOn('block', { provider }).outcome).toBe(outcome)
    expect(verdictOn('rbd', { provider }).outcome).toBe(format === 'luks' ? 'encrypted' : 'fails')
  })

  it('recommends what gives AES-256, and nothing where it does', () => {
    for (const backEnd of BACK_END_KINDS) {
      const { recommended } = checkEncryptionSpec(spec({ keySize: 256 }), { backEnds: [backEnd] })
      expect(recommended.map(({ spec: { keySize } }) => keySize)).toEqual(
        backEnd === 'block' ? [512] : [],
      )
      for (const better of recommended) {
        const again = checkEncryptionSpec(better.spec, { backEnds: better.backEnds })
        expect(again.recommended).toEqual([])
        expect(again.backEnds[0]?.effectiveCipher).toBe(better.effectiveCipher)
      }
    }
  })

  it('knows which secret store draws the key', () => {
    const block = { backEnds: ['block'] } as const
    const hard = spec({ keySize: 512 })
    for (const secretStore of SECRET_STORES) {
      const draws = SECRET_STORE_FACTS[secretStore].draws('aes', 512)
      const check = (): unknown => checkEncryptionSpec(hard, { ...block, secretStore })
      if (draws) expect(check).not.toThrow()
      else expect(check).toThrow(SpecRefused)
    }
    const { recommended } = checkEncryptionSpec(spec({ provider: 'plain' }), {
      ...block,
      secretStore: 'simple_crypto',
    })
    expect(recommended[0]?.spec.keySize).toBe(256)
  })

  it('is refused where it stores in clear, where nothing works, and where what is named does not', () => {
    const refused = (changes: Partial<TypeEncryption>, backEnds?: BackEndKind[]): unknown => {
      try {
        return checkEncryptionSpec(spec(changes), { backEnds }).backEnds.length
      } catch (error) {
        if (!(error instanceof SpecRefused)) throw error
        return [error.code, error.report.recommended.length]
      }
    }
    expect(refused({ controlLocation: 'back-end' })).toEqual(['no-device', 2])
    expect(refused({ cipher: null })).toEqual(['no-device', 2])
    expect(refused({ provider: 'luks2' }, ['nfs'])).toEqual(['no-device', 1])
    expect(refused({ provider: 'luks2' })).toBe(3)
    expect(refused({ controlLocation: 'Front-End' })).toBe(3)
  })
})

describe('docs/volume-types.md', () => {
  it('has the tables that the code has', () => {
    const written = readFileSync(DOCUMENT, 'utf8')
    const turnedOut = written
      .replace(/(?<=<!-- rules -->\n)[\s\S]*?(?=<!-- end -->)/, rulesTable())
      .replace(/(?<=<!-- stores -->\n)[\s\S]*?(?=<!-- end -->)/, storesTable())
      .replace(/(?<=<!-- providers -->\n)[\s\S]*?(?=<!-- end -->)/, providersTable())
      .replace(/(?<=<!-- back ends -->\n)[\s\S]*?(?=<!-- end -->)/, backEndsTable())
    if (isRecording) writeFileSync(DOCUMENT, turnedOut)
    expect(turnedOut).toBe(written)
  })
})

function rulesTable(): string {
  return markdown(
    ['spec', 'back ends', '', 'what happens', 'source'],
    SPEC_RULES.map(({ code, when, backEnds, effect, what, source }) => {
      const [verdict] = judgeSpec(spec(CASES[code]), { backEnds })
      const example = verdict?.findings.find((one) => one.code === code)?.message ?? what.name
      return [when, backEnds.join(', '), effect, example, source]
    }),
  )
}

function storesTable(): string {
  const facts = SECRET_STORES.map((name) => [
    name,
    SECRET_STORE_FACTS[name].keys,
    SECRET_STORE_FACTS[name].source,
  ])
  return markdown(['secret store', 'draws', 'source'], facts)
}

function providersTable(): string {
  return markdown(
    ['provider', 'becomes'],
    KNOWN_PROVIDERS.map(([name, format]) => [name, format]),
  )
}

function backEndsTable(): string {
  return markdown(
    ['', 'back end', 'header made by', 'on disk', 'source'],
    BACK_END_KINDS.map((kind) => {
      const { name, maker, onDisk, source } = BACK_ENDS[kind]
      return [kind, name, maker, onDisk, source]
    }),
  )
}

function markdown(heading: readonly string[], lines: readonly (readonly string[])[]): string {
  const rule = heading.map(() => '---')
  return `${[heading, rule, ...lines]
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`)
    .join('\n')}\n`
}
