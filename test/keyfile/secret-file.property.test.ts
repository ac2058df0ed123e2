import { randomBytes, randomUUID } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { VolsealError } from '../../src/core/errors.js'
import { Secret } from '../../src/core/secret.js'
import type { SecretInfo } from '../../src/keyfile/index.js'
import { Keyring } from '../../src/keyfile/keyring.js'
import {
  decodeSecretFile,
  encodeSecretFile,
  headerContext,
  sealSecret,
  unsealSecret,
} from '../../src/keyfile/secret-file.js'
import {
  acceptMetadata,
  CONTENT_TYPES,
  ORIGINS,
  SECRET_TYPES,
  sortedMetadata,
} from '../../src/keyfile/secret-rules.js'

/** Any string, with quotes, controls, lone surrogates and what else JSON may trip over. */
const anyText = fc.string({ unit: 'binary', maxLength: 40 })
const text = fc.oneof(anyText, fc.constantFrom('', '"', '\\', '\ud800', '\udfff', '\u2028', ','))
const key = fc
  .stringMatching(/^[a-z0-9_-]{1,12}$/)
  .filter((found) => found.length > 0)
  .chain((found) => fc.constantFrom(found, '__proto__', 'constructor', '10', '9', 'to-json'))
const metadata = fc
  .array(fc.tuple(key, text), { maxLength: 5 })
  .map((entries) => sortedMetadata([...new Map(entries)]))
const nullable = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> =>
  fc.option(arbitrary, { nil: null })

const info: fc.Arbitrary<SecretInfo> = fc.record({
  id: fc.uuid({ version: 4 }),
  type: fc.constantFrom(...SECRET_TYPES),
  name: nullable(text),
  algorithm: nullable(text),
  bitLength: nullable(fc.integer({ min: 1, max: 32_767 })),
  created: fc
    .date({ min: new Date(0), max: new Date('9999-12-31'), noInvalidDate: true })
    .map((date) => date.toISOString()),
  contentType: fc.constantFrom(...CONTENT_TYPES),
  metadata,
  origin: fc.constantFrom(...ORIGINS),
})

function newKeyring(): { keyring: Keyring; kekId: string } {
  const [keyring, kekId] = [new Keyring(), randomUUID()]
  keyring.add(kekId, new Secret(randomBytes(32)))
  return { keyring, kekId }
}

describe('a secret file', () => {
  const { keyring, kekId } = newKeyring()

  it('gives back the header and the payload that were sealed', () => {
    const given = fc.property(info, fc.uint8Array({ maxLength: 2000 }), (header, content) => {
      const sealed = sealSecret(header, new Secret(Buffer.from(content)), keyring, kekId)
      const file = decodeSecretFile(encodeSecretFile(sealed), header.id, 'FILE')
      const { payload, ...found } = unsealSecret(file, keyring, 'FILE')
      expect(found).toEqual(header)
      expect(Object.keys(found.metadata)).toEqual(Object.keys(header.metadata))
      expect(payload.bytes().equals(content)).toBe(true)
    })
    fc.assert(given)
  })

  it('binds every header by a text, and bytes, of its own', () => {
    const given = fc.property(info, info, (one, other) => {
      expect(areBoundApart(one, other)).toBe(true)
      // Nearly the same: with one field of the other.
      for (const name of Object.keys(one)) {
        const mixed = { ...one, [name]: Reflect.get(other, name) as unknown }
        expect(areBoundApart(one, mixed)).toBe(true)
      }
    })
    fc.assert(given)
  })

  it('binds the metadata in whatever order it came', () => {
    const given = fc.property(info, (header) => {
      const turned = Object.fromEntries(Object.entries(header.metadata).toReversed())
      expect(headerContext({ ...header, metadata: turned })).toBe(headerContext(header))
    })
    fc.assert(given)
  })
})

/** Whether two headers are bound by the same bytes exactly when they are the same. */
function areBoundApart(one: SecretInfo, other: SecretInfo): boolean {
  const isSame = encodeInfo(one) === encodeInfo(other)
  return Buffer.from(headerContext(one)).equals(Buffer.from(headerContext(other))) === isSame
}

/** A header by value, independent of how it is bound. */
function encodeInfo(header: SecretInfo): string {
  const fields = Object.entries(header).map(([name, value]: [string, unknown]) =>
    name === 'metadata' ? [name, Object.entries(header.metadata)] : [name, value],
  )
  return JSON.stringify(fields)
}

describe('acceptMetadata', () => {
  it('gives lower-case keys, sorted, or refuses two that are then the same', () => {
    const keys = fc.stringMatching(/^[A-Za-z0-9_-]{1,8}$/)
    const given = fc.property(fc.dictionary(keys, text), (original) => {
      const lower = Object.entries(original).map(([name, value]): [string, string] => [
        name.toLowerCase(),
        value,
      ])
      const isDistinct = new Set(lower.map(([name]) => name)).size === lower.length
      expect(acceptedOrUndefined(original)).toEqual(
        isDistinct ? Object.entries(sortedMetadata(lower)) : undefined,
      )
    })
    fc.assert(given)
  })
})

function acceptedOrUndefined(given: SecretInfo['metadata']): [string, string][] | undefined {
  try {
    return Object.entries(acceptMetadata(given))
  } catch (error) {
    if (error instanceof VolsealError && error.code === 'usage') return undefined
    throw error
  }
}
