import { createSign } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { SignatureProperties } from '../../src/index.js'
import { makeOpensslKey, type OpensslKey, opensslSign } from '../harness/openssl.js'
import { run, scratchDirectory } from '../harness/run.js'
import { makeImage } from '../harness/verifying.js'

/** Signatures that openssl makes, right and in the usual wrong ways, and what there is to say of each. */

export const directory: string = scratchDirectory()
export const image: string = makeImage(directory, 'image', 70_000)
const changed = makeImage(directory, 'changed', 70_000)

export const rsa: OpensslKey = makeOpensslKey(directory, 'RSA-PSS')
const otherRsa = makeOpensslKey(directory, 'RSA-PSS', 'other')
export const ec: OpensslKey = makeOpensslKey(directory, 'ECC_SECP384R1')
const larger = makeOpensslKey(directory, 'ECC_SECP521R1')
const dsa = makeOpensslKey(directory, 'DSA')
const sect = makeOpensslKey(directory, 'ECC_SECT409K1')
const PSS = ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:max']

function largeRsa(): Buffer {
  const key = join(directory, 'large.key')
  run('openssl', ['genrsa', '-out', key, '3072'])
  return run('openssl', ['dgst', '-sha256', '-sign', key, ...PSS, image])
}

export interface Case {
  readonly key: OpensslKey
  readonly signature: string
  readonly hash?: string
  readonly keyType?: string
  readonly image?: string
  readonly certificate?: Buffer
  /** Codes of the causes, beside that the properties name no certificate. */
  readonly causes: readonly string[]
  /** What the three services say, with strict and with lenient cryptography, and openssl. */
  readonly said: readonly [strict: string, lenient: string, openssl: string]
}

export const base64 = (bytes: Buffer): string => bytes.toString('base64')
export const good: Buffer = opensslSign(rsa, 'SHA-256', image)
export const goodEc: Buffer = opensslSign(ec, 'SHA-384', image)
export const digest = (hash: string): Buffer => run('openssl', ['dgst', hash, '-binary', image])
const digestFile = join(directory, 'digest')
writeFileSync(digestFile, digest('-sha256'))

function rsaSigned(...args: string[]): string {
  return base64(run('openssl', ['dgst', '-sha256', '-sign', rsa.key, ...args, image]))
}

export const YES = ['accepts', 'accepts', 'accepts'] as const
export const NO = ['refuses', 'refuses', 'refuses'] as const
export const ONLY_OPENSSL = ['refuses', 'refuses', 'accepts'] as const

export const CASES: Readonly<Record<string, Case>> = {
  'a good signature': { key: rsa, signature: base64(good), causes: [], said: YES },
  'a salt as long as the digest': {
    key: rsa,
    signature: base64(opensslSign(rsa, 'SHA-256', image, 'digest')),
    causes: ['salt-length'],
    said: ['refuses', 'accepts', 'accepts'],
  },
  'no salt': {
    key: rsa,
    signature: base64(opensslSign(rsa, 'SHA-256', image, '0')),
    causes: ['salt-length'],
    said: ['refuses', 'accepts', 'accepts'],
  },
  'PKCS#1 v1.5': { key: rsa, signature: rsaSigned(), causes: ['pkcs1-padding'], said: NO },
  'SHA-1 in the mask': {
    key: rsa,
    signature: rsaSigned(...PSS, '-sigopt', 'rsa_mgf1_md:sha1'),
    causes: ['other-mgf-hash'],
    said: NO,
  },
  'another hash': {
    key: rsa,
    signature: base64(opensslSign(rsa, 'SHA-512', image)),
    causes: ['other-hash'],
    said: NO,
  },
  'the digest signed': {
    key: rsa,
    signature: base64(opensslSign(rsa, 'SHA-256', digestFile)),
    causes: ['digest-signed'],
    said: NO,
  },
  'another key': {
    key: rsa,
    signature: base64(opensslSign(otherRsa, 'SHA-256', image)),
    causes: ['other-key'],
    said: NO,
  },
  'a larger key': { key: rsa, signature: base64(largeRsa()), causes: ['other-key'], said: NO },
  'another image': {
    key: rsa,
    signature: base64(good),
    image: changed,
    causes: ['other-image'],
    said: NO,
  },
  "b'…'": {
    key: rsa,
    signature: `b'${base64(good)}'`,
    causes: ['python-repr'],
    said: ONLY_OPENSSL,
  },
  'url-safe base64': {
    key: rsa,
    signature: base64(good).replaceAll('+', '-').replaceAll('/', '_'),
    causes: ['url-safe-base64'],
    said: ONLY_OPENSSL,
  },
  'wrapped base64': {
    key: rsa,
    signature: base64(good).replaceAll(/(.{64})/g, '$1\n'),
    causes: ['wrapped-base64'],
    said: YES,
  },
  'base64 without its padding': {
    key: rsa,
    signature: base64(good).replace(/=+$/, ''),
    causes: ['unpadded-base64'],
    said: ONLY_OPENSSL,
  },
  'base64 that goes on behind its end': {
    key: rsa,
    signature: `${base64(good)}QUJD`,
    causes: ['foreign-characters'],
    said: YES,
  },
  'characters that are not ASCII': {
    key: rsa,
    signature: `\u00a0${base64(good)}`,
    causes: ['not-base64'],
    said: ONLY_OPENSSL,
  },
  hex: {
    key: rsa,
    signature: good.toString('hex'),
    causes: ['hex-signature'],
    said: ONLY_OPENSSL,
  },
  'no base64': {
    key: rsa,
    signature: '?',
    causes: ['not-base64'],
    said: ['refuses', 'refuses', 'unknown'],
  },
  'a certificate in DER': {
    key: rsa,
    signature: base64(good),
    certificate: run('openssl', ['x509', '-in', rsa.certificate, '-outform', 'DER']),
    causes: ['certificate-form'],
    said: ONLY_OPENSSL,
  },
  'base64 of PEM': {
    key: rsa,
    signature: base64(good),
    certificate: Buffer.from(readFileSync(rsa.certificate).toString('base64')),
    causes: ['certificate-form'],
    said: ONLY_OPENSSL,
  },
  'a hash name in small letters': {
    key: rsa,
    signature: base64(good),
    hash: 'sha256',
    causes: ['hash-name'],
    said: ['refuses', 'refuses', 'unknown'],
  },
  'a curve without ECC_': {
    key: ec,
    signature: base64(goodEc),
    hash: 'SHA-384',
    keyType: 'SECP384R1',
    causes: ['key-type-name'],
    said: ONLY_OPENSSL,
  },
  'a curve of another key type': {
    key: ec,
    signature: base64(goodEc),
    hash: 'SHA-384',
    keyType: 'ECC_SECP521R1',
    causes: ['curve-of-another-key-type'],
    said: YES,
  },
  'an RSA key type for an EC key': {
    key: ec,
    signature: base64(goodEc),
    hash: 'SHA-384',
    keyType: 'RSA-PSS',
    causes: ['key-type-of-another-class'],
    said: ONLY_OPENSSL,
  },
  'ECDSA with another hash': {
    key: ec,
    signature: base64(goodEc),
    hash: 'SHA-512',
    causes: ['other-hash'],
    said: NO,
  },
  'ECDSA as two numbers': {
    key: ec,
    signature: base64(
      createSign('sha384')
        .update(readFileSync(image))
        .sign({ key: readFileSync(ec.key), dsaEncoding: 'ieee-p1363' }),
    ),
    hash: 'SHA-384',
    causes: ['raw-signature'],
    said: NO,
  },
  'ECDSA of the digest': {
    key: ec,
    signature: base64(opensslSign(ec, 'SHA-256', digestFile)),
    causes: ['digest-signed'],
    said: NO,
  },
  'ECDSA of a larger curve': {
    key: ec,
    signature: base64(opensslSign(larger, 'SHA-256', image)),
    causes: ['other-key'],
    said: NO,
  },
  'ECDSA of another image': {
    key: ec,
    signature: base64(goodEc),
    hash: 'SHA-384',
    image: changed,
    causes: ['other-image-or-key'],
    said: NO,
  },
  DSA: { key: dsa, signature: base64(opensslSign(dsa, 'SHA-256', image)), causes: [], said: YES },
  'a SECT curve': {
    key: sect,
    signature: base64(opensslSign(sect, 'SHA-256', image)),
    causes: ['dropped-curve'],
    said: YES,
  },
}

export function propertiesOf({ key, signature, hash, keyType }: Case): SignatureProperties {
  return {
    img_signature: signature,
    img_signature_hash_method: hash ?? 'SHA-256',
    img_signature_key_type: keyType ?? key.type,
  }
}
