import { describe, expect, it } from 'vitest'
import { CertificateRefused, checkCertificate, type PathReport } from '../../src/index.js'
import { askCursiveTrust, hasCursive } from '../harness/cursive.js'
import { hasJsonschema, schemaFaults } from '../harness/schema.js'
import { PATH_VECTORS, type PathVector } from './vectors.js'

/** Every file of the folder vectors about who vouches for a certificate. */

const buffers = (pems: readonly string[]): Buffer[] => pems.map((pem) => Buffer.from(pem))

function trustOf({ trusted, untrusted, crls }: PathVector) {
  return { trusted: buffers(trusted), untrusted: buffers(untrusted), crls: buffers(crls) }
}

function judge(vector: PathVector): PathVector['expect']['volseal'] {
  try {
    const { trust } = checkCertificate({
      certificate: Buffer.from(vector.signer),
      ...trustOf(vector),
    })
    if (trust === 'none') throw new Error('accepted, and vouched for by nobody')
    return { outcome: 'accepted', trust }
  } catch (error) {
    if (error instanceof CertificateRefused)
      return { outcome: 'refused', check: failedIn(error.report) }
    throw error
  }
}

/** The check that fails nearest to the root; where none does, there was no next certificate. */
function failedIn({ path }: PathReport): string {
  const checks = path.flatMap((certificate) => certificate.checks)
  return checks.findLast(({ result }) => result === 'fail')?.name ?? 'signature'
}

it.each(PATH_VECTORS)('$name', (vector) => {
  expect(judge(vector)).toEqual(vector.expect.volseal)
})

describe.skipIf(!hasCursive)('the real cursive (Debian package python3-cursive)', () => {
  it('answers as expected of nova', () => {
    const requests = PATH_VECTORS.map(({ signer, trusted, untrusted }) => ({
      signer,
      certificates: [...trusted, ...untrusted],
    }))
    const said = askCursiveTrust(requests).map((answer, index) => ({
      name: PATH_VECTORS[index]?.name,
      nova: answer,
    }))
    expect(said).toEqual(PATH_VECTORS.map(({ name, expect: { nova } }) => ({ name, nova })))
  })
})

describe.skipIf(!hasJsonschema)('the schema (Debian package python3-jsonschema)', () => {
  it('describes every file', () => {
    const faults = schemaFaults('vector.schema.json', PATH_VECTORS)
    expect(faults).toEqual(PATH_VECTORS.map(() => null))
  })

  it.each([
    ['nobody who is trusted', { trusted: [] }],
    [
      'a check that is none',
      { expect: { nova: { outcome: 'accept' }, volseal: { outcome: 'refused', check: 'x' } } },
    ],
    ['a certificate that is no PEM', { signer: 'MIIB' }],
    ['another field', { image: { base64: '' } }],
  ])('refuses %s', (_, change) => {
    const [fault] = schemaFaults('vector.schema.json', [{ ...PATH_VECTORS[0], ...change }])
    expect(fault).not.toBeNull()
  })
})

it('holds every answer of both', () => {
  const outcomes = new Set(PATH_VECTORS.map(({ expect: { nova } }) => nova.outcome))
  expect([...outcomes].toSorted()).toEqual(['accept', 'crash', 'endless', 'refuse'])
  const accepted = PATH_VECTORS.filter(
    ({ expect: { volseal } }) => volseal.outcome === 'accepted',
  ).length
  expect(accepted / PATH_VECTORS.length).toBeGreaterThan(0.3)
  expect(accepted / PATH_VECTORS.length).toBeLessThan(0.7)
  const checks = new Set(
    PATH_VECTORS.flatMap(({ expect: { volseal } }) =>
      volseal.outcome === 'refused' ? [volseal.check] : [],
    ),
  )
  // A name that cannot be compared is the only check without a vector.
  expect(checks.size).toBe(11)
})
