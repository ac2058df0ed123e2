import { constants, createPublicKey, sign } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { loadPolicy, type VerifyOptions, writeImage } from '../../src/index.js'
import { pssHashes } from '../../src/verify/recover.js'
import { makeOpensslKey } from '../harness/openssl.js'
import { keepCertificate, makeImage, makeKeyManager, verdictOf } from '../harness/verifying.js'
import {
  base64,
  CASES,
  type Case,
  directory,
  ec,
  good,
  image,
  propertiesOf,
  rsa,
  YES,
} from './wrong-signatures.js'

/** Every refusal says in one line what is wrong, and who else would refuse the image. */

const ALL = 'nova, cinder and glance'
const TOO = `${ALL} refuse it too`
const DO_NOT_MIND = `${ALL} do not mind`
const SALT = `${TOO} with cryptography <= 41, and accept it from 42 on`

/** What the line begins with and ends with; where an explanation has more to go by, it says more. */
interface Line {
  readonly says: RegExp
  readonly services: string
  /** With `explain`. */
  readonly explained?: { readonly says?: RegExp; readonly services?: string }
}

const ACCEPTED_ONCE_READ = { services: `${ALL} accept it` }

const LINES: Readonly<Record<string, Line>> = {
  'a salt as long as the digest': {
    says: /^the signature is valid, but its salt is 32 bytes long, not 222$/,
    services: SALT,
  },
  'no salt': { says: /its salt is 0 bytes long, not 222$/, services: SALT },
  'PKCS#1 v1.5': {
    says: /PKCS#1 v1.5 padding \(SHA-256\) instead of PSS, of this image$/,
    services: TOO,
  },
  'SHA-1 in the mask': {
    says: /SHA-1 in its mask \(MGF1\) and SHA-256 for the image/,
    services: TOO,
  },
  'another hash': {
    says: /^the signature was made with SHA-512, but the properties say SHA-256$/,
    services: TOO,
  },
  'the digest signed': {
    says: /is one of the image's digest, which was hashed once more/,
    services: TOO,
  },
  'another key': { says: /^another key than the certificate's made the signature/, services: TOO },
  'a larger key': {
    says: /384 bytes long, as of a key of 3072 bits; the certificate's key is RSA, 2048 bits$/,
    services: TOO,
  },
  'another image': {
    says: /^the image is not what was signed: the certificate's key signed another one \(SHA-256, salt 222\)$/,
    services: TOO,
  },
  "b'…'": { says: /^img_signature is the text of a Python bytes object/, services: TOO },
  'url-safe base64': { says: /^img_signature is url-safe base64/, services: TOO },
  'wrapped base64': {
    says: /^img_signature is base64 with line breaks or blanks in it$/,
    services: DO_NOT_MIND,
    explained: ACCEPTED_ONCE_READ,
  },
  'base64 without its padding': { says: /^img_signature lacks the = at its end/, services: TOO },
  'base64 that goes on behind its end': {
    says: /^img_signature goes on behind its end/,
    services: DO_NOT_MIND,
    explained: ACCEPTED_ONCE_READ,
  },
  'characters that are not ASCII': {
    says: /^img_signature has characters in it that are not ASCII, on which Python fails$/,
    services: TOO,
  },
  hex: { says: /^img_signature is written in hex, not in base64$/, services: TOO },
  'no base64': { says: /^img_signature is no base64/, services: TOO },
  'a hash name in small letters': { says: /^invalid signature hash method/, services: TOO },
  'a curve without ECC_': { says: /^invalid signature key type/, services: TOO },
  'a curve of another key type': {
    says: /ECC_SECP521R1 needs an EC key on secp521r1, got EC, secp384r1$/,
    services: DO_NOT_MIND,
    explained: ACCEPTED_ONCE_READ,
  },
  'an RSA key type for an EC key': {
    says: /RSA-PSS needs an RSA key, got EC, secp384r1$/,
    services: TOO,
  },
  'ECDSA with another hash': {
    says: /by another key or with another hash than SHA-512: this kind of signature does not say which/,
    services: TOO,
    explained: { says: /^the signature was made with SHA-384, but the properties say SHA-512$/ },
  },
  'ECDSA as two numbers': { says: /^the signature is r and s one behind the other/, services: TOO },
  'ECDSA of the digest': { says: /is one of the image's digest/, services: TOO },
  'ECDSA of a larger curve': { says: /^the signature is by a key of at least/, services: TOO },
  'ECDSA of another image': {
    says: /or was signed by another key or with another hash than SHA-384/,
    services: TOO,
    explained: {
      says: /^the image is not what was signed, or was signed by another key: this kind/,
    },
  },
}

/** Of the table, what verifyImage accepts, or what two accept that it does not. */
const ACCEPTED = ['a good signature', 'DSA', 'a SECT curve', 'a certificate in DER']
/** Cannot be read here either. */
const UNREADABLE = 'base64 of PEM'

it('there is a line for every refusal', () => {
  const named = [...Object.keys(LINES), ...ACCEPTED, UNREADABLE]
  expect(named.toSorted()).toEqual(Object.keys(CASES).toSorted())
})

function optionsOf(tried: Case): VerifyOptions {
  return {
    image: tried.image ?? image,
    properties: propertiesOf(tried),
    certificate: tried.certificate ?? readFileSync(tried.key.certificate),
  }
}

/** The line's two halves. */
function halves(message: string | undefined): [says: string, services: string] {
  const at = message?.lastIndexOf('; ') ?? -1
  return [message?.slice(0, at) ?? '', message?.slice(at + 2) ?? '']
}

function caseOf(name: string): Case {
  const found = CASES[name]
  if (found === undefined) throw new Error(`no case ${name}`)
  return found
}

describe.each(Object.entries(LINES))('%s', (name, line) => {
  it.each([false, true])('is said in one line (explain: %s)', async (explain) => {
    const { message } = await verdictOf({ ...optionsOf(caseOf(name)), explain })
    const expected = explain ? { ...line, ...line.explained } : line
    const [says, services] = halves(message)
    expect(says).toMatch(expected.says)
    expect(services).toBe(expected.services)
    expect(message).not.toContain('\n')
  })
})

it('the command that mends it is the hint, if it is not a whole signature', async () => {
  const hints = async (name: string) => (await verdictOf(optionsOf(caseOf(name)))).hint
  expect(await hints('another hash')).toBe(
    'mend it with: openstack image set --property img_signature_hash_method=SHA-512 IMAGE',
  )
  expect(await hints('PKCS#1 v1.5')).toMatch(
    /^mend it with: openssl dgst .* && openstack image set/,
  )
  expect(await hints('hex')).toMatch(/--explain/)
  expect(await hints('another image')).toMatch(/^do not use this image/)
})

describe('a signature whose padding fits two hashes', () => {
  const key = readFileSync(rsa.key)
  const publicKey = createPublicKey(key)
  /** With the longest salt, one in 128 fits any other hash; they are signed until one does. */
  const signUntilItFits = (hash: string, also: string): Buffer => {
    const padding = constants.RSA_PKCS1_PSS_PADDING
    const salt = { saltLength: constants.RSA_PSS_SALTLEN_MAX_SIGN }
    for (;;) {
      const signature = sign(hash, readFileSync(image), { key, padding, ...salt })
      if (pssHashes(signature, publicKey).some(({ name }) => name === also)) return signature
    }
  }

  it('is said to be by the one that it is by, though the named one fits by chance', async () => {
    const signature = base64(signUntilItFits('sha512', 'SHA-256'))
    const properties = propertiesOf({ key: rsa, signature, causes: [], said: YES })
    const certificate = readFileSync(rsa.certificate)
    // Of unknown size, the other hash is computed on a thread.
    for (const given of [image, Readable.from([readFileSync(image)])]) {
      const { message } = await verdictOf({ image: given, properties, certificate })
      expect(message).toMatch(/was made with SHA-512, but the properties say SHA-256;/)
    }
  })

  it('is accepted by the named one, though another fits by chance', async () => {
    const signature = base64(signUntilItFits('sha256', 'SHA-512'))
    const properties = propertiesOf({ key: rsa, signature, causes: [], said: YES })
    const certificate = readFileSync(rsa.certificate)
    expect((await verdictOf({ image, properties, certificate })).code).toBe('accepted')
  })
})

describe('what only strict refuses', () => {
  const certificate = readFileSync(rsa.certificate)
  const properties = propertiesOf({ key: rsa, signature: base64(good), causes: [], said: YES })
  const pinned = { image, properties, certificate }
  const later = new Date(Date.now() + 99 * 86_400_000)

  it('is accepted by the services: dates, trust', async () => {
    const says = 'cinder and glance accept it, and nova where it does not validate certificates'
    const keyManager = await makeKeyManager(directory)
    const id = await keepCertificate(keyManager, certificate)
    const named = { ...properties, img_signature_certificate_uuid: id }
    for (const options of [
      { ...pinned, at: later },
      { image, properties: named, keyManager },
      { ...pinned, trusted: [readFileSync(ec.certificate)] },
    ]) {
      for (const explain of [false, true]) {
        const { code, message } = await verdictOf({ ...options, explain })
        expect(code).toBe('certificate-untrusted')
        expect(halves(message)[1]).toBe(says)
      }
    }
  })

  it('is refused before it is written, and nobody knows yet what they would say of the image', async () => {
    const target = join(directory, 'target')
    await expect(writeImage({ ...pinned, target, at: later })).rejects.toThrow(
      /; cinder and glance do not look at that, and nova only where it validates certificates$/,
    )
  })

  it('a policy is nothing to the services', async () => {
    const file = join(directory, 'policy.yaml')
    writeFileSync(file, JSON.stringify({ version: 1, rules: [{ key_types: ['DSA'] }] }))
    const { code, message } = await verdictOf({ ...pinned, policy: await loadPolicy(file) })
    expect(code).toBe('policy-refused')
    expect(message).toMatch(/; nova, cinder and glance do not know the policy$/)
  })
})

describe('missing properties', () => {
  it.each([
    [{}, 'nova refuses it, cinder and glance take it as unsigned'],
    [{ img_signature: base64(good) }, 'nova and cinder refuse it, glance takes it as unsigned'],
  ])('%#: are treated in two or three ways', async (properties, says) => {
    const { code, message } = await verdictOf({ image, properties })
    expect(code).toBe('unsigned')
    expect(halves(message)[1]).toBe(says)
  })
})

it('what could not be checked is not said to be refused', async () => {
  const nowhere = join(directory, 'nowhere')
  const { code, message } = await verdictOf({ image: nowhere, properties: {} })
  expect([code, message]).toEqual(['unsigned', expect.stringContaining('take it as unsigned')])
  const certificate = readFileSync(rsa.certificate)
  const properties = propertiesOf({ key: rsa, signature: base64(good), causes: [], said: YES })
  const unread = await verdictOf({ image: nowhere, properties, certificate })
  expect(unread.code).toBe('unchecked')
  expect(unread.message).not.toMatch(/nova|glance/)
})

/** With the longest salt, one wrong reading in a hundred looks right: it must not be believed alone. */
it('an image, and a key, that are others are never taken for another hash', {
  timeout: 120_000,
}, async () => {
  const other = makeOpensslKey(directory, 'RSA-PSS', 'stranger')
  const properties = propertiesOf({ key: rsa, signature: base64(good), causes: [], said: YES })
  for (let tries = 0; tries < 20; tries += 1) {
    const changed = makeImage(directory, `changed-${tries}`, 1000)
    const byOwn = { image: changed, properties, certificate: readFileSync(rsa.certificate) }
    expect((await verdictOf(byOwn)).message).toMatch(/signed another one/)
    const byOther = { image: changed, properties, certificate: readFileSync(other.certificate) }
    expect((await verdictOf(byOther)).message).toMatch(/^another key/)
  }
})
