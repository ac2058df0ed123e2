import { beforeAll, describe, expect, it } from 'vitest'
import { EXIT_CODES } from '../../src/cli/exit-codes.js'
import { IN_A_CLOUD, PATHS } from './commands.js'
import { preparedScene } from './prepared.js'
import { copyScene, type Ended, leftovers, onlyJson, type Scene, shell } from './scene.js'

const LONG_MS = 300_000

interface Row {
  /** A command line that succeeds, and the documented fields of its answer. */
  readonly good: string
  readonly fields: readonly string[]
  /** One that fails, its exit code, and the fields that it has all the same. */
  readonly bad: string
  readonly code: number
  readonly badFields?: readonly string[]
  /** Run before both. */
  readonly before?: string
}

const UNKNOWN = '8a944ca4-e4b2-41e5-991c-41f30b7fefc9'
const SECRET = ['id', 'type', 'name', 'algorithm', 'bitLength', 'origin', 'created', 'metadata']
const VERDICT = ['verdict', 'image', 'trust', 'policy', 'digest', 'size', 'saltLength', 'checks']
const VOLUME = ['device', 'provider', 'uuid', 'cipher', 'keySize', 'effectiveCipher', 'sectorSize']

/** Every command: a new one without a row fails the first test. */
/** A volume that is not encrypted: what there is to do without a device-mapper. */
const PLAIN_CONNECTION = `echo '{"data": {"device_path": "/dev/vdb"}}' >connection.json`

const ROWS: Readonly<Record<string, Row>> = {
  attach: {
    before: PLAIN_CONNECTION,
    good: 'attach --connection-info connection.json',
    fields: ['encrypted', 'path'],
    bad: 'attach missing.img --key-id "$KEY_ID"',
    code: 23,
  },
  detach: {
    before: PLAIN_CONNECTION,
    good: 'detach missing.img',
    fields: ['mapping', 'detached', 'device', 'link'],
    bad: 'detach missing.img --connection-info connection.json',
    code: 2,
  },
  extend: {
    before: PLAIN_CONNECTION,
    good: 'extend --connection-info connection.json',
    fields: ['encrypted', 'path'],
    bad: 'extend missing.img --key-id "$KEY_ID"',
    code: 23,
  },
  status: { good: 'status', fields: ['mappings', 'danglingLinks'], bad: 'status x', code: 2 },
  gc: { good: 'gc', fields: ['applied', 'garbage'], bad: 'gc x', code: 2 },
  'keypair create': {
    good: 'keypair create --type ECC_SECP384R1 --out new.pem',
    fields: ['out', 'keyType', 'encrypted'],
    bad: 'keypair create --type ECC_SECP384R1 --out key.pem',
    code: 2,
  },
  'cert create': {
    good: 'cert create --key key.pem --subject CN=x --out new.pem',
    fields: ['out', 'subject', 'issuer', 'notBefore', 'notAfter', 'fingerprint', 'keyTypes'],
    bad: 'cert create --key cert.pem --subject CN=x --out new.pem',
    code: 12,
  },
  'cert request': {
    good: 'cert request --key key.pem --subject CN=x --out new.pem',
    fields: ['out', 'subject'],
    bad: 'cert request --key missing.pem --subject CN=x --out new.pem',
    code: 31,
  },
  'cert inspect': {
    good: 'cert inspect cert.pem',
    fields: ['subject', 'issuer', 'notBefore', 'notAfter', 'fingerprint', 'publicKey', 'keyTypes'],
    bad: 'cert inspect key.pem',
    code: 12,
  },
  'cert check': {
    good: 'cert check cert.pem --trusted cert.pem',
    fields: ['verdict', 'trust', 'at', 'path', 'signatureChecks'],
    bad: 'cert check cert.pem --trusted cert.pem --at 2300-01-01',
    badFields: ['verdict', 'trust', 'path'],
    code: 13,
  },
  'secret put': {
    good: 'secret put cert.pem --type certificate',
    fields: ['id', 'type', 'name'],
    bad: 'secret put missing.pem --type certificate',
    code: 31,
  },
  'secret create': {
    good: 'secret create --bits 128',
    fields: ['id', 'algorithm', 'bitLength', 'name'],
    bad: 'secret create --bits 7',
    code: 2,
  },
  'secret get': {
    good: 'secret get "$KEY_ID"',
    fields: [...SECRET, 'payload'],
    bad: `secret get ${UNKNOWN}`,
    code: 31,
  },
  'secret show': {
    good: 'secret show "$KEY_ID"',
    fields: SECRET,
    bad: `secret show ${UNKNOWN}`,
    code: 31,
  },
  'secret list': {
    good: 'secret list',
    fields: ['secrets'],
    bad: 'secret list --key-store nowhere',
    code: 31,
  },
  'secret delete': {
    good: 'secret delete "$KEY_ID"',
    fields: ['id'],
    bad: 'secret delete not-an-id',
    code: 2,
  },
  'keystore check': {
    good: 'keystore check',
    fields: ['secrets', 'damaged', 'leftovers', 'removed', 'unfinishedRekey'],
    before: 'volseal keystore backup copy; printf X >>"copy/$KEY_ID.json"',
    bad: 'keystore check --key-store copy',
    code: 33,
    badFields: ['secrets', 'damaged', 'leftovers'],
  },
  'keystore backup': {
    good: 'keystore backup other',
    fields: ['directory', 'secrets', 'damaged'],
    before: 'volseal keystore backup copy; printf X >>"copy/$KEY_ID.json"',
    bad: 'keystore backup another --key-store copy',
    code: 33,
    badFields: ['directory', 'secrets', 'damaged'],
  },
  'keystore rekey': {
    good: 'keystore rekey --new-key new.key',
    fields: ['secrets'],
    before: 'echo other >passphrase',
    bad: 'keystore rekey --new-key other.key --key-store-passphrase-file passphrase',
    code: 33,
  },
  'policy check': {
    good: 'policy check policy.yaml --project p',
    fields: ['policy', 'problems', 'warnings', 'rules', 'applies', 'considered'],
    before: 'echo "rules: 1" >bad.yaml',
    bad: 'policy check bad.yaml',
    code: 2,
    badFields: ['policy', 'problems', 'warnings', 'rules'],
  },
  'volume-type check': {
    good: 'volume-type check --provider luks --cipher aes-xts-plain64 --key-size 256',
    fields: ['type', 'inUse', 'spec', 'backEnds', 'recommended'],
    bad: 'volume-type check --provider luks2 --cipher aes-xts-plain64 --key-size 256 --back-end rbd',
    code: 23,
    badFields: ['type', 'inUse', 'spec', 'backEnds', 'recommended'],
  },
  sign: {
    good: 'sign image.raw --key key.pem --cert-id "$CERT_ID"',
    fields: ['image', 'digest', 'size', 'saltLength', 'properties', 'files'],
    bad: 'sign image.raw --key cert.pem',
    code: 12,
  },
  verify: {
    good: 'verify image.raw --cert cert.pem',
    fields: VERDICT,
    before: 'cp image.raw.signature.json cert.pem.signature.json',
    bad: 'verify cert.pem --cert cert.pem',
    code: 10,
    badFields: VERDICT,
  },
  inspect: {
    good: 'inspect image.raw',
    fields: ['image', 'format', 'size', 'virtualSize', 'findings'],
    before: 'qemu-img create -q -f qcow2 -b image.raw -F raw backed.qcow2',
    bad: 'inspect backed.qcow2',
    code: 14,
    badFields: ['image', 'format', 'size', 'virtualSize', 'findings'],
  },
  write: {
    good: 'write image.raw volume.img --cert cert.pem --encrypt luks --key-id "$KEY_ID"',
    fields: [
      'image',
      'target',
      'format',
      'bytesWritten',
      'digest',
      'signatureVerified',
      'encrypted',
    ],
    bad: 'write image.raw luks.img --cert cert.pem',
    code: 21,
  },
  'luks format': {
    good: 'luks format volume.img --provider luks2 --key-id "$KEY_ID"',
    fields: [...VOLUME, 'payloadOffset', 'payloadSize', 'keyslots', 'keyId', 'replaced'],
    bad: 'luks format luks.img --provider luks2 --key-id "$KEY_ID"',
    code: 21,
  },
  'luks inspect': {
    good: 'luks inspect luks.img',
    fields: [...VOLUME, 'payloadOffset', 'payloadSize', 'keyslots', 'tokens'],
    bad: 'luks inspect image.raw',
    code: 31,
  },
  'luks check': {
    good: 'luks check luks.img --key-id "$KEY_ID"',
    fields: ['device', 'uuid', 'keyId', 'opens', 'form', 'keyslots', 'others'],
    bad: 'luks check luks.img --key-id "$(cat other-id)"',
    code: 20,
    badFields: ['device', 'uuid', 'keyId', 'opens', 'form', 'keyslots', 'others'],
    before: 'volseal secret create >other-id',
  },
  'luks rekey': {
    good: 'luks rekey luks.img --key-id "$KEY_ID"',
    fields: ['device', 'uuid', 'state', 'oldKeyId', 'newKeyId', 'keyslots', 'others', 'backup'],
    bad: 'luks rekey luks.img --key-id "$(cat other-id)"',
    code: 20,
    before: 'volseal secret create >other-id',
  },
  'luks tune': {
    good: 'luks tune luks.img --key-id "$KEY_ID"',
    fields: ['device', 'uuid', 'keyId', 'state', 'before', 'after', 'backup'],
    bad: 'luks tune luks.img --key-id "$CERT_ID"',
    code: 2,
  },
  'luks backup': {
    good: 'luks backup luks.img --out luks.header',
    fields: ['file', 'device', 'uuid', 'version', 'deviceSize', 'headerBytes', 'created', 'keyId'],
    bad: 'luks backup image.raw --out other.header',
    code: 31,
  },
  'luks restore': {
    good: 'luks restore luks.header luks.img',
    fields: [...VOLUME, 'keyslots', 'tokens', 'backup'],
    bad: 'luks restore luks.header volume.img',
    code: 21,
    before: 'volseal luks backup luks.img --out luks.header',
  },
  completion: {
    good: 'completion bash',
    fields: ['shell', 'script'],
    bad: 'completion tcsh',
    code: 2,
  },
}

let prepared: Scene
beforeAll(async () => {
  prepared = await preparedScene()
}, LONG_MS)

describe.concurrent('--json', () => {
  it('is tested for every command', () => {
    const here = PATHS.filter((path) => !IN_A_CLOUD.has(path))
    expect(Object.keys(ROWS).toSorted()).toEqual(here.toSorted())
  })

  it.each(Object.entries(ROWS))('%s', { timeout: LONG_MS }, async (path, row) => {
    const scene = await copyScene(prepared)
    if (row.before !== undefined) await shell(scene, row.before)
    expectFailure(await shell(scene, `volseal ${row.bad} --json`), path, row.code, row.badFields)
    expectSuccess(await shell(scene, `volseal ${row.good} --json`), path, row.fields)
    expectFailure(await shell(scene, `volseal ${path} --frobnicate --json`), path, 2)
    expect(leftovers(scene)).toEqual([])
  })

  it('tells the same of a command that does not exist', async () => {
    expectFailure(await shell(prepared, 'volseal frobnicate --json'), 'volseal', 2)
    expectFailure(await shell(prepared, 'volseal --json'), 'volseal', 2)
  })

  it('has results[] for several images', { timeout: LONG_MS }, async () => {
    const scene = await copyScene(prepared)
    const line = 'volseal verify image.raw missing.raw --cert cert.pem --json'
    const { results } = expectFailure(await shell(scene, line), 'verify', 40, ['results'])
    expect(results).toMatchObject([
      { ok: true, image: 'image.raw', verdict: 'accepted' },
      { ok: false, image: 'missing.raw', error: { cause: { code: 'not-found' } } },
    ])
  })

  it('names the cause of what could not be checked', async () => {
    const line = 'volseal verify missing.raw --cert cert.pem --json'
    const { error } = expectFailure(await shell(prepared, line), 'verify', 15)
    expect(error).toMatchObject({ cause: { code: 'not-found' } })
  })

  it('prints progress as JSON lines on standard error only', async () => {
    const line = 'volseal verify image.raw --cert cert.pem --json --progress json'
    const ended = await shell(prepared, line)
    expect(onlyJson(ended)).toMatchObject({ ok: true })
    for (const text of ended.stderr.split('\n').filter(Boolean)) {
      expect(JSON.parse(text)).toMatchObject({ phase: 'verifying' })
    }
  })
})

/** Prefix of all schemas, and the words of the command. */
function schemaOf(path: string): string {
  return `volseal/${path.replaceAll(' ', '-')}/1`
}

function expectSuccess(ended: Ended, path: string, fields: readonly string[]): void {
  const answer = onlyJson(ended)
  expect(answer).toMatchObject({ schema: schemaOf(path), ok: true })
  expect(answer).not.toHaveProperty('error')
  expect(ended.code).toBe(0)
  expectConventions(ended, answer, fields)
}

function expectFailure(
  ended: Ended,
  path: string,
  code: number,
  fields: readonly string[] = [],
): Record<string, unknown> {
  const answer = onlyJson(ended)
  expect(answer).toMatchObject({ schema: schemaOf(path), ok: false })
  expect(ended.code).toBe(code)
  expectError(answer['error'], code)
  expectConventions(ended, answer, fields)
  return answer
}

function expectError(error: unknown, code: number): void {
  const { code: name, ...rest } = Object(error)
  expect(Object.entries(EXIT_CODES).find(([known]) => known === name)?.[1][0]).toBe(code)
  expect(rest).toEqual({
    message: expect.stringMatching(/^\S.*\S$/),
    ...('hint' in rest ? { hint: expect.stringMatching(/^\S.*\S$/) } : {}),
    ...('cause' in rest
      ? { cause: { code: expect.any(String), message: expect.any(String) } }
      : {}),
  })
}

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z$/
const HEX = /^(?:[\da-f]{2})+$/
/** What a value of that name looks like wherever it stands; null where there is none. */
const LOOKS: Readonly<Record<string, RegExp>> = {
  notBefore: TIME,
  notAfter: TIME,
  created: TIME,
  digest: HEX,
  fingerprint: HEX,
  payload: HEX,
  img_signature: /^[\d+/A-Za-z]+={0,2}$/,
}
const NUMBERS = /^(?:size|virtualSize|bytesWritten|payload(?:Size|Offset)|sectorSize|bitLength)$/

function expectConventions(
  { stderr }: Ended,
  answer: Record<string, unknown>,
  fields: readonly string[],
): void {
  for (const field of fields) expect(answer).toHaveProperty(field)
  for (const line of stderr.split('\n').filter(Boolean)) expect(line).toMatch(/^volseal: note: /)
  expectLooks(answer)
}

function expectLooks(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  for (const [name, inner] of Object.entries(value)) {
    const looks = LOOKS[name]
    if (looks !== undefined && inner !== null) expect(inner).toMatch(looks)
    if (NUMBERS.test(name) && inner !== null) expect(inner).toBeTypeOf('number')
    expectLooks(inner)
  }
}
