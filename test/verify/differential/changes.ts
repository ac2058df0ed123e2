import { constants, createPrivateKey, sign, X509Certificate } from 'node:crypto'
import { HASH_METHODS, hashMethod, KEY_TYPES } from '../../../src/core/algorithms.js'
import { pemBlocks, toPem } from '../../../src/core/pem.js'
import type { BarbicanSecret, Case, Signer } from './case.js'

/** What a change may draw on. */
export interface Draw {
  /** See `Random`. */
  readonly below: (limit: number) => number
  readonly pick: <T>(items: readonly [T, ...T[]]) => T
  readonly signers: readonly [Signer, ...Signer[]]
  /** Who signed the case. */
  readonly signer: Signer
}

/** Something that happens to a signed image on its way, or that somebody gets wrong. */
export interface Change {
  readonly name: string
  readonly make: (signed: Case, draw: Draw) => Partial<Case>
}

/** Signs as the services want it: DER, or PSS with the longest salt. */
export function signatureOf(
  signer: Signer,
  hash: string,
  image: Buffer,
  options: { padding?: number; saltLength?: number } = {},
): string {
  const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, ...options }
  const key = createPrivateKey(signer.key)
  return sign(hashMethod(hash).node, image, { key, ...pss }).toString('base64')
}

const text = (change: (signature: string, draw: Draw) => string) => {
  return ({ signature }: Case, draw: Draw) => ({ signature: change(signature ?? '', draw) })
}

/** Changes the signature's bytes. */
const bytes = (change: (signature: Buffer, draw: Draw) => Buffer) =>
  text((signature, draw) => change(Buffer.from(signature, 'base64'), draw).toString('base64'))

const pem = (change: (pem: string, draw: Draw) => string) => (signed: Case, draw: Draw) =>
  withSecret(signed, {
    payload: Buffer.from(change(signed.secret.payload.toString('latin1'), draw), 'latin1'),
  })

/** Changes the DER of the certificate. */
const der = (change: (der: Buffer, draw: Draw) => Buffer) => (signed: Case, draw: Draw) => {
  const [block] = pemBlocks(signed.secret.payload.toString('latin1'))
  if (block === undefined) return {}
  const payload = Buffer.from(toPem('CERTIFICATE', change(block.der, draw)))
  return withSecret(signed, { payload })
}

function withSecret({ secret }: Case, change: Partial<BarbicanSecret>): Partial<Case> {
  return { secret: { ...secret, ...change } }
}

const value = (change: Partial<Case>) => () => change
const secret = (change: Partial<BarbicanSecret>) => (signed: Case) => withSecret(signed, change)

function flipBit(content: Buffer, { below }: Draw): Buffer {
  const changed = Buffer.from(content)
  const at = below(changed.length)
  if (changed.length > 0) changed.writeUInt8(changed.readUInt8(at) ^ (1 << below(8)), at)
  return changed
}

/** Puts something at a place of its choice, over so many characters. */
function insert(content: string, put: string, { below }: Draw, over = 0): string {
  const at = below(content.length + 1)
  return content.slice(0, at) + put + content.slice(at + over)
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

/** The last character before the padding carries bits that no byte is made of. */
function trailingBits(signature: string): string {
  const last = signature.indexOf('=') - 1
  if (last < 0) return signature
  const next = ALPHABET[ALPHABET.indexOf(signature[last] ?? '') ^ 1] ?? ''
  return signature.slice(0, last) + next + signature.slice(last + 1)
}

function otherOf<T>(items: readonly T[], item: T, { below }: Draw): T {
  const others = items.filter((other) => other !== item)
  return others[below(others.length)] ?? item
}

const isRsa = ({ keyTypes }: Signer): boolean => keyTypes.includes('RSA-PSS')
const HASHES = HASH_METHODS.map(({ name }) => name)
const TYPES = KEY_TYPES.map(({ name }) => name)

/** Somebody else's certificate, of the same class of key or of another. */
function certificateOf(signed: Case, draw: Draw, sameClass: boolean): Partial<Case> {
  const classOf = ({ certificate }: Signer) =>
    new X509Certificate(certificate).publicKey.asymmetricKeyType?.replace('rsa-pss', 'rsa')
  const others = draw.signers.filter(
    (other) => other !== draw.signer && (classOf(other) === classOf(draw.signer)) === sameClass,
  )
  const other = others[draw.below(others.length)] ?? draw.signer
  return withSecret(signed, { payload: other.certificate })
}

/** Each of them is tried in every run; nothing here is said about what comes of it. */
export const CHANGES: readonly Change[] = [
  // The properties.
  { name: 'no certificate id', make: value({ id: null }) },
  { name: 'no hash method', make: value({ hash: null }) },
  { name: 'no signature', make: value({ signature: null }) },
  { name: 'no key type', make: value({ keyType: null }) },
  {
    name: 'an unknown hash method',
    make: (_, { pick }) => ({
      hash: pick(['sha256', 'SHA256', 'SHA-1', 'SHA-256 ', '', 'SHA3-256', 'MD5', 'SHA-512/256']),
    }),
  },
  {
    name: 'another hash method',
    make: ({ hash }, draw) => ({ hash: otherOf<string | null>(HASHES, hash, draw) }),
  },
  {
    name: 'an unknown key type',
    make: (_, { pick }) => ({
      keyType: pick(['SECP384R1', 'RSA', 'rsa-pss', '', 'ECC_SECP256R1', 'DSA ', 'ED25519']),
    }),
  },
  {
    name: 'another key type',
    make: ({ keyType }, draw) => ({ keyType: otherOf<string | null>(TYPES, keyType, draw) }),
  },
  {
    name: 'a certificate id that is no UUID',
    make: (_, { pick }) => ({
      id: pick(['no-uuid', '2f6f4a2c', '2f6f4a2c-9e6f-4b71-8d0b', 'null']),
    }),
  },
  {
    name: 'a certificate id in upper case',
    make: ({ id }, { pick }) => ({
      id: pick([id?.toUpperCase(), `{${id}}`, id?.replaceAll('-', '')]) ?? null,
    }),
  },
  { name: 'an empty certificate id', make: value({ id: '' }) },
  {
    name: 'a URL as certificate id',
    make: ({ id }) => ({ id: `http://barbican:9311/v1/secrets/${id ?? ''}` }),
  },
  // The spelling of the signature.
  { name: 'an empty signature', make: value({ signature: '' }) },
  { name: 'a signature of foreign characters', make: value({ signature: '~ *!' }) },
  {
    name: 'a signature in lines',
    make: text((signature, { pick }) =>
      signature.replaceAll(new RegExp(`(.{${pick([64, 76])}})`, 'g'), `$1${pick(['\n', '\r\n'])}`),
    ),
  },
  { name: 'a final newline', make: text((signature) => `${signature}\n`) },
  {
    name: 'foreign characters in the signature',
    make: text((signature, draw) =>
      insert(signature, draw.pick([' ', '~', '\0', '*-', "'", '\t_']), draw),
    ),
  },
  {
    name: 'characters that are not ASCII',
    make: text((signature, draw) => insert(signature, draw.pick(['é', '\u00a0', '…']), draw)),
  },
  { name: 'an = in the signature', make: text((signature, draw) => insert(signature, '=', draw)) },
  {
    name: 'url-safe base64',
    make: text((signature) => signature.replaceAll('+', '-').replaceAll('/', '_')),
  },
  { name: 'the text of a Python bytes object', make: text((signature) => `b'${signature}'`) },
  { name: 'no padding', make: text((signature) => signature.replace(/=*$/, '')) },
  { name: 'text behind the signature', make: text((signature) => `${signature}QUJD`) },
  { name: 'last bits that are not zero', make: text(trailingBits) },
  {
    name: 'a signature that breaks off',
    make: text((signature, { below }) => signature.slice(0, 4 * below(signature.length / 4) + 1)),
  },
  { name: 'base64 twice', make: text((signature) => Buffer.from(signature).toString('base64')) },
  {
    name: 'hex instead of base64',
    make: text((signature) => Buffer.from(signature, 'base64').toString('hex')),
  },
  // Its bytes.
  { name: 'a bit of the signature', make: bytes(flipBit) },
  {
    name: 'a shorter signature',
    make: bytes((signature, { below }) => signature.subarray(0, -1 - below(3))),
  },
  {
    name: 'a longer signature',
    make: bytes((signature, { pick }) => Buffer.concat([signature, Buffer.of(pick([0, 7]))])),
  },
  {
    name: 'a zero before the signature',
    make: bytes((signature) => Buffer.concat([Buffer.of(0), signature])),
  },
  {
    name: 'another salt length',
    make: ({ hash, image, signature }, { signer, pick }) => {
      if (!isRsa(signer) || !HASHES.some((name) => name === hash)) return { signature }
      const saltLength = pick([0, 20, constants.RSA_PSS_SALTLEN_DIGEST])
      const bits = createPrivateKey(signer.key).asymmetricKeyDetails?.modulusLength ?? 0
      if (bits < 2048) return { signature }
      return { signature: signatureOf(signer, hash ?? '', image, { saltLength }) }
    },
  },
  {
    name: 'PKCS#1 v1.5 instead of PSS',
    make: ({ hash, image, signature }, { signer }) => {
      const isPlain = createPrivateKey(signer.key).asymmetricKeyType === 'rsa'
      if (!isPlain || signer.name === 'rsa-512') return { signature }
      if (!HASHES.some((name) => name === hash)) return { signature }
      const padding = constants.RSA_PKCS1_PADDING
      return { signature: signatureOf(signer, hash ?? '', image, { padding }) }
    },
  },
  // The secret.
  { name: 'a certificate that is not there', make: secret({ status: 404 }) },
  { name: 'a key manager that forbids', make: secret({ status: 403 }) },
  { name: 'a key manager that fails', make: secret({ status: 500 }) },
  { name: 'an opaque secret', make: secret({ secretType: 'opaque' }) },
  { name: 'a passphrase', make: secret({ secretType: 'passphrase' }) },
  { name: 'a certificate kept as text/plain', make: secret({ contentType: 'text/plain' }) },
  { name: 'an empty secret', make: secret({ payload: Buffer.alloc(0) }) },
  // The certificate.
  { name: "another's certificate", make: (signed, draw) => certificateOf(signed, draw, true) },
  {
    name: 'a certificate with a key of another class',
    make: (signed, draw) => certificateOf(signed, draw, false),
  },
  {
    name: 'a certificate in DER',
    make: (signed) => {
      const [block] = pemBlocks(signed.secret.payload.toString('latin1'))
      return block === undefined ? {} : withSecret(signed, { payload: block.der })
    },
  },
  {
    name: 'base64 of the PEM',
    make: pem((content) => Buffer.from(content, 'latin1').toString('base64')),
  },
  { name: 'text before the certificate', make: pem((content) => `Certificate:\n  x\n${content}`) },
  { name: 'CRLF in the PEM', make: pem((content) => content.replaceAll('\n', '\r\n')) },
  { name: 'no newline at the end of the PEM', make: pem((content) => content.trimEnd()) },
  {
    name: 'another label',
    make: pem((content, { pick }) =>
      content.replaceAll('CERTIFICATE', pick(['X509 CERTIFICATE', 'TRUSTED CERTIFICATE', 'X'])),
    ),
  },
  {
    name: 'a chain',
    make: pem((content, { signers, pick }) => {
      return content + pick(signers).certificate.toString('latin1')
    }),
  },
  {
    name: 'the private key before the certificate',
    make: pem((content, { signer }) => signer.key.toString('latin1') + content),
  },
  {
    name: 'an edited PEM',
    make: pem((content, draw) =>
      insert(content, draw.pick(['\n', ' ', '=', '-----', 'A', '\t', '-']), draw, draw.below(2)),
    ),
  },
  { name: 'a bit of the certificate', make: der(flipBit) },
  {
    name: 'a certificate that breaks off',
    make: der((content, { below }) => content.subarray(0, below(content.length))),
  },
  {
    name: 'bytes behind the certificate',
    make: der((content) => Buffer.concat([content, Buffer.of(0)])),
  },
  // The image.
  { name: 'a bit of the image', make: ({ image }, draw) => ({ image: flipBit(image, draw) }) },
  {
    name: 'an image that breaks off',
    make: ({ image }, { below }) => ({ image: image.subarray(0, below(image.length)) }),
  },
  {
    name: 'a longer image',
    make: ({ image }) => ({ image: Buffer.concat([image, Buffer.of(0)]) }),
  },
]
