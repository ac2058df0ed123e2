import { describe, expect, it } from 'vitest'
import { parseSignature, pickProperties } from '../../src/core/image-signature.js'

const properties = {
  img_signature: 'AAEC',
  img_signature_hash_method: 'SHA-256',
  img_signature_key_type: 'RSA-PSS',
  img_signature_certificate_uuid: '5df14c2b-f221-4a02-948e-48a61edd3f5b',
}
const strict = { certificateKnown: false }

/** The code of what `parseSignature` throws. */
function refusal(changed: Record<string, unknown>, options = strict): unknown {
  try {
    parseSignature(pickProperties({ ...properties, ...changed }), options)
    return 'accepted'
  } catch (error) {
    return error instanceof Error && 'code' in error
      ? `${String(error.code)}: ${error.message}`
      : error
  }
}

describe('pickProperties', () => {
  it('reads our own JSON, an image of Glance, and the nested output of the openstack client', () => {
    const extra = { digest: 'ab', size: 3, name: 'image' }
    expect(pickProperties({ ...properties, ...extra })).toEqual(properties)
    expect(pickProperties({ ...extra, properties: { ...properties, os_hidden: false } })).toEqual(
      properties,
    )
    expect(pickProperties({ name: 'image' })).toEqual({})
    expect(pickProperties({ ...properties, img_signature: null })).not.toHaveProperty(
      'img_signature',
    )
  })

  it('refuses values that are no strings', () => {
    expect(() => pickProperties({ ...properties, img_signature: 5 })).toThrow(/expected a string/)
  })
})

describe('parseSignature', () => {
  it('accepts all four, and three when the certificate is known', () => {
    expect(refusal({})).toBe('accepted')
    expect(refusal({ img_signature_certificate_uuid: undefined }, { certificateKnown: true })).toBe(
      'accepted',
    )
  })

  it.each([
    [
      'none',
      Object.fromEntries(Object.keys(properties).map((name) => [name, undefined])),
      /^unsigned: .* found none/,
    ],
    [
      'one missing',
      { img_signature_key_type: undefined },
      /^unsigned: .*img_signature_key_type missing/,
    ],
    [
      'the id missing',
      { img_signature_certificate_uuid: undefined },
      /^unsigned: .*certificate_uuid missing/,
    ],
    ['bad base64', { img_signature: '///' }, /^signature-malformed/],
    ['wrapped base64', { img_signature: 'AAEC\nAAEC' }, /^signature-malformed/],
    ['url-safe base64', { img_signature: 'A-_C' }, /^signature-malformed/],
    ['an empty signature', { img_signature: '' }, /^signature-malformed/],
    ["Python's repr", { img_signature: "b'AAEC'" }, /^signature-malformed: .*Python bytes object/],
    [
      'another case',
      { img_signature_hash_method: 'sha-256' },
      /^signature-malformed: .*one of SHA-224/,
    ],
    ['SHA-1', { img_signature_hash_method: 'SHA-1' }, /^signature-malformed/],
    ['a space', { img_signature_key_type: 'RSA-PSS ' }, /^signature-malformed/],
    ["the documentation's curve", { img_signature_key_type: 'SECP384R1' }, /^signature-malformed/],
  ])('refuses %s', (_, changed, expected) => {
    expect(refusal(changed)).toMatch(expected)
  })
})
