import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { HASH_METHODS, KEY_TYPES } from '../../src/core/algorithms.js'
import type { ByteInput } from '../../src/core/byte-source.js'
import {
  ImageRefused,
  type ProfileName,
  type VerifyOptions,
  type VerifyReport,
  VolsealError,
  verifyImage,
} from '../../src/index.js'
import {
  askCursive,
  type CursiveAnswer,
  cryptographyMajor,
  hasCursive,
} from '../harness/cursive.js'
import { scratchDirectory } from '../harness/run.js'
import { hasJsonschema, schemaFaults } from '../harness/schema.js'
import { type CursiveExpectation, certificateOf, imageOf, VECTORS, type Vector } from './vectors.js'

/** Every file of the folder vectors, whichever way its image comes, in both profiles. */
const directory = scratchDirectory()
const PROFILES: readonly ProfileName[] = ['strict', 'cursive']

/** The image in pieces of these lengths, again and again; no generator, which takes thrice as long. */
function inPieces(image: Buffer, lengths: readonly number[]): AsyncIterable<Uint8Array> {
  let [at, turn] = [0, 0]
  const next = async (): Promise<IteratorResult<Uint8Array>> => {
    if (at >= image.length) return await Promise.resolve({ done: true, value: undefined })
    const value = image.subarray(at, at + (lengths[turn % lengths.length] ?? 1))
    at += value.length
    turn += 1
    return await Promise.resolve({ done: false, value })
  }
  return { [Symbol.asyncIterator]: () => ({ next }) }
}

/** Odd ones, empty ones, and one that is longer than a pass's buffer. */
const ODD = [1, 0, 127, 3, 8191, 65_537, 7, 1_048_577]

const WAYS: Readonly<Record<string, (vector: Vector) => ByteInput>> = {
  whole: (vector) => {
    const file = join(directory, 'image')
    writeFileSync(file, imageOf(vector))
    return file
  },
  'in pieces of odd lengths': (vector) => inPieces(imageOf(vector), ODD),
  'byte by byte': (vector) => inPieces(imageOf(vector), [1]),
}

/** The certificate is named by its caller; where the properties name none, there is none to give. */
function optionsOf(vector: Vector): Pick<VerifyOptions, 'properties' | 'certificate'> {
  const { properties } = vector
  if (properties.img_signature_certificate_uuid === undefined) return { properties }
  return { properties, certificate: certificateOf(vector) }
}

async function verdict(vector: Vector, image: ByteInput, profile: ProfileName): Promise<string> {
  try {
    const report = await verifyImage({ image, profile, ...optionsOf(vector) })
    return report.verdict
  } catch (error) {
    if (!(error instanceof VolsealError)) throw error
    return error.code
  }
}

describe.each(Object.entries(WAYS))('the image %s', (_, open) => {
  it.each(VECTORS)('$name', async (vector) => {
    const verdicts: Record<string, string> = {}
    for (const profile of PROFILES) verdicts[profile] = await verdict(vector, open(vector), profile)
    expect(verdicts).toEqual(vector.expect.volseal)
  })
})

/** `salt: any` is what cryptography from 42 on does. */
it.each(VECTORS.filter(({ expect: { volseal } }) => volseal.strict === 'signature-incompatible'))(
  '$name is accepted by whoever takes any salt',
  async (vector) => {
    const image = join(directory, 'salted')
    writeFileSync(image, imageOf(vector))
    const report = await verifyImage({ image, salt: 'any', ...optionsOf(vector) })
    expect(report.verdict).toBe('accepted')
    expect(vector.expect.cursive.lenient).toEqual({ outcome: 'accept' })
  },
)

/** `verify --explain` says who would accept; nova has no habits of its own with all properties there. */
describe('what is explained', () => {
  const complete = VECTORS.filter(({ properties }) => Object.keys(properties).length === 4)

  it.each(complete)('$name', async (vector) => {
    const { strict, lenient } = vector.expect.cursive
    const verdicts = await explainedVerdicts(vector)
    if (strict.outcome !== 'varies') expect(verdicts['<=41']).toBe(inWords(strict))
    if (lenient.outcome !== 'varies') expect(verdicts['>=42']).toBe(inWords(lenient))
  })
})

const inWords = ({ outcome }: CursiveExpectation): string =>
  outcome === 'accept' ? 'accepts' : 'refuses'

/** nova's verdict by the version of cryptography. */
async function explainedVerdicts(vector: Vector): Promise<Record<string, string>> {
  const image = join(directory, 'explained')
  writeFileSync(image, imageOf(vector))
  const report = await reportOf({ image, explain: true, ...optionsOf(vector) })
  const rows = report.explanation?.acceptedBy.filter(({ verifier }) => verifier === 'nova') ?? []
  return Object.fromEntries(rows.map((row) => [row.cryptography, row.verdict]))
}

async function reportOf(options: VerifyOptions): Promise<VerifyReport> {
  try {
    return await verifyImage(options)
  } catch (error) {
    if (error instanceof ImageRefused) return error.report
    throw error
  }
}

const OWN_ERRORS = ['InvalidSignature', 'SignatureVerificationError']

function asExpectation(answer: CursiveAnswer): CursiveExpectation {
  if (answer.ok) return { outcome: 'accept' }
  const [error = '', ...words] = answer.error.split(': ')
  if (!OWN_ERRORS.includes(error)) return { outcome: 'crash', error }
  const message = words.join(': ')
  return { outcome: 'refuse', error, ...(message === '' ? {} : { message }) }
}

function askAbout(vectors: readonly Vector[]): CursiveAnswer[] {
  return askCursive(
    vectors.map((vector, index) => {
      const image = join(directory, `asked-${index}`)
      writeFileSync(image, imageOf(vector))
      const { properties } = vector
      return {
        certificate: certificateOf(vector).toString('latin1'),
        certificateId: properties.img_signature_certificate_uuid ?? null,
        signature: properties.img_signature ?? null,
        hash: properties.img_signature_hash_method ?? null,
        keyType: properties.img_signature_key_type ?? null,
        image,
      }
    }),
  )
}

describe.skipIf(!hasCursive)('the real cursive (Debian package python3-cursive)', () => {
  it('answers as expected of the python-cryptography that it has', () => {
    const newer = cryptographyMajor >= 47 ? 'newest' : 'lenient'
    const column = cryptographyMajor <= 41 ? 'strict' : newer
    const asked = VECTORS.filter(({ expect: { cursive } }) => cursive[column].outcome !== 'varies')
    const said = askAbout(asked).map((answer, index) => ({
      name: asked[index]?.name,
      ...asExpectation(answer),
    }))
    expect(said).toEqual(
      asked.map(({ name, expect: { cursive } }) => ({ name, ...cursive[column] })),
    )
  })
})

describe.skipIf(!hasJsonschema)('the schema (Debian package python3-jsonschema)', () => {
  it('describes every file', () => {
    const faults = schemaFaults('vector.schema.json', VECTORS)
    expect(faults.filter((fault) => fault !== null)).toEqual([])
    expect(faults).toHaveLength(VECTORS.length)
  })

  it.each([
    ['a property that is misspelled', { properties: { img_signatur: 'AAAA' } }],
    ['an expectation that is left out', { expect: {} }],
    ['an image that is neither', { image: { length: 3 } }],
    ['another field', { note: 'x' }],
  ])('refuses %s', (_, change) => {
    const [fault] = schemaFaults('vector.schema.json', [{ ...VECTORS[0], ...change }])
    expect(fault).not.toBeNull()
  })
})

it('holds every key type and hash, and both answers of each verifier', () => {
  const used = (name: keyof Vector['properties']) =>
    new Set(VECTORS.map(({ properties }) => properties[name]))
  expect([...used('img_signature_key_type')]).toEqual(
    expect.arrayContaining(KEY_TYPES.map(({ name }) => name)),
  )
  expect([...used('img_signature_hash_method')]).toEqual(
    expect.arrayContaining(HASH_METHODS.map(({ name }) => name)),
  )
  const accepted = VECTORS.filter(({ expect: { volseal } }) => volseal.strict === 'accepted').length
  expect(accepted / VECTORS.length).toBeGreaterThan(0.3)
  expect(accepted / VECTORS.length).toBeLessThan(0.7)
})
