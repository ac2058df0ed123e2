import 'reflect-metadata'
import {
  createPublicKey,
  type KeyObject,
  X509Certificate as NodeCertificate,
  randomBytes,
} from 'node:crypto'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Name,
  Pkcs10CertificateRequest,
  Pkcs10CertificateRequestGenerator,
  PublicKey,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509'
import { KEY_TYPES, type KeyTypeName } from './algorithms.js'
import { type Certificate, describeKey, keyMisfit, readCertificate } from './certificate.js'
import { VolsealError } from './errors.js'
import { toPem } from './pem.js'
import {
  HELD_KEY,
  isSignedBy,
  nodeSigner,
  type SignedBytes,
  type SigningAlgorithm,
  signatureName,
  signingAlgorithmOf,
  spkiOf,
} from './x509-signing.js'

/**
 * Making and showing X.509 certificates: the only importer of `@peculiar/x509` and of the Reflect
 * polyfill that it needs. Loaded only by the commands that make or show certificates; it costs some
 * 100 ms, and signing and verifying do without (`certificate.ts`).
 */
const DAY_MS = 86_400_000

/** Clocks differ: a certificate made now is valid on a host that is a little behind. */
const BACKDATE_MS = 5 * 60_000

export interface CertificateAuthority {
  readonly key: KeyObject
  /** PEM or DER. */
  readonly certificate: Buffer
}

export interface CertificatePlan {
  /** RFC 4514 text such as `CN=image signing,O=Example`, or the name that a request has. */
  readonly subject: string | Name
  /** The subject's public key. */
  readonly publicKey: KeyObject
  /** The issuer; for a self-signed certificate the subject's own private key. */
  readonly issuer: CertificateAuthority | { readonly selfSignedWith: KeyObject }
  readonly days: number
  /** A CA certificate, with room for this many CA certificates below it (RFC 5280 §4.2.1.9). */
  readonly ca?: { readonly pathLength: number } | undefined
}

/**
 * Makes an X.509 v3 certificate and returns it as PEM. A signing certificate may sign data only
 * (digitalSignature); a CA may sign certificates and CRLs only.
 *
 * @throws {VolsealError} `signature-malformed` for a key or CA that cannot be used, `usage` for a
 * subject that is no distinguished name
 */
export async function makeCertificate(plan: CertificatePlan): Promise<string> {
  const authority = 'certificate' in plan.issuer ? readAuthority(plan.issuer) : undefined
  const signer = 'certificate' in plan.issuer ? plan.issuer.key : plan.issuer.selfSignedWith
  const subject = typeof plan.subject === 'string' ? parseName(plan.subject) : plan.subject
  const now = Date.now()
  const signing = signingAlgorithm(signer)
  signingAlgorithm(plan.publicKey)
  const certificate = await X509CertificateGenerator.create(
    {
      serialNumber: serialNumber(),
      subject,
      issuer: authority?.subjectName ?? subject,
      notBefore: new Date(now - BACKDATE_MS),
      notAfter: new Date(now + plan.days * DAY_MS),
      publicKey: spkiOf(plan.publicKey),
      signingKey: HELD_KEY,
      signingAlgorithm: signing,
      extensions: await extensionsOf(plan, authority),
    },
    nodeSigner(signer, signing),
  )
  return toPem('CERTIFICATE', new Uint8Array(certificate.rawData))
}

async function extensionsOf(
  plan: CertificatePlan,
  authority: X509Certificate | undefined,
): Promise<Extension[]> {
  const subjectKeyId = await SubjectKeyIdentifierExtension.create(
    new PublicKey(spkiOf(plan.publicKey)),
  )
  const authorityKeyId = authority?.getExtension(SubjectKeyIdentifierExtension)?.keyId
  return [
    plan.ca === undefined
      ? new BasicConstraintsExtension(false, undefined, true)
      : new BasicConstraintsExtension(true, plan.ca.pathLength, true),
    plan.ca === undefined ? signerUsage() : caUsage(),
    subjectKeyId,
    authority !== undefined && authorityKeyId === undefined
      ? await AuthorityKeyIdentifierExtension.create(authority.publicKey)
      : new AuthorityKeyIdentifierExtension(authorityKeyId ?? subjectKeyId.keyId),
  ]
}

function signerUsage(): Extension {
  return new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true)
}

function caUsage(): Extension {
  // oxlint-disable-next-line typescript/no-unsafe-enum-assignment -- flags are made to be joined
  return new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true)
}

/** A CA certificate that may, and whose key can, issue. */
function readAuthority(authority: CertificateAuthority): X509Certificate {
  const { pem, publicKey } = readCertificate(authority.certificate, 'the CA certificate')
  const certificate = new X509Certificate(pem)
  const constraints = certificate.getExtension(BasicConstraintsExtension)
  const usage = certificate.getExtension(KeyUsagesExtension)
  if (constraints?.ca !== true) throw refuse('the CA certificate is no CA (basicConstraints)')
  if (usage !== null && (usage.usages & KeyUsageFlags.keyCertSign) === 0) {
    throw refuse('the CA certificate may not sign certificates (keyUsage)')
  }
  if (!createPublicKey(authority.key).equals(publicKey)) {
    throw refuse("the CA key is not the CA certificate's")
  }
  return certificate
}

function refuse(message: string): VolsealError {
  return new VolsealError('signature-malformed', message)
}

/** Attribute types that the library does not know by name (RFC 4519, RFC 2985), or only as `E`. */
const MORE_NAMES: Readonly<Record<string, string>> = {
  emailAddress: '1.2.840.113549.1.9.1',
  serialNumber: '2.5.4.5',
  UID: '0.9.2342.19200300.100.1.1',
}

/** RFC 4514 text as a name. @throws {VolsealError} `usage` */
function parseName(subject: string): Name {
  if (subject.startsWith('/')) {
    const comma = subject.slice(1).replaceAll(',', String.raw`\,`).replaceAll('/', ',')
    throw badName(subject, undefined, `attributes are parted by commas: "${comma}"`)
  }
  try {
    const name = new Name(subject, MORE_NAMES)
    const attributes = name.toJSON().flatMap((part) => Object.entries(part))
    if (attributes.length > 0 && attributes.every(isSound)) return name
  } catch (error) {
    throw badName(subject, error)
  }
  throw badName(subject)
}

/** The library's parser skips what it does not understand; a value with `=` in it shows that. */
function isSound([type, values]: [string, readonly string[]]): boolean {
  const isCountry = type === 'C'
  return values.every((value) =>
    isCountry ? /^[A-Za-z]{2}$/.test(value) : value !== '' && !value.includes('='),
  )
}

function badName(subject: string, cause?: unknown, hint?: string): VolsealError {
  return new VolsealError(
    'usage',
    `--subject: expected a distinguished name such as "CN=image signing,O=Example", got ${JSON.stringify(subject)}`,
    {
      cause,
      hint: hint ?? 'known attributes: CN, O, OU, L, ST, C, DC, emailAddress, serialNumber, UID',
    },
  )
}

/** 16 random bytes, positive and without a leading zero (RFC 5280 §4.1.2.2 allows up to 20). */
function serialNumber(): string {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40
  return bytes.toString('hex')
}

/** Makes a PKCS#10 request (RFC 2986) for the key and returns it as PEM. */
export async function makeRequest(subject: string, key: KeyObject): Promise<string> {
  const signing = signingAlgorithm(key)
  const request = await Pkcs10CertificateRequestGenerator.create(
    {
      name: parseName(subject),
      keys: { privateKey: HELD_KEY, publicKey: HELD_KEY },
      signingAlgorithm: signing,
      extensions: [signerUsage()],
    },
    nodeSigner(key, signing),
  )
  return toPem('CERTIFICATE REQUEST', new Uint8Array(request.rawData))
}

/** Subject and key of a request whose own signature holds. */
export function readRequest(content: Buffer): { subject: Name; publicKey: KeyObject } {
  const request = parseRequest(content)
  const publicKey = request.subjectKey()
  if (isSignedBy(request.signedBytes(), publicKey)) {
    return { subject: request.subjectName, publicKey }
  }
  throw refuse('the request is not signed by its own key')
}

/** A request as node:crypto checks it. */
class Request extends Pkcs10CertificateRequest {
  signedBytes(): SignedBytes {
    return {
      algorithm: this.asn.signatureAlgorithm.algorithm,
      content: new Uint8Array(this['tbs']),
      signature: new Uint8Array(this.signature),
    }
  }

  /** @throws {VolsealError} `signature-malformed` */
  subjectKey(): KeyObject {
    try {
      const key = Buffer.from(this.publicKey.rawData)
      return createPublicKey({ key, format: 'der', type: 'spki' })
    } catch (error) {
      throw new VolsealError('signature-malformed', "the request's key cannot be read", {
        cause: error,
      })
    }
  }
}

function parseRequest(content: Buffer): Request {
  try {
    return new Request(content.toString('latin1'))
  } catch (error) {
    throw new VolsealError('signature-malformed', 'expected a PEM CERTIFICATE REQUEST', {
      cause: error,
    })
  }
}

/** @throws {VolsealError} `signature-malformed` for a key that no certificate here should have */
function signingAlgorithm(key: KeyObject): SigningAlgorithm {
  const algorithm = signingAlgorithmOf(key)
  const fits = KEY_TYPES.some((type) => keyMisfit(key, type) === undefined)
  if (algorithm !== undefined && fits) return algorithm
  throw new VolsealError(
    'signature-malformed',
    `this key is not fit for a certificate: it is ${describeKey(key)}`,
    { hint: 'RSA and DSA keys need 2048 bits or more, EC keys a curve of an image key type' },
  )
}

/** A certificate for reading: what its extensions say, and what it can be used for. */
export interface CertificateDescription {
  readonly subject: string
  readonly issuer: string
  readonly selfSigned: boolean
  readonly serialNumber: string
  /** ISO 8601, UTC. */
  readonly notBefore: string
  readonly notAfter: string
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string
  readonly signatureAlgorithm: string
  readonly publicKey: string
  /** Which values of img_signature_key_type the key serves; empty when none. */
  readonly keyTypes: readonly KeyTypeName[]
  readonly ca: boolean
  readonly pathLength: number | null
  /** Names of RFC 5280 §4.2.1.3; null when the extension is not there. */
  readonly keyUsage: readonly string[] | null
  readonly extendedKeyUsage: readonly string[] | null
  readonly subjectKeyId: string | null
  readonly authorityKeyId: string | null
}

/** @throws {VolsealError} `signature-malformed` */
export async function describeCertificate(
  content: Buffer,
  name: string,
): Promise<CertificateDescription> {
  const read = readCertificate(content, name)
  const x509 = new X509Certificate(read.pem)
  const constraints = x509.getExtension(BasicConstraintsExtension)
  const usage = x509.getExtension(KeyUsagesExtension)
  return {
    subject: read.subject,
    issuer: read.issuer,
    selfSigned: isSelfSigned(read),
    serialNumber: x509.serialNumber,
    notBefore: read.notBefore.toISOString(),
    notAfter: read.notAfter.toISOString(),
    fingerprint: read.fingerprint,
    signatureAlgorithm: nameAlgorithm(x509.signatureAlgorithm),
    publicKey: describeKey(read.publicKey),
    keyTypes: KEY_TYPES.filter((type) => keyMisfit(read.publicKey, type) === undefined).map(
      (type) => type.name,
    ),
    ca: constraints?.ca ?? false,
    pathLength: constraints?.pathLength ?? null,
    keyUsage: usage === null ? null : usageNames(usage.usages),
    extendedKeyUsage: x509.getExtension(ExtendedKeyUsageExtension)?.usages.map(String) ?? null,
    subjectKeyId: x509.getExtension(SubjectKeyIdentifierExtension)?.keyId ?? null,
    authorityKeyId: x509.getExtension(AuthorityKeyIdentifierExtension)?.keyId ?? null,
  }
}

/** node:crypto knows every key; WebCrypto has no DSA and none of the SECT curves. */
function isSelfSigned({ pem, subject, issuer, publicKey }: Certificate): boolean {
  return subject === issuer && new NodeCertificate(pem).verify(publicKey)
}

/** `ECDSA SHA-384`; what the library does not know has its object identifier for a name. */
function nameAlgorithm(algorithm: Algorithm & { readonly hash?: Algorithm }): string {
  const { name, hash } = algorithm
  return hash === undefined ? signatureName(name) : `${name} ${hash.name}`
}

const USAGES: readonly (readonly [KeyUsageFlags, string])[] = [
  [KeyUsageFlags.digitalSignature, 'digitalSignature'],
  [KeyUsageFlags.nonRepudiation, 'nonRepudiation'],
  [KeyUsageFlags.keyEncipherment, 'keyEncipherment'],
  [KeyUsageFlags.dataEncipherment, 'dataEncipherment'],
  [KeyUsageFlags.keyAgreement, 'keyAgreement'],
  [KeyUsageFlags.keyCertSign, 'keyCertSign'],
  [KeyUsageFlags.cRLSign, 'cRLSign'],
  [KeyUsageFlags.encipherOnly, 'encipherOnly'],
  [KeyUsageFlags.decipherOnly, 'decipherOnly'],
]

function usageNames(flags: KeyUsageFlags): string[] {
  return USAGES.filter(([flag]) => (flags & flag) !== 0).map(([, name]) => name)
}
