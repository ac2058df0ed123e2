import { HASH_METHODS, type HashMethod } from '../core/algorithms.js'
import { curveOf, describeKey } from '../core/certificate.js'
import { readDsaSignature } from '../core/dsa-signature.js'
import { modulusBits } from '../core/rsa-pss.js'
import { longestSalt } from './as-cursive.js'
import { type Evidence, isWhole } from './evidence.js'
import type { Cause, SignatureFacts } from './explanation.js'
import type { Recovered } from './recover.js'
import { resign, setProperty, setSignature } from './remedies.js'

/** What the signature, opened with the certificate's key, turned out to be. */
export function causesInSignature(
  facts: SignatureFacts,
  found: Recovered,
  evidence: Evidence,
): Cause[] {
  return [
    paddingCause(facts, found),
    formCause(facts, found),
    contentCause(facts, found, evidence),
    hashCause(facts, found),
    saltCause(facts, found),
  ].filter((cause) => cause !== undefined)
}

function paddingCause(facts: SignatureFacts, found: Recovered): Cause | undefined {
  if (found.encoding !== 'pkcs1-v1.5') return undefined
  const rest = {
    image: ', of this image',
    other: ', and is of another image',
    digest: '',
    unknown: '',
  }
  return {
    code: 'pkcs1-padding',
    message: `the signature has PKCS#1 v1.5 padding (${nameOf(found.hash)}) instead of PSS${rest[found.signed]}`,
    remedy: resign(facts),
  }
}

function formCause(facts: SignatureFacts, found: Recovered): Cause | undefined {
  if (found.encoding !== 'raw' || found.signed !== 'image') return undefined
  const der = readDsaSignature(facts.text?.meant ?? Buffer.alloc(0))?.der ?? Buffer.alloc(0)
  return {
    code: 'raw-signature',
    message: 'the signature is r and s one behind the other, as key services make it, not DER',
    remedy: [setSignature(facts, der)],
  }
}

function contentCause(
  facts: SignatureFacts,
  found: Recovered,
  evidence: Evidence,
): Cause | undefined {
  if (found.signed === 'image' || found.encoding === 'pkcs1-v1.5') return undefined
  if (found.signed === 'digest') {
    return {
      code: 'digest-signed',
      message: `the signature is one of the image's digest, which was hashed once more (${nameOf(found.hash)})`,
      remedy: resign(facts),
    }
  }
  if (found.signed === 'other') {
    const how = found.hash === null ? '' : ` (${nameOf(found.hash)}, salt ${found.saltLength})`
    return {
      code: 'other-image',
      message: `the image is not what was signed: the certificate's key signed another one${how}`,
      remedy: [],
    }
  }
  // This key's, by another hash than the one that the image's digest is known by.
  if (found.encoding === 'pss') return undefined
  return unknownCause(facts, evidence)
}

/** RSA shows whether a signature is of this key; of DSA and ECDSA only the sizes can give it away. */
function unknownCause(
  { certificate, text, hash }: SignatureFacts,
  evidence: Evidence,
): Cause | undefined {
  const key = certificate.certificate?.publicKey
  const signature = text?.meant
  if (key === undefined || signature === undefined) return undefined
  const mine = `the certificate's key is ${describeKey(key)}`
  const isRsa = key.asymmetricKeyType === 'rsa' || key.asymmetricKeyType === 'rsa-pss'
  if (isRsa && signature.length * 8 !== Math.ceil(modulusBits(key) / 8) * 8) {
    const made = `${signature.length} bytes long, as of a key of ${signature.length * 8} bits`
    return otherKey(`the signature is ${made}; ${mine}`)
  }
  if (isRsa) return otherKey(`another key than the certificate's made the signature; ${mine}`)
  const bits = readDsaSignature(signature)?.bits
  if (bits === undefined) return otherKey(`the signature is none of a DSA or EC key; ${mine}`)
  const most = orderBits(curveOf(key)) ?? key.asymmetricKeyDetails?.divisorLength ?? bits
  if (bits > most) return otherKey(`the signature is by a key of at least ${bits} bits; ${mine}`)
  const orHash = isWhole(evidence) ? '' : ` or with another hash than ${hash?.name}`
  return {
    code: 'other-image-or-key',
    message: `the image is not what was signed, or was signed by another key${orHash}: this kind of signature does not say which; ${mine}`,
    remedy: [],
  }
}

function otherKey(message: string): Cause {
  return { code: 'other-key', message, remedy: [] }
}

/** The curves' names say the bits of their fields, which no order exceeds. */
function orderBits(curve: string): number | undefined {
  const digits = /\d{3}/.exec(curve)?.[0]
  return digits === undefined ? undefined : Number(digits)
}

function hashCause(facts: SignatureFacts, found: Recovered): Cause | undefined {
  const { hash } = facts
  const isHere =
    found.signed === 'image' || (found.signed === 'unknown' && found.encoding === 'pss')
  if (!isHere || hash === undefined) return undefined
  const made = methodOf(found.hash)
  if (made !== undefined && made !== hash) {
    return {
      code: 'other-hash',
      message: `the signature was made with ${made.name}, but the properties say ${hash.name}`,
      remedy: [setProperty(facts, 'img_signature_hash_method', made.name)],
    }
  }
  if (found.signed !== 'image' || found.mgfHash === null || found.mgfHash === found.hash)
    return undefined
  return {
    code: 'other-mgf-hash',
    message: `the signature has ${nameOf(found.mgfHash)} in its mask (MGF1) and ${nameOf(found.hash)} for the image; the services want one hash for both`,
    remedy: resign(facts),
  }
}

function saltCause(facts: SignatureFacts, found: Recovered): Cause | undefined {
  const longest = longestSalt(facts)
  const { saltLength } = found
  if (saltLength === null || found.signed !== 'image' || found.hash !== facts.hash?.node) {
    return undefined
  }
  if (saltLength === longest) return undefined
  const isDigest = saltLength === facts.hash.length
  const why = isDigest
    ? ': as long as the digest, which is what OpenSSL >= 3.1 makes by itself'
    : ''
  return {
    code: 'salt-length',
    message: `the salt is ${saltLength} bytes long${why}; clouds with cryptography <= 41 accept only ${longest}`,
    remedy: resign(facts),
  }
}

function methodOf(node: string | null): HashMethod | undefined {
  return HASH_METHODS.find((method) => method.node === node)
}

/** `SHA-256`, or what OpenSSL calls a hash that signatures may not have. */
function nameOf(node: string | null): string {
  const other = node?.toUpperCase().replace(/^SHA/, 'SHA-')
  return methodOf(node)?.name ?? other ?? 'an unknown hash'
}
