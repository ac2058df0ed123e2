import { readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { HASH_METHODS, KEY_TYPES } from '../../../src/core/algorithms.js'
import { parsePolicy } from '../../../src/verify/policy/index.js'
import { fc, prop } from '../../harness/property.js'

function schemaOf(name: string): object {
  const schema: object = JSON.parse(
    readFileSync(new URL(`../../../schemas/${name}.json`, import.meta.url), 'utf8'),
  )
  return schema
}

const fits = new Ajv2020({ strict: true, strictRequired: false }).compile(schemaOf('policy-1'))

async function parses(policy: unknown): Promise<boolean> {
  const read = async () =>
    await Promise.resolve({ content: Buffer.alloc(0), fingerprint: 'ab'.repeat(32) })
  const { problems } = await parsePolicy(stringify(policy), 'policy.yaml', read)
  return problems.length === 0
}

/** Values of every type, most of which are wrong wherever they stand. */
const wrong = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    0,
    1,
    2048,
    2048.5,
    -1,
    '',
    '*',
    'off',
    'on',
    [],
    {},
    [[]],
    [null],
  ),
  fc.string({ maxLength: 4 }),
  fc.constantFrom(
    'x'.repeat(255),
    'x'.repeat(256),
    '😀'.repeat(255),
    '😀'.repeat(256),
    'a\0b',
    'a\nb',
  ),
)

/** The value as it should be, and once in a while another. */
function mostly<T>(right: fc.Arbitrary<T>, other: fc.Arbitrary<unknown> = wrong) {
  return fc.oneof({ weight: 40, arbitrary: right }, { weight: 1, arbitrary: other })
}

function listOf(item: fc.Arbitrary<unknown>) {
  return mostly(fc.array(mostly(item), { minLength: 1, maxLength: 3 }))
}

const hex = fc.string({ unit: fc.constantFrom('a', 'B', '0'), minLength: 64, maxLength: 64 })
const colons = hex.map((text) => text.replaceAll(/..(?!$)/g, '$&:'))
const noFingerprint = fc.oneof(
  hex.map((text) => `${text}:`),
  hex.map((text) => text.slice(1)),
  hex.map((text) => `${text}ab`),
)
const fingerprint = mostly(fc.oneof(hex, colons), noFingerprint)
const file = mostly(fc.constantFrom('a.pem', '../a'))
const certificate = mostly(
  fc.oneof(fc.record({ fingerprint }), fc.record({ file })),
  fc.record({ fingerprint, file, other: wrong }, { requiredKeys: [] }),
)
const nameText = fc.string({ minLength: 1, maxLength: 5 })
const formats = ['raw', 'qcow2', 'vmdk', 'vhd', 'vhdx', 'vdi', 'iso', 'luks']
const bits = mostly(fc.constantFrom(2048, 3072, 16_384), fc.constantFrom(2047, 16_385, 3072.5))
const AGES = { right: ['1d', '9999h', '8w'], wrong: ['10000d', '01d', '5m', '1d '] }

const rule = fc.record(
  {
    name: mostly(nameText),
    projects: listOf(nameText),
    images: listOf(nameText),
    signature: mostly(fc.constantFrom('required', 'if-signed', 'off')),
    key_types: listOf(fc.constantFrom(...KEY_TYPES.map((type) => type.name))),
    minimum_bits: mostly(
      fc.record({ 'RSA-PSS': bits }),
      fc.dictionary(fc.constantFrom('RSA-PSS', 'DSA', 'ECC_SECP384R1', 'x'), bits),
    ),
    certificates: listOf(certificate),
    maximum_age: mostly(fc.constantFrom(...AGES.right), fc.constantFrom(...AGES.wrong)),
    formats: listOf(mostly(fc.constantFrom(...formats), fc.constantFrom('qed', 'gpt', 'RAW'))),
  },
  { requiredKeys: [] },
)
const policies = fc.record(
  { version: mostly(fc.constant(1)), rules: listOf(rule), more: wrong },
  { requiredKeys: [] },
)
const likely = fc.record({ version: fc.constant(1), rules: fc.array(rule, { maxLength: 1 }) })
const verdicts = { taken: 0, refused: 0 }

prop([fc.oneof(policies, likely, likely)], { numRuns: 3000 })(
  'schema and parser take the same policies',
  async (policy) => {
    const taken = await parses(policy)
    verdicts[taken ? 'taken' : 'refused'] += 1
    expect({ taken, policy }).toEqual({ taken: fits(policy), policy })
  },
)

describe('the comparison', () => {
  it('has seen enough of both', () => {
    expect(verdicts.taken).toBeGreaterThan(300)
    expect(verdicts.refused).toBeGreaterThan(300)
  })
})

describe('the lists of the schemas are those of the tables', () => {
  const keyTypes = KEY_TYPES.map(({ name }) => name)
  const sized = KEY_TYPES.filter(({ family }) => family !== 'ec').map(({ name }) => name)

  it('in policies', () => {
    expect(schemaOf('policy-1')).toMatchObject({
      $defs: {
        rule: {
          properties: {
            key_types: { items: { enum: keyTypes } },
            minimum_bits: { properties: Object.fromEntries(sized.map((name) => [name, {}])) },
          },
        },
      },
    })
  })

  it('in requests to signers', () => {
    expect(schemaOf('sign-request-1')).toMatchObject({
      properties: {
        keyType: { enum: keyTypes },
        hash: { enum: HASH_METHODS.map(({ name }) => name) },
      },
    })
  })
})
