import { createHash, randomBytes } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { VolsealError } from '../../../src/core/errors.js'
import { Secret } from '../../../src/core/secret.js'
import type { SecretInfo } from '../../../src/keyfile/index.js'
import { Keyring } from '../../../src/keyfile/keyring.js'
import {
  decodeSecretFile,
  encodeSecretFile,
  rewrapSecret,
  sealSecret,
  unsealSecret,
} from '../../../src/keyfile/secret-file.js'
import {
  decodeStoreFile,
  encodeStoreFile,
  type KekRecord,
} from '../../../src/keyfile/store-file.js'
import { hold, type Target } from '../target.js'

export const KEY_STORE_TARGETS: readonly Target[] = [
  { name: 'secret-file', seeds: makeSecretFiles, run: readSecret },
  { name: 'store-file', seeds: makeStoreFiles, run: readStore },
  {
    name: 'store-file-checksum',
    seeds: makeStoreFiles,
    run: (bytes) => {
      readStore(withChecksum(bytes))
    },
  },
]

const PATH = 'a.json'
const KEKS = [
  '11111111-1111-4111-8111-111111111111',
  '22222222-2222-4222-9222-222222222222',
] as const

const keyring = new Keyring()
for (const id of KEKS) keyring.add(id, new Secret(randomBytes(32)))

const COMMON = {
  created: '2026-01-02T03:04:05.678Z',
  contentType: 'application/octet-stream',
} as const

/** Two secrets, so that parts of one can get into the other. */
const SECRETS: readonly { readonly info: SecretInfo; readonly payload: Buffer }[] = [
  {
    info: {
      ...COMMON,
      id: '33333333-3333-4333-a333-333333333333',
      type: 'symmetric',
      name: 'volume 1',
      algorithm: 'aes',
      bitLength: 256,
      metadata: { project: 'p', zone: 'é"\\' },
      origin: 'generated',
    },
    payload: randomBytes(32),
  },
  {
    info: {
      ...COMMON,
      id: '44444444-4444-4444-b444-444444444444',
      type: 'passphrase',
      name: null,
      algorithm: null,
      bitLength: null,
      metadata: {},
      origin: 'stored',
    },
    payload: Buffer.from('a passphrase'),
  },
]

function makeSecretFiles(): Buffer[] {
  return SECRETS.flatMap(({ info, payload }) =>
    KEKS.map((kek) =>
      encodeSecretFile(sealSecret(info, new Secret(Buffer.from(payload)), keyring, kek)),
    ),
  )
}

/** The secret of each id is the one that was stored, or its damage is named. */
function readSecret(bytes: Buffer): void {
  for (const { info, payload } of SECRETS) {
    damageOr(() => {
      const file = decodeSecretFile(bytes, info.id, PATH)
      // The store looks this up before it unseals anything.
      if (!keyring.has(file.kekId)) return
      const { payload: found, ...header } = unsealSecret(file, keyring, PATH)
      hold(found.bytes().equals(payload), 'the payload is the one that was sealed')
      hold(isDeepStrictEqual(header, info), 'the header is the one that was sealed')
      const moved = rewrapSecret(file, keyring, PATH, KEKS[0])
      const again = unsealSecret(
        decodeSecretFile(encodeSecretFile(moved), info.id, PATH),
        keyring,
        PATH,
      )
      hold(again.payload.bytes().equals(payload), 'under another key it is the same')
    })
  }
}

function makeStoreFiles(): Buffer[] {
  const [current, previous] = [record(KEKS[0], null), record(KEKS[1], 16)]
  const keys = { previousKey: randomBytes(60), currentKey: randomBytes(60) }
  return [
    encodeStoreFile({ current, bridge: null }),
    encodeStoreFile({ current: previous, bridge: null }),
    encodeStoreFile({ current, bridge: { previous, ...keys } }),
  ]
}

function record(id: string, salt: number | null): KekRecord {
  const cost = { name: 'scrypt', cost: 2 ** 17, blockSize: 8, parallelization: 1 } as const
  const kdf = salt === null ? null : { ...cost, salt: randomBytes(salt) }
  return { id, kdf, verifier: randomBytes(28) }
}

function readStore(bytes: Buffer): void {
  damageOr(() => {
    const file = decodeStoreFile(bytes, PATH)
    hold(encodeStoreFile(file).equals(bytes), 'only what is spelled as written is taken')
    const { current, bridge } = file
    for (const { kdf } of [current, bridge?.previous ?? current]) {
      hold(
        kdf === null || kdf.cost * kdf.blockSize <= 2 ** 23,
        'the derivation takes at most 1 GiB',
      )
    }
  })
}

/** With a checksum that is right, where the bytes are JSON at all: else it would find everything. */
function withChecksum(bytes: Buffer): Buffer {
  try {
    const parsed: unknown = JSON.parse(bytes.toString())
    if (typeof parsed !== 'object' || parsed === null) return bytes
    const body = Object.fromEntries(Object.entries(parsed).filter(([key]) => key !== 'checksum'))
    const checksum = createHash('sha256').update(JSON.stringify(body)).digest('hex')
    return Buffer.from(`${JSON.stringify({ ...body, checksum }, null, 2)}\n`)
  } catch {
    return bytes
  }
}

/** All that may happen to a damaged file is that this is said. */
function damageOr(read: () => void): void {
  try {
    read()
  } catch (error) {
    if (!(error instanceof VolsealError)) throw error
    hold(error.code === 'keystore-damaged', `damage is named, not ${error.code}: ${error.message}`)
  }
}
